#include "config/table_row.h"

namespace penstock::config {

using S = Settings;

Rows server_rows() {
  return {
      entry<&S::workers>(
          {.section = "server",
           .key = "workers",
           .doc = "Worker threads; each has its own event loop, clients and share of the pools.",
           .reloadable = false,
           .max = kWorkersMax,
           .unit = "threads",
           .zero = "one per core, up to 64"}),
      entry<&S::io_backend>({.section = "server",
                             .key = "io_backend",
                             .doc = "How workers do input and output; auto takes io_uring where the kernel "
                                    "allows it, else epoll, and says in the log which and why.",
                             .reloadable = false}),
      entry<&S::catalog>(
          {.section = "server",
           .key = "catalog",
           .doc = "Where tenants and users are kept: an SQLite file, created on first start, or a "
                  "Postgres database (postgres://user@host/database), which several nodes can share.",
           .reloadable = false}),
      entry<&S::catalog_key_file>(
          {.section = "server",
           .key = "catalog_key_file",
           .doc = "A file with the keys that seal secrets in the catalog: 32 bytes each in base64 or "
                  "hexadecimal, "
                  "one per line; the first one seals, all unseal. Keys may also stand in the environment "
                  "variable "
                  "PENSTOCK_CATALOG_KEY. `penstock catalog new-key` makes a key. A changed file is noticed.",
           .reloadable = false,
           .zero = "secrets are not sealed, unless PENSTOCK_CATALOG_KEY is set"}),
      entry<&S::catalog_copy_file>(
          {.section = "server",
           .key = "catalog_copy_file",
           .doc = "With the catalog in Postgres: an SQLite file with a copy of it, kept up to date, with "
                  "which this "
                  "node can start while that database is down. Secrets in it are sealed as in the catalog.",
           .reloadable = false,
           .zero = "no copy"}),
      entry<&S::catalog_migrate>({.section = "server",
                                  .key = "catalog_migrate",
                                  .doc = "Whether the server creates the catalog's tables in Postgres and "
                                         "brings them up to date when it "
                                         "starts; otherwise `penstock catalog migrate` does it.",
                                  .reloadable = false}),
      entry<&S::default_tenant>({.section = "server",
                                 .key = "default_tenant",
                                 .doc = "The tenant of clients that name none; plain user names lead here.",
                                 .zero = "clients must name their tenant"}),
      entry<&S::pid_file>({.section = "server",
                           .key = "pid_file",
                           .doc = "A file that holds the process id while the server runs.",
                           .pgbouncer = "pidfile",
                           .reloadable = false,
                           .zero = "none"}),
      entry<&S::listen_backlog>({.section = "server",
                                 .key = "listen_backlog",
                                 .doc = "Connections that the kernel keeps until they are accepted, per "
                                        "listening socket; net.core.somaxconn bounds it.",
                                 .pgbouncer = "listen_backlog",
                                 .reloadable = false,
                                 .min = 1,
                                 .max = 65535,
                                 .unit = "connections"}),
      entry<&S::busy_poll_us>(
          {.section = "server",
           .key = "busy_poll_us",
           .doc = "How long a worker with nothing to do watches for the next event before it "
                  "sleeps. Going to sleep and being woken up costs more time than a short "
                  "query; watching costs a core. Worth it only where there are cores to spare.",
           .max = 10'000,
           .unit = "microseconds",
           .zero = "sleep at once"}),
  };
}

Rows client_tls_rows() {
  return {
      entry<&S::client_tls_mode>(
          {.section = "client_tls",
           .key = "mode",
           .doc = "disable: clients are told that there is no TLS; allow and prefer: TLS for those who ask, "
                  "once there is a certificate; require: clear text is refused; verify-ca and verify-full: "
                  "the client must also show a certificate signed by ca_file, and with verify-full that "
                  "certificate must name its user.",
           .pgbouncer = "client_tls_sslmode"}),
      entry<&S::client_tls_cert_file>({.section = "client_tls",
                                       .key = "cert_file",
                                       .doc = "The server's certificate with its chain, PEM.",
                                       .pgbouncer = "client_tls_cert_file",
                                       .zero = "no TLS"}),
      entry<&S::client_tls_key_file>({.section = "client_tls",
                                      .key = "key_file",
                                      .doc = "The private key of the certificate, PEM.",
                                      .pgbouncer = "client_tls_key_file",
                                      .zero = "no TLS"}),
      entry<&S::client_tls_ca_file>({.section = "client_tls",
                                     .key = "ca_file",
                                     .doc = "The authorities that sign client certificates, PEM.",
                                     .pgbouncer = "client_tls_ca_file",
                                     .zero = "client certificates are not asked for"}),
      entry<&S::client_tls_min_protocol>({.section = "client_tls",
                                          .key = "min_protocol",
                                          .doc = "The oldest TLS version that a client may use.",
                                          .pgbouncer = "client_tls_protocols",
                                          .words = {"1.2", "1.3"}}),
      entry<&S::client_tls_ciphers>(
          {.section = "client_tls",
           .key = "ciphers",
           .doc = "Cipher suites, named as by \"openssl ciphers\"; names of TLS 1.3 begin with TLS_.",
           .pgbouncer = "client_tls_ciphers",
           .zero = "OpenSSL's choice, but of TLS 1.3 the quickest first"}),
      entry<&S::client_tls_compact>(
          {.section = "client_tls",
           .key = "compact",
           .doc = "After a handshake of TLS 1.3, keep a client's keys and nothing else: an idle client then "
                  "takes "
                  "1.4 KiB instead of 15. Records are framed by Penstock and encrypted by OpenSSL's ciphers; "
                  "handshakes, and TLS 1.2, stay with OpenSSL."}),
      entry<&S::tls_handshakes_per_second>(
          {.section = "client_tls",
           .key = "handshakes_per_second",
           .doc = "TLS handshakes that one worker begins in a second; more wait, so that a storm of "
                  "reconnecting clients does not starve running queries.",
           .unit = "handshakes",
           .zero = kNoLimit}),
  };
}

Rows auth_rows() {
  return {
      entry<&S::allow_cleartext_without_tls>(
          {.section = "auth",
           .key = "allow_cleartext_without_tls",
           .doc = "Whether the method password may be used on a TCP connection without TLS, where anybody on "
                  "the way can read the password."}),
      entry<&S::auth_query_cache_ttl>(
          {.section = "auth",
           .key = "query_cache_ttl",
           .doc = "How long a secret found by a tenant's auth_query may be used while the server does not "
                  "answer; otherwise it is read again at each login, but at most once a second per user.",
           .zero = "never"}),
      entry<&S::auth_query_negative_ttl>(
          {.section = "auth",
           .key = "query_negative_ttl",
           .doc = "How long it is remembered that auth_query did not know a user.",
           .max = 3600 * kSecond,
           .zero = "asked at every login"}),
      entry<&S::scram_iterations>({.section = "auth",
                                   .key = "scram_iterations",
                                   .doc = "Iterations for SCRAM verifiers that are made here from plain "
                                          "passwords; stored verifiers bring their own.",
                                   .pgbouncer = "scram_iterations",
                                   .min = 4096,
                                   .max = 10'000'000,
                                   .unit = "iterations"}),
      entry<&S::ban_failures>({.section = "auth",
                               .key = "ban_failures",
                               .doc =
                                   "So many wrong passwords from one address within ban_window, and nobody "
                                   "there can log in to that "
                                   "tenant for ban_time. IPv6 addresses count by their network of 64 bits.",
                               .unit = "passwords",
                               .zero = "nobody is banned"}),
      entry<&S::ban_window>({.section = "auth",
                             .key = "ban_window",
                             .doc = "The time in which wrong passwords are counted together.",
                             .min = kSecond,
                             .max = kDay}),
      entry<&S::ban_time>({.section = "auth",
                           .key = "ban_time",
                           .doc = "How long an address stays banned.",
                           .min = kSecond,
                           .max = 30 * kDay}),
      entry<&S::ban_exempt>({.section = "auth",
                             .key = "ban_exempt",
                             .doc = "Networks from which nobody is ever banned: those of proxies and "
                                    "balancers that hide who their "
                                    "clients are. Unix sockets are never banned."}),
  };
}

Rows tcp_rows() {
  return {
      entry<&S::tcp_keepalive>({.section = "tcp",
                                .key = "keepalive",
                                .doc = "Whether the kernel probes connections that are silent.",
                                .pgbouncer = "tcp_keepalive"}),
      entry<&S::tcp_keepalive_idle>({.section = "tcp",
                                     .key = "keepalive_idle",
                                     .doc = "Silence before the first probe.",
                                     .pgbouncer = "tcp_keepidle",
                                     .max = 32767 * kSecond,
                                     .step = kSecond,
                                     .zero = kSystem}),
      entry<&S::tcp_keepalive_interval>({.section = "tcp",
                                         .key = "keepalive_interval",
                                         .doc = "Time between probes.",
                                         .pgbouncer = "tcp_keepintvl",
                                         .max = 32767 * kSecond,
                                         .step = kSecond,
                                         .zero = kSystem}),
      entry<&S::tcp_keepalive_count>({.section = "tcp",
                                      .key = "keepalive_count",
                                      .doc = "Unanswered probes after which a connection counts as dead.",
                                      .pgbouncer = "tcp_keepcnt",
                                      .max = 127,
                                      .unit = "probes",
                                      .zero = kSystem}),
      entry<&S::tcp_user_timeout>(
          {.section = "tcp",
           .key = "user_timeout",
           .doc = "How long sent bytes may stay unacknowledged before a connection counts as dead.",
           .pgbouncer = "tcp_user_timeout",
           .max = 24 * 3600 * kSecond,
           .zero = kSystem}),
  };
}

Rows log_rows() {
  return {
      entry<&S::log_level>({.section = "log",
                            .key = "level",
                            .doc = "The least important events that are written.",
                            .pgbouncer = "verbose"}),
      entry<&S::log_format>({.section = "log",
                             .key = "format",
                             .doc = "text: key=value for people and grep; json: one object per line."}),
      entry<&S::log_file>({.section = "log",
                           .key = "file",
                           .doc = "The file to append to; SIGHUP opens it anew, for logrotate. "
                                  "Missing directories are made.",
                           .pgbouncer = "logfile",
                           .zero = "standard error"}),
      entry<&S::log_connections>({.section = "log",
                                  .key = "connections",
                                  .doc = "Whether logins are written.",
                                  .pgbouncer = "log_connections"}),
      entry<&S::log_disconnections>({.section = "log",
                                     .key = "disconnections",
                                     .doc = "Whether ends of connections are written, with the reason.",
                                     .pgbouncer = "log_disconnections"}),
      entry<&S::log_pooler_errors>({.section = "log",
                                    .key = "pooler_errors",
                                    .doc = "Whether errors that we send to clients ourselves are written.",
                                    .pgbouncer = "log_pooler_errors"}),
      entry<&S::log_events_per_second>({.section = "log",
                                        .key = "events_per_second",
                                        .doc = "Lines of one kind of event in a second; more are counted and "
                                               "the count is written, so that nobody can fill the disk.",
                                        .unit = "lines",
                                        .zero = kNoLimit}),
      entry<&S::query_wait_notify>({.section = "log",
                                    .key = "query_wait_notify",
                                    .doc = "A client that waits longer for a server is told why by a notice.",
                                    .pgbouncer = "query_wait_notify",
                                    .zero = kOff}),
      entry<&S::log_slow_query>(
          {.section = "log",
           .key = "slow_query",
           .doc = "Queries that run at least so long at the server are written, each with its "
                  "form and its fingerprint. A tenant and each of its users may have "
                  "their own.",
           .zero = kOff}),
      entry<&S::log_slow_query_text>(
          {.section = "log",
           .key = "slow_query_text",
           .doc = "normalized: slow queries are written without constants and comments, so "
                  "that no value of an application is in the log; full: as they are.",
           .words = {"normalized", "full"}}),
  };
}

Rows limit_rows() {
  return {
      entry<&S::message_bytes_max>(
          {.section = "limits",
           .key = "message_bytes_max",
           .doc =
               "The largest message that a client or server may send; they are streamed, not held in memory.",
           .pgbouncer = "max_packet_size",
           .min = kKilobyte,
           .max = 2 * kGigabyte - 1}),
      entry<&S::startup_bytes_max>({.section = "limits",
                                    .key = "startup_bytes_max",
                                    .doc = "The largest start-up message; Postgres' own limit is 10000.",
                                    .min = 256,
                                    .max = kKilobyte * kKilobyte}),
      entry<&S::statement_bytes_max>(
          {.section = "limits",
           .key = "statement_bytes_max",
           .doc = "The largest named prepared statement that is kept and can move between servers; a client "
                  "that prepares a larger one keeps its server while the statement lives.",
           .max = kGigabyte,
           .zero = "every named statement holds its server"}),
  };
}

std::vector<Entry<ListenerSettings>> listener_rows() {
  using L = ListenerSettings;
  return {
      entry<&L::address>({.key = "address",
                          .doc = "An IP address; `*` for all, IPv4 and IPv6; a directory such as "
                                 "/run/penstock for a Unix socket in it, named "
                                 ".s.PGSQL. and the port as Postgres' own; or @name for the abstract socket "
                                 "that libpq looks for with host=@name.",
                          .pgbouncer = "listen_addr",
                          .reloadable = false}),
      entry<&L::port>({.key = "port",
                       .doc = "The TCP port, or the number in the name of the Unix socket.",
                       .pgbouncer = "listen_port",
                       .reloadable = false,
                       .min = 1,
                       .max = 65535}),
      entry<&L::pool_mode>({.key = "pool_mode",
                            .doc = "Forces the pool mode of all clients that come in here.",
                            .reloadable = false,
                            .zero = "as the pool says"}),
      octal<&L::unix_mode>({.key = "unix_mode",
                            .doc = "Permissions of the Unix socket's file.",
                            .pgbouncer = "unix_socket_mode",
                            .reloadable = false}),
  };
}

}  // namespace penstock::config
