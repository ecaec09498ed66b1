// Settings: what one process is told by its file, its environment and --set; plain values.
//
// What each member means to users, its range and whether a reload changes it stand once, in table.cc; the
// manual page docs/manual/configuration.md is made from there. Limits: 0 is "no limit"; times: 0 is "off".
//
// Home: SHARED (immutable once loaded; a reload makes a new one).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/tenant.h"

namespace penstock::config {

enum class IoBackend : std::uint8_t { kAuto, kIoUring, kEpoll };
enum class LogFormat : std::uint8_t { kText, kJson };
enum class LogLevel : std::uint8_t { kError, kWarning, kInfo, kDebug };

// [[listener]]
struct ListenerSettings {
  // An IP address, "*" (IPv4 and IPv6), "/dir" (a Unix socket .s.PGSQL.<port> in it) or "@name" (abstract
  // socket).
  std::string address = "127.0.0.1";
  std::uint16_t port = 6432;
  std::optional<model::PoolMode> pool_mode;  // forces the mode of everybody who comes in here
  int unix_mode = 0777;                      // permissions of the socket file
  friend bool operator==(const ListenerSettings&, const ListenerSettings&) = default;
};

// What the pools of one process can be shared by.
inline constexpr int kWorkersMax = 64;

struct Settings {
  using Milliseconds = std::chrono::milliseconds;

  std::vector<ListenerSettings> listeners = {ListenerSettings{}};

  // [server]
  int workers = 0;  // 0: one per core
  IoBackend io_backend = IoBackend::kAuto;
  std::string catalog = "penstock.db";
  std::string catalog_key_file;
  std::string catalog_copy_file;  // of a catalog in Postgres
  bool catalog_migrate = true;
  std::string default_tenant = "default";
  std::string pid_file;
  int listen_backlog = 4096;
  int busy_poll_us = 0;

  // [client_tls]
  model::TlsMode client_tls_mode =
      model::TlsMode::kPrefer;  // without a certificate, prefer and allow mean disable
  std::string client_tls_cert_file;
  std::string client_tls_key_file;
  std::string client_tls_ca_file;
  std::string client_tls_min_protocol = "1.2";
  std::string client_tls_ciphers;  // empty: OpenSSL's default
  bool client_tls_compact = false;
  int tls_handshakes_per_second = 500;  // per worker

  // [auth]
  bool allow_cleartext_without_tls = false;
  Milliseconds auth_query_cache_ttl = std::chrono::seconds{60};
  Milliseconds auth_query_negative_ttl = std::chrono::seconds{2};
  int scram_iterations = 4096;
  int ban_failures = 20;  // wrong passwords; 0: nobody is banned
  Milliseconds ban_window = std::chrono::seconds{150};
  Milliseconds ban_time = std::chrono::seconds{120};
  std::vector<std::string> ban_exempt = {"127.0.0.0/8", "::1"};

  // [pool]: for all tenants; a tenant and its users may set their own (model::PoolOverrides)
  model::PoolMode pool_mode = model::PoolMode::kTransaction;
  int pool_size = 20;
  int min_pool_size = 0;
  int reserve_pool_size = 0;
  Milliseconds reserve_pool_timeout = std::chrono::seconds{5};
  int max_clients = 10000;  // in this process
  int max_clients_per_tenant = 0;
  int max_clients_per_user = 0;
  int max_clients_per_database = 0;
  int max_upstreams = 0;  // of this process
  int max_upstreams_per_tenant = 0;
  int max_upstreams_per_user = 0;
  int max_upstreams_per_database = 0;
  int max_waiting_clients = 0;    // per pool
  int connects_per_second = 100;  // per host
  Milliseconds upstream_lifetime = std::chrono::hours{1};
  Milliseconds upstream_idle_timeout = std::chrono::minutes{10};
  Milliseconds upstream_check_delay = std::chrono::seconds{30};
  std::string upstream_check_query;  // empty: Postgres' empty query
  std::string reset_query = "DISCARD ALL";
  int max_prepared_statements = 200;  // per upstream
  std::vector<std::string> ignore_startup_parameters;
  bool application_name_add_host = false;

  // [timeouts]
  Milliseconds client_login_timeout = std::chrono::seconds{60};
  Milliseconds query_wait_timeout = std::chrono::seconds{120};
  Milliseconds query_timeout{0};
  Milliseconds transaction_timeout{0};
  Milliseconds idle_transaction_timeout{0};
  Milliseconds client_idle_timeout{0};
  Milliseconds upstream_connect_timeout = std::chrono::seconds{15};
  Milliseconds upstream_login_timeout = std::chrono::seconds{15};
  Milliseconds upstream_login_retry = std::chrono::seconds{1};  // the first pause after a failure; doubles …
  Milliseconds upstream_login_retry_max = std::chrono::seconds{15};  // … up to this
  Milliseconds cancel_wait_timeout = std::chrono::seconds{10};
  Milliseconds drain_timeout = std::chrono::seconds{30};
  Milliseconds dns_ttl_max = std::chrono::seconds{30};

  // [tcp]: both directions
  bool tcp_keepalive = true;
  Milliseconds tcp_keepalive_idle{0};      // 0: the system's; whole seconds
  Milliseconds tcp_keepalive_interval{0};  // 0: the system's; whole seconds
  int tcp_keepalive_count = 0;             // 0: the system's
  Milliseconds tcp_user_timeout{0};        // 0: the system's

  // [log]
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  std::string log_file;  // empty: stderr
  bool log_connections = true;
  bool log_disconnections = true;
  bool log_pooler_errors = true;
  int log_events_per_second = 200;  // per kind of event
  Milliseconds query_wait_notify = std::chrono::seconds{5};
  Milliseconds log_slow_query{0};
  std::string log_slow_query_text = "normalized";

  // [api]
  std::string api_address = "127.0.0.1";
  std::uint16_t api_port = 0;  // 0: off
  std::string api_tls_cert_file;
  std::string api_tls_key_file;
  std::string api_tls_ca_file;
  bool api_require_client_certificate = false;
  int api_max_connections = 256;
  std::size_t api_body_bytes_max = std::size_t{1} << 20;
  int api_requests_per_second = 100;  // per address
  std::string api_token_secret_file;
  std::string api_token_public_key_file;
  std::string api_metrics_token_secret_file;
  bool api_tokens_need_expiry = true;
  std::vector<std::string> api_token_claims;
  std::string api_token_deny_file;
  bool api_metrics_without_token = false;
  int api_metrics_pools_max = 20000;

  // [limits]
  std::size_t message_bytes_max = std::size_t{1} << 30;
  std::size_t startup_bytes_max = 10000;
  // The largest named statement that may move between upstreams; larger ones pin their client.
  std::size_t statement_bytes_max = std::size_t{1} << 20;

  friend bool operator==(const Settings&, const Settings&) = default;
};

}  // namespace penstock::config
