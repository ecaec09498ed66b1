// PostgresConnection: libpq with our manners. Nothing waits without a deadline, and errors say what to do.
//
// Owner:      PostgresStore, by value.
// Home:       one thread at a time (the control thread or a store's own; never a worker).
// Errors:     kConnectionFailure, or the server's own SQLSTATE; `where` is host and database, never the password.
// Bounds:     every wait ends after `patience`, or at once when `stop_event` becomes readable. Looking up a host name is
//             the system's, with its own limits.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "catalog/database.h"

namespace penstock::catalog {

// Whether a catalog's name is that of a Postgres database: "postgres://…" or "postgresql://…".
bool is_postgres_url(std::string_view text);

class PostgresConnection final : public Database {
 public:
  struct Options {
    std::string url;
    std::chrono::milliseconds patience{5000};  // with one statement, or with connecting
    int stop_event = -1;                       // a descriptor; -1: none
  };
  PostgresConnection() = default;  // not open
  static base::Result<PostgresConnection> connect(const Options& options);

  base::Result<Rows> query(std::string_view sql, Parameters parameters = {}) override;
  base::Status begin(Kind kind) override;
  base::Status commit() override;
  void rollback() override;
  // Any number of statements without parameters and results.
  base::Status run_script(std::string_view script);

  bool is_usable() const { return connection_ != nullptr && PQstatus(connection_.get()) == CONNECTION_OK; }
  // Also looks whether the server has closed it meanwhile.
  bool is_alive();

  enum class Awaited : std::uint8_t { kNotification, kTimeout, kStop };
  // Waits for a notification on a channel that was LISTENed to. Errors: the connection is lost.
  base::Result<Awaited> wait(std::chrono::milliseconds timeout);

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  using ResultPtr = std::unique_ptr<PGresult, Clear>;

  Deadline deadline() const { return std::chrono::steady_clock::now() + options_.patience; }
  base::Status establish();
  base::Status wait_for(short events, Deadline deadline);
  base::Result<ResultPtr> finish_statement(Deadline deadline);
  bool take_notifications();
  base::Error failure(std::string_view what) const;
  base::Error failure_of(const PGresult& result) const;
  void close() { connection_.reset(); }

  Options options_;
  std::string name_;  // "db.example.com:5432/penstock"
  std::unique_ptr<PGconn, Finish> connection_;
};

}  // namespace penstock::catalog
