#include "session/auth_query.h"

#include "session/pool_plan.h"
#include "session/pool_query.h"
#include "session/pool_set.h"

namespace penstock::session {

std::string AuthQuery::key(const model::TenantSpec& tenant, std::string_view user) {
  return tenant.id + '/' + std::string(user);
}

void AuthQuery::forget(const model::TenantSpec& tenant, std::string_view user) {
  answers_.erase(key(tenant, user));
}

io::Task<base::Result<std::optional<std::string>>> AuthQuery::read(SessionHome& home, model::TenantPtr tenant,
                                                                   std::string user, std::string database,
                                                                   base::TimePoint deadline) {
  const std::string name = key(*tenant, user);
  const auto known = answers_.find(name);
  if (known != answers_.end() && known->second.good_until > home.loop.now()) co_return known->second.secret;

  const config::Settings& settings = *home.instructions.settings;
  const model::UserSpec* reader = model::CatalogSnapshot::find_user(*tenant, tenant->auth_user);
  if (reader == nullptr) {
    co_return base::fail(base::kConfigFileError,
                         "the auth_user of tenant \"" + tenant->id + "\" is not one of its users");
  }
  if (!tenant->auth_database.empty()) database = tenant->auth_database;
  const std::string upstream_user = reader->upstream_user.empty() ? reader->name : reader->upstream_user;
  const std::string pool_name = pool_key(*tenant, upstream_user, database);
  std::shared_ptr<pool::Pool> pool = home.pools.find(pool_name);
  if (pool == nullptr) {
    upstream::Credential credential;
    const auto& text = reader->upstream_secret.has_value() ? reader->upstream_secret : reader->secret;
    if (text.has_value()) credential.secret = auth::Secret::parse(*text);
    auto config = make_pool_config(settings, {.tenant = tenant,
                                              .user = reader,
                                              .client_user = reader->name,
                                              .user_name = upstream_user,
                                              .database = database,
                                              .credential = std::move(credential),
                                              .parameters = {}});
    if (!config) co_return base::fail(std::move(config.error()));
    pool = home.pools.find_or_make(pool_name, *config);
  }
  auto rows = co_await PoolQuery(*pool, tenant->auth_query, user, deadline);
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
  const auto ttl =
      answer.secret.has_value() ? settings.auth_query_cache_ttl : settings.auth_query_negative_ttl;
  answer.good_until = home.loop.now() + ttl;
  if (answers_.size() >= kEntriesMax) answers_.clear();
  auto secret = answer.secret;
  answers_[name] = std::move(answer);
  co_return secret;
}

}  // namespace penstock::session
