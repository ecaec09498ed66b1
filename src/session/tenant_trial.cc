#include "session/tenant_trial.h"

#include <fmt/format.h>

#include "catalog/host_port.h"
#include "session/pool_plan.h"
#include "session/pool_query.h"
#include "session/pool_set.h"

namespace penstock::session {

namespace {

using model::TenantSpec;
using model::UserSpec;

// The role to log in as, and where.
struct Subject {
  const UserSpec& user;
  std::string role;
  std::string database;
  bool runs_auth_query;
};

Subject subject_of(const TenantSpec& tenant, const UserSpec& user) {
  Subject subject{
      .user = user,
      .role = user.upstream_user.empty() ? user.name : user.upstream_user,
      .database = tenant.upstream_database,
      .runs_auth_query = !tenant.auth_query.empty() && !tenant.require_user && tenant.auth_user == user.name};
  if (subject.runs_auth_query && !tenant.auth_database.empty()) subject.database = tenant.auth_database;
  if (subject.database.empty()) subject.database = "postgres";  // clients will name theirs
  return subject;
}

base::Error explain(const TenantSpec& tenant, const Subject& subject, base::Error error) {
  std::string hosts;
  for (const model::HostPort& host : tenant.hosts) {
    hosts += (hosts.empty() ? "" : ", ") + catalog::to_text(host);
  }
  error.message = fmt::format("user \"{}\" cannot use database \"{}\" at {}: {}", subject.role,
                              subject.database, hosts, error.message);
  return error;
}

base::Status judge(const Subject& subject, const std::vector<Row>& rows) {
  if (!subject.runs_auth_query) return {};
  const bool is_right = rows.size() == 1 && rows.front().size() == 2 && rows.front()[0] == subject.role;
  if (is_right) return {};
  return base::fail(
      base::kInvalidParameterValue,
      fmt::format("auth_query must return one row of name and secret for user \"{}\", not {} row(s) of "
                  "{} column(s)",
                  subject.role, rows.size(), rows.empty() ? 0 : rows.front().size()));
}

// A pool of its own for one connection, which dies at the end of a turn: it may be on the stack. It has a ledger of its
// own as well: that the tenant's places are taken says nothing against it, and its real pools give up nothing.
class TrialPool {
 public:
  TrialPool(const pool::PoolHome& home, std::string key, pool::PoolConfig config) : loop_(home.tools.loop) {
    config.size = 1;
    config.min_size = config.reserve_size = 0;
    auto hub = std::make_shared<pool::PoolHub>(std::make_shared<upstream::Schema>(), home.worker + 1);
    // Its connections are nobody's: they are not counted.
    const pool::PoolHome own{
        .worker = home.worker, .tools = home.tools, .settings = home.settings, .ledger = parts_->ledger};
    parts_->pool =
        std::make_shared<pool::Pool>(own, std::move(key) + kKeyMark + "trial",
                                     std::make_shared<const pool::PoolConfig>(config), std::move(hub));
  }
  TrialPool(const TrialPool&) = delete;
  ~TrialPool() {
    loop_.defer([parts = std::move(parts_)] {});
  }
  pool::Pool& operator*() { return *parts_->pool; }

 private:
  struct Parts {
    pool::Ledger ledger;
    std::shared_ptr<pool::Pool> pool;  // goes first
  };
  io::Loop& loop_;
  std::shared_ptr<Parts> parts_ = std::make_shared<Parts>();
};

io::Task<base::Status> try_user(pool::PoolHome home, std::shared_ptr<const config::Settings> settings,
                                model::TenantPtr tenant, const UserSpec& user, base::TimePoint deadline) {
  const Subject subject = subject_of(*tenant, user);
  const auto config = make_pool_config(settings, {.tenant = tenant,
                                                  .user = &user,
                                                  .client_user = user.name,
                                                  .user_name = subject.role,
                                                  .database = subject.database,
                                                  .credentials = credentials_of(&user, std::nullopt),
                                                  .parameters = {}});
  if (!config) co_return base::fail(explain(*tenant, subject, config.error()));
  TrialPool pool(home, pool_key(*tenant, &user, user.name, subject.database), **config);
  const std::string_view sql =
      subject.runs_auth_query ? std::string_view(tenant->auth_query) : "SELECT $1::text";
  const auto rows = co_await PoolQuery(*pool, sql, subject.role, deadline);
  if (rows) {
    auto judged = judge(subject, *rows);
    if (!judged) co_return base::fail(explain(*tenant, subject, judged.error()));
    co_return base::Status{};
  }
  base::Error error = rows.error();
  if (home.tools.loop.now() >= deadline) {
    const base::Error* cause = (*pool).last_error();
    error = cause != nullptr ? *cause
                             : base::Error{.sqlstate = base::kConnectionFailure,
                                           .message = fmt::format("no answer within {} s",
                                                                  kTrialPatience / std::chrono::seconds(1))};
  }
  co_return base::fail(explain(*tenant, subject, std::move(error)));
}

}  // namespace

io::Task<base::Status> try_tenant(pool::PoolHome home, std::shared_ptr<const config::Settings> settings,
                                  model::TenantPtr tenant) {
  const base::TimePoint deadline = home.tools.loop.now() + kTrialPatience;
  for (const UserSpec& user : tenant->users) {
    const bool has_certificate = !tenant->upstream_tls_cert_file.empty();
    if (!credentials_of(&user, std::nullopt).first.usable() && !has_certificate) continue;
    auto status = co_await try_user(home, settings, tenant, user, deadline);
    if (!status) co_return base::fail(std::move(status.error()));
  }
  co_return base::Status{};
}

}  // namespace penstock::session
