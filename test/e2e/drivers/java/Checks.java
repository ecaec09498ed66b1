// pgjdbc: server-side prepared statements after prepareThreshold, autosave, batches, cursors by portal, COPY, cancel.

import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;

public class Checks {
  interface Check {
    void run() throws Exception;
  }

  static final boolean SESSION = "session".equals(System.getenv("E2E_MODE"));

  static Connection open(String... more) throws SQLException {
    Properties p = new Properties();
    p.setProperty("user", System.getenv("PGUSER"));
    p.setProperty("password", System.getenv("PGPASSWORD"));
    p.setProperty("loginTimeout", "10");
    p.setProperty("gssEncMode", "disable");
    if ("1".equals(System.getenv("E2E_TLS"))) {
      p.setProperty("sslmode", "verify-full");
      p.setProperty("sslrootcert", System.getenv("E2E_CA"));
    } else {
      p.setProperty("sslmode", "disable");
    }
    for (int i = 0; i < more.length; i += 2) p.setProperty(more[i], more[i + 1]);
    return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
        + System.getenv("PGDATABASE"), p);
  }

  static void equal(Object got, Object wanted) {
    if (!Objects.equals(got, wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
  }

  static String unique() {
    return "t_" + UUID.randomUUID().toString().replace("-", "");
  }

  static Object one(Connection c, String sql) throws SQLException {
    try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
      r.next();
      return r.getObject(1);
    }
  }

  static void fails(String state, Check check) throws Exception {
    try {
      check.run();
    } catch (SQLException error) {
      equal(error.getSQLState(), state);
      return;
    }
    throw new AssertionError("did not fail with " + state);
  }

  static void prepared(String threshold) throws Exception {
    try (Connection c = open("prepareThreshold", threshold)) {
      for (int n = 0; n < 20; n++) {
        try (PreparedStatement s = c.prepareStatement("SELECT ?::int * 2")) {
          s.setInt(1, n);
          ResultSet r = s.executeQuery();
          r.next();
          equal(r.getInt(1), n * 2);
        }
      }
    }
  }

  static void interleaved() throws Exception {
    List<Connection> all = new ArrayList<>();
    List<PreparedStatement> statements = new ArrayList<>();
    for (int n = 0; n < 6; n++) {
      all.add(open("prepareThreshold", "1"));
      statements.add(all.get(n).prepareStatement("SELECT ?::int + " + n));
    }
    for (int turn = 0; turn < 15; turn++) {
      for (int n = 0; n < 6; n++) {
        statements.get(n).setInt(1, turn);
        ResultSet r = statements.get(n).executeQuery();
        r.next();
        equal(r.getInt(1), turn + n);
      }
    }
    for (Connection c : all) c.close();
  }

  static void manyStatements() throws Exception {
    try (Connection c = open("prepareThreshold", "1", "preparedStatementCacheQueries", "20")) {
      for (int turn = 0; turn < 3; turn++) {
        for (int n = 0; n < 60; n++) {
          try (PreparedStatement s = c.prepareStatement("SELECT ?::int + " + n)) {
            s.setInt(1, turn);
            ResultSet r = s.executeQuery();
            r.next();
            equal(r.getInt(1), turn + n);
          }
        }
      }
    }
  }

  static void batch() throws Exception {
    String t = unique();
    try (Connection c = open("prepareThreshold", "1")) {
      c.createStatement().execute("CREATE TABLE " + t + " (a int PRIMARY KEY, b text)");
      c.setAutoCommit(false);
      try (PreparedStatement s = c.prepareStatement("INSERT INTO " + t + " VALUES (?, ?)")) {
        for (int n = 0; n < 1000; n++) {
          s.setInt(1, n);
          s.setString(2, "row " + n);
          s.addBatch();
        }
        equal(s.executeBatch().length, 1000);
      }
      c.commit();
      try (PreparedStatement s = c.prepareStatement("INSERT INTO " + t + " VALUES (?, 'x')")) {
        for (int n = 998; n < 1003; n++) {
          s.setInt(1, n);
          s.addBatch();
        }
        s.executeBatch();
        throw new AssertionError("a duplicate key was accepted");
      } catch (BatchUpdateException error) {
        equal(error.getSQLState(), "23505");
      }
      c.rollback();
      equal(one(c, "SELECT count(*) FROM " + t), 1000L);
      c.createStatement().execute("DROP TABLE " + t);
      c.commit();
    }
  }

  static void batchWithKeys() throws Exception {
    String t = unique();
    try (Connection c = open("reWriteBatchedInserts", "true")) {
      c.createStatement().execute("CREATE TABLE " + t + " (id serial, a int)");
      try (PreparedStatement s = c.prepareStatement("INSERT INTO " + t + " (a) VALUES (?)",
          Statement.RETURN_GENERATED_KEYS)) {
        for (int n = 0; n < 200; n++) {
          s.setInt(1, n);
          s.addBatch();
        }
        s.executeBatch();
        ResultSet keys = s.getGeneratedKeys();
        int count = 0;
        while (keys.next()) count++;
        equal(count, 200);
      }
      c.createStatement().execute("DROP TABLE " + t);
    }
  }

  static void autosave() throws Exception {
    for (String mode : new String[] {"always", "conservative"}) {
      try (Connection c = open("autosave", mode, "prepareThreshold", "1")) {
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("SELECT 10 / ?::int")) {
          for (int n = 3; n >= -3; n--) {
            s.setInt(1, n);
            if (n == 0) {
              fails("22012", s::executeQuery);
              if (mode.equals("conservative")) c.rollback();
            } else {
              ResultSet r = s.executeQuery();
              r.next();
              equal(r.getInt(1), 10 / n);
            }
          }
        }
        c.commit();
      }
    }
  }

  static void fetchSize() throws Exception {
    try (Connection c = open()) {
      c.setAutoCommit(false);
      try (Statement s = c.createStatement()) {
        s.setFetchSize(33);
        ResultSet r = s.executeQuery("SELECT n FROM generate_series(1, 1000) n");
        int sum = 0;
        while (r.next()) sum += r.getInt(1);
        equal(sum, 500500);
      }
      c.commit();
    }
  }

  static void savepoints() throws Exception {
    try (Connection c = open()) {
      c.setAutoCommit(false);
      Savepoint point = c.setSavepoint("p");
      fails("22012", () -> one(c, "SELECT 1/0"));
      c.rollback(point);
      equal(one(c, "SELECT 1"), 1);
      c.commit();
    }
  }

  static void copy() throws Exception {
    String t = unique();
    try (Connection c = open()) {
      c.createStatement().execute("CREATE TABLE " + t + " (a int, b text)");
      StringBuilder text = new StringBuilder();
      for (int n = 0; n < 10000; n++) text.append(n).append("\trow ").append(n).append('\n');
      var api = c.unwrap(PGConnection.class).getCopyAPI();
      equal(api.copyIn("COPY " + t + " FROM STDIN", new StringReader(text.toString())), 10000L);
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      api.copyOut("COPY (SELECT * FROM " + t + " ORDER BY a) TO STDOUT", out);
      equal(out.toString("UTF-8").equals(text.toString()), true);
      fails("22P02", () -> api.copyIn("COPY " + t + " FROM STDIN", new StringReader("x\ty\n")));
      equal(one(c, "SELECT 1"), 1);
      c.createStatement().execute("DROP TABLE " + t);
    }
  }

  static void cancel() throws Exception {
    try (Connection c = open(); Statement s = c.createStatement()) {
      Thread thread = new Thread(() -> {
        try {
          Thread.sleep(300);
          s.cancel();
        } catch (Exception error) {
          error.printStackTrace();
        }
      });
      thread.start();
      fails("57014", () -> s.execute("SELECT pg_sleep(20)"));
      thread.join();
      equal(one(c, "SELECT 1"), 1);
      s.setQueryTimeout(1);
      fails("57014", () -> s.execute("SELECT pg_sleep(20)"));
      equal(one(c, "SELECT 2"), 2);
    }
  }

  static void simpleModes() throws Exception {
    for (String mode : new String[] {"simple", "extendedForPrepared", "extendedCacheEverything"}) {
      try (Connection c = open("preferQueryMode", mode)) {
        for (int n = 0; n < 8; n++) {
          try (PreparedStatement s = c.prepareStatement("SELECT ?::int")) {
            s.setInt(1, n);
            ResultSet r = s.executeQuery();
            r.next();
            equal(r.getInt(1), n);
          }
        }
        equal(one(c, "SELECT 'again'"), "again");
      }
    }
  }

  static void settings() throws Exception {
    try (Connection c = open("ApplicationName", "a java", "options", "-c statement_timeout=5s", "currentSchema", "pg_catalog")) {
      equal(one(c, "SHOW application_name"), "a java");
      equal(one(c, "SHOW statement_timeout"), "5s");
      equal(one(c, "SHOW search_path"), "pg_catalog");
      equal(c.getMetaData().getDatabaseProductName(), "PostgreSQL");
      c.setReadOnly(true);
      c.setAutoCommit(false);
      fails("25006", () -> c.createStatement().execute("CREATE TABLE never (a int)"));
      c.rollback();
    }
  }

  static void metadata() throws Exception {
    String t = unique();
    try (Connection c = open()) {
      c.createStatement().execute("CREATE TABLE " + t + " (a int PRIMARY KEY, b text NOT NULL)");
      ResultSet r = c.getMetaData().getColumns(null, "public", t, null);
      int count = 0;
      while (r.next()) count++;
      equal(count, 2);
      equal(c.isValid(5), true);
      c.createStatement().execute("DROP TABLE " + t);
    }
  }

  static void notifications() throws Exception {
    if (!SESSION) return;
    try (Connection c = open()) {
      String channel = unique();
      c.createStatement().execute("LISTEN " + channel);
      c.createStatement().execute("NOTIFY " + channel + ", 'hi'");
      equal(c.unwrap(PGConnection.class).getNotifications(5000)[0].getParameter(), "hi");
    }
  }

  static void schemaChange() throws Exception {
    String t = unique();
    try (Connection c = open("prepareThreshold", "1", "autosave", "conservative")) {
      c.createStatement().execute("CREATE TABLE " + t + " (a int)");
      c.createStatement().execute("INSERT INTO " + t + " VALUES (1)");
      try (PreparedStatement s = c.prepareStatement("SELECT * FROM " + t)) {
        for (int n = 0; n < 3; n++) s.executeQuery().next();
        c.createStatement().execute("ALTER TABLE " + t + " ADD b int DEFAULT 5");
        // Outside a transaction pgjdbc prepares again by itself when told "cached plan must not change result type".
        ResultSet r = s.executeQuery();
        r.next();
        equal(r.getMetaData().getColumnCount(), 2);
      }
      c.createStatement().execute("DROP TABLE " + t);
    }
  }

  public static void main(String[] args) throws Exception {
    Map<String, Check> checks = new LinkedHashMap<>();
    checks.put("prepared at once", () -> prepared("1"));
    checks.put("prepared after five", () -> prepared("5"));
    checks.put("prepared and binary from the start", () -> prepared("-1"));
    checks.put("never prepared", () -> prepared("0"));
    checks.put("prepared statements of many connections", Checks::interleaved);
    checks.put("more statements than the cache holds", Checks::manyStatements);
    checks.put("batch", Checks::batch);
    checks.put("batch with generated keys", Checks::batchWithKeys);
    checks.put("autosave", Checks::autosave);
    checks.put("fetch size", Checks::fetchSize);
    checks.put("savepoints", Checks::savepoints);
    checks.put("copy", Checks::copy);
    checks.put("cancel and query timeout", Checks::cancel);
    checks.put("query modes", Checks::simpleModes);
    checks.put("settings", Checks::settings);
    checks.put("metadata", Checks::metadata);
    checks.put("notifications", Checks::notifications);
    checks.put("a table that changes under a prepared statement", Checks::schemaChange);
    int bad = 0;
    for (var entry : checks.entrySet()) {
      try {
        entry.getValue().run();
        System.out.println("ok " + entry.getKey());
      } catch (Throwable error) {
        bad++;
        System.out.println("FAIL " + entry.getKey() + ": " + error);
        error.printStackTrace(System.out);
      }
    }
    System.out.println("done " + checks.size() + " checks, " + bad + " failed");
    System.exit(bad == 0 ? 0 : 1);
  }
}
