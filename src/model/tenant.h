// What a tenant is: plain values, as the catalog stores them and every other module reads them.
//
// Home: SHARED (immutable once in a CatalogSnapshot).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace penstock::model {

enum class PoolMode : std::uint8_t { kTransaction, kSession, kStatement };
// libpq's sslmode words, for both directions.
enum class TlsMode : std::uint8_t { kDisable, kAllow, kPrefer, kRequire, kVerifyCa, kVerifyFull };
// How clients prove who they are.
enum class AuthMethod : std::uint8_t { kScram, kMd5, kPassword, kCertificate, kTrust, kPeer };

// Which addresses of a host name are used.
enum class IpVersion : std::uint8_t { kAuto, kV4, kV6 };

// What a member of a cluster is there for.
enum class ClusterRole : std::uint8_t { kWrite, kRead };

// A moment by the calendar, for what is shown and what ends at a date.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

// A place where Postgres listens. `host` is a name, an IP address, a socket directory ("/run/postgresql") or
// an abstract socket ("@name").
struct HostPort {
  std::string host = {};
  std::uint16_t port = 5432;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// Limits and times that tenants and users may set for themselves; empty: as the next larger scope.
struct PoolOverrides {
  std::optional<PoolMode> pool_mode = {};
  std::optional<int> pool_size = {};            // upstreams
  std::optional<int> min_pool_size = {};        // upstreams
  std::optional<int> reserve_pool_size = {};    // upstreams
  std::optional<int> max_clients = {};          // clients logged in at the same time
  std::optional<int> max_upstreams = {};        // upstreams over all pools of this scope
  std::optional<int> max_waiting_clients = {};  // of one pool
  std::optional<int> pool_size_percent = {};    // of the server's max_connections
  std::optional<std::chrono::milliseconds> query_timeout = {};
  std::optional<std::chrono::milliseconds> query_wait_timeout = {};
  std::optional<std::chrono::milliseconds> transaction_timeout = {};
  std::optional<std::chrono::milliseconds> idle_transaction_timeout = {};
  std::optional<std::chrono::milliseconds> client_idle_timeout = {};
  std::optional<std::chrono::milliseconds> slow_query = {};
  friend bool operator==(const PoolOverrides&, const PoolOverrides&) = default;
};

struct UserSpec {
  std::string name = {};  // as clients write it, without the tenant
  // What the client must prove: plain text, "md5" + 32 hex digits, or "SCRAM-SHA-256$…". Empty:
  // ask auth_query.
  std::optional<std::string> secret = {};
  // While a password is being changed: the one before, which is as good as `secret` until that moment (empty: until it
  // is taken away).
  std::optional<std::string> previous_secret = {};
  std::optional<WallTime> previous_secret_until = {};
  std::string upstream_user = {};  // empty: `name`
  // Plain text or md5; empty: `secret`, or the keys of the client's login.
  std::optional<std::string> upstream_secret = {};
  std::optional<std::string> previous_upstream_secret = {};  // tried when the server refuses the one above
  std::optional<AuthMethod> auth_method = {};                // empty: the tenant's
  std::optional<int> guaranteed_pool_size = {};  // upstreams that other users of the tenant cannot take
  PoolOverrides overrides = {};
  friend bool operator==(const UserSpec&, const UserSpec&) = default;
};

struct TenantSpec {
  std::string id = {};                 // 1 to 63 characters: letters, digits, '_', '-'
  std::vector<HostPort> hosts = {};    // tried in turn
  std::string upstream_database = {};  // empty: the database the client names
  TlsMode upstream_tls = TlsMode::kPrefer;
  std::string upstream_tls_ca_file = {};
  std::string upstream_tls_cert_file = {};
  std::string upstream_tls_key_file = {};
  std::vector<std::string> sni_names = {};  // TLS server names that lead here
  // The cluster it is a member of ("user.cluster.ALIAS" leads there); empty: none.
  std::string cluster = {};
  ClusterRole cluster_role = ClusterRole::kWrite;
  bool cluster_standby = false;             // a member, but nobody is led to it
  std::vector<std::string> databases = {};  // database names that lead here, as in PgBouncer's [databases]
  AuthMethod auth_method = AuthMethod::kScram;
  bool require_tls = false;
  // Reads a role's secret as `auth_user`: two columns, name and secret; $1 is the name. Empty: only listed
  // users.
  std::string auth_query = {};
  std::string auth_user = {};      // one of `users`
  std::string auth_database = {};  // empty: upstream_database or the client's
  bool require_user = false;       // only listed users, whatever auth_query knows
  std::string connect_query = {};  // run once on every new upstream
  // Networks clients may come from ("10.0.0.0/8"); empty: all.
  std::vector<std::string> allow_list = {};
  bool banned = false;
  std::string ban_reason = {};
  std::optional<WallTime> banned_at = {};
  std::optional<WallTime> banned_until = {};  // empty: until it is lifted
  IpVersion ip_version = IpVersion::kAuto;
  std::string upstream_tls_ca = {};  // PEM, instead of a file
  std::string availability_zone = {};
  std::optional<std::chrono::milliseconds> client_heartbeat_interval = {};
  std::optional<int> max_pools = {};
  std::optional<int> connects_per_second = {};
  std::optional<int> queries_per_second = {};
  std::optional<int> bytes_per_second = {};
  bool use_jit = false;
  std::string jit_api_url = {};
  std::map<std::string, std::string> feature_flags = {};
  // What a client is told of the server before any server has been asked.
  std::map<std::string, std::string> default_parameter_status = {};
  // Start-up parameters unless the client sends its own.
  std::map<std::string, std::string> default_parameters = {};
  PoolOverrides overrides = {};
  std::vector<UserSpec> users = {};
  friend bool operator==(const TenantSpec&, const TenantSpec&) = default;
};

}  // namespace penstock::model
