#include "session/auth_query.h"

#include <algorithm>

#include "session/pool_plan.h"
#include "session/pool_query.h"
#include "session/pool_set.h"

namespace penstock::session {

namespace {

// How long a secret is used without asking again.
constexpr base::Duration kFreshFor = std::chrono::seconds(1);
// How long an answer is not even doubted: many log-ins that fail together ask once.
constexpr base::Duration kCertainFor = std::chrono::milliseconds(100);
// How long a server is waited for when an older answer would do.
constexpr base::Duration kPatience = std::chrono::seconds(2);

}  // namespace

std::string AuthQuery::key(const model::TenantSpec& tenant, std::string_view user) {
  return tenant.id + '/' + std::string(user);
}

void AuthQuery::doubt(const model::TenantSpec& tenant, std::string_view user, base::TimePoint now) {
  const auto found = answers_.find(key(tenant, user));
  if (found == answers_.end() || now - found->second.read_at < kCertainFor) return;
  found->second.fresh_until = {};
}

base::Result<std::shared_ptr<pool::Pool>> AuthQuery::find_pool(SessionHome& home,
                                                               const model::TenantPtr& tenant,
                                                               std::string database) {
  const model::UserSpec* reader = model::CatalogSnapshot::find_user(*tenant, tenant->auth_user);
  if (reader == nullptr) {
    return base::fail(base::kConfigFileError,
                      "the auth_user of tenant \"" + tenant->id + "\" is not one of its users");
  }
  if (!tenant->auth_database.empty()) database = tenant->auth_database;
  const std::string pool_name = pool_key(*tenant, reader, reader->name, database);
  if (auto pool = home.pools.find(pool_name)) return pool;
  auto config =
      make_pool_config(*home.instructions.settings, {.tenant = tenant,
                                                     .user = reader,
                                                     .client_user = reader->name,
                                                     .user_name = role_at_server(reader, reader->name),
                                                     .database = std::move(database),
                                                     .credentials = credentials_of(reader, std::nullopt),
                                                     .parameters = {}});
  if (!config) return std::unexpected(std::move(config.error()));
  auto pool = home.pools.find_or_make(pool_name, *config);
  catch_up(home, *pool);
  return pool;
}

io::Task<base::Result<std::optional<std::string>>> AuthQuery::read(SessionHome& home, model::TenantPtr tenant,
                                                                   std::string user, std::string database,
                                                                   base::TimePoint deadline) {
  const std::string name = key(*tenant, user);
  std::optional<Answer> remembered;
  if (const auto known = answers_.find(name); known != answers_.end()) {
    if (known->second.fresh_until > home.loop.now()) co_return known->second.secret;
    if (known->second.good_until > home.loop.now()) remembered = known->second;
  }
  auto pool = find_pool(home, tenant, std::move(database));
  if (!pool) co_return base::fail(std::move(pool.error()));
  if (remembered.has_value()) deadline = std::min(deadline, home.loop.now() + kPatience);
  auto rows = co_await PoolQuery(**pool, tenant->auth_query, user, deadline);
  if (!rows && remembered.has_value()) co_return std::move(remembered->secret);
  if (!rows) co_return base::fail(std::move(rows.error()));
  Answer answer;
  if (!rows->empty()) {
    Row& row = rows->front();
    if (row.size() != 2) {
      co_return base::fail(base::kInvalidParameterValue, "the auth_query of tenant \"" + tenant->id +
                                                             "\" must return two columns: name and secret");
    }
    if (row[0] == user) answer.secret = std::move(row[1]);
  }
  const config::Settings& settings = *home.instructions.settings;
  const base::TimePoint now = home.loop.now();
  answer.read_at = now;
  if (answer.secret.has_value()) {
    answer.good_until = now + settings.auth_query_cache_ttl;
    answer.fresh_until = std::min(answer.good_until, now + kFreshFor);
  } else {
    answer.fresh_until = answer.good_until = now + settings.auth_query_negative_ttl;
  }
  if (answers_.size() >= kEntriesMax) answers_.clear();
  auto secret = answer.secret;
  answers_[name] = std::move(answer);
  co_return secret;
}

}  // namespace penstock::session
