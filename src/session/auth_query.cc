#include "session/auth_query.h"

#include <algorithm>

#include "io/await.h"
#include "session/absence.h"
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
// The longest that a pool is waited for, and how often it is looked whether there is room for one more.
constexpr base::Duration kRoomPatience = std::chrono::seconds(5);
constexpr base::Duration kLookAgain = std::chrono::milliseconds(20);
// NAMEDATALEN of Postgres, without the end: no role and no database has a longer name.
constexpr std::size_t kNameBytesMax = 63;

// Not on the server as a whole, or on what we log in to it with: those have the pool's pauses between attempts.
bool depends_on_database(const base::Error& error) {
  return !is_absence(error) && error.sqlstate.category() != "28";
}

// Where the secrets of this client are read.
std::string_view database_for(const model::TenantSpec& tenant, std::string_view database) {
  return tenant.auth_database.empty() ? database : std::string_view(tenant.auth_database);
}

}  // namespace

std::string AuthQuery::key(const model::TenantSpec& tenant, std::string_view user,
                           std::string_view database) {
  std::string key = tenant.id;
  for (const std::string_view part : {database_for(tenant, database), user}) {
    key += '\0';
    key += part;
  }
  return key;
}

void AuthQuery::doubt(const model::TenantSpec& tenant, std::string_view user, std::string_view database,
                      base::TimePoint now) {
  const auto found = answers_.find(key(tenant, user, database));
  if (found == answers_.end() || now - found->second.read_at < kCertainFor) return;
  found->second.fresh_until = {};
}

io::Task<base::Result<std::shared_ptr<pool::Pool>>> AuthQuery::find_pool(SessionHome& home,
                                                                         model::TenantPtr tenant,
                                                                         std::string database,
                                                                         base::TimePoint deadline) {
  const model::UserSpec* reader = model::CatalogSnapshot::find_user(*tenant, tenant->auth_user);
  if (reader == nullptr) {
    co_return base::fail(base::kConfigFileError,
                         "the auth_user of tenant \"" + tenant->id + "\" is not one of its users");
  }
  const std::string pool_name = pool_key(*tenant, reader, reader->name, database);
  pool::PoolConfigPtr config;
  for (;;) {
    if (auto pool = home.pools.find(pool_name)) co_return pool;
    if (config == nullptr) {
      auto made =
          make_pool_config(home.instructions.settings, {.tenant = tenant,
                                                        .user = reader,
                                                        .client_user = reader->name,
                                                        .user_name = role_at_server(reader, reader->name),
                                                        .database = database,
                                                        .credentials = credentials_of(reader, std::nullopt),
                                                        .parameters = {}});
      if (!made) co_return base::fail(std::move(made.error()));
      config = std::move(*made);
    }
    if (home.pools.may_try_another(tenant->id, kTrialsMax)) {
      if (auto pool = home.pools.find_or_make_if_room(pool_name, config)) {
        catch_up(home, *pool);
        co_return pool;
      }
      home.drop_unused_pools(tenant->id);
    }
    if (home.loop.now() >= deadline) {
      co_return base::fail(base::kTooManyConnections,
                           "no more pools allowed for tenant \"" + tenant->id + "\"");
    }
    co_await io::SleepAwait(home.loop, kLookAgain);
  }
}

io::Task<base::Result<AuthQuery::Secret>> AuthQuery::ask(SessionHome& home, model::TenantPtr tenant,
                                                         std::string user, std::string database,
                                                         base::TimePoint deadline) {
  const base::TimePoint until = std::min(deadline, home.loop.now() + kRoomPatience);
  auto pool = co_await find_pool(home, tenant, std::move(database), until);
  if (!pool) co_return base::fail(std::move(pool.error()));
  auto rows = co_await PoolQuery(**pool, tenant->auth_query, user, deadline);
  if (!rows) {
    if (depends_on_database(rows.error())) home.pools.give_up(std::move(*pool));
    co_return base::fail(std::move(rows.error()));
  }
  if (rows->empty()) co_return std::nullopt;
  Row& row = rows->front();
  if (row.size() != 2) {
    co_return base::fail(base::kInvalidParameterValue, "the auth_query of tenant \"" + tenant->id +
                                                           "\" must return two columns: name and secret");
  }
  if (row[0] != user) co_return std::nullopt;
  co_return std::move(row[1]);
}

io::Task<base::Result<std::optional<std::string>>> AuthQuery::read(SessionHome& home, model::TenantPtr tenant,
                                                                   std::string user, std::string database,
                                                                   base::TimePoint deadline) {
  database = std::string(database_for(*tenant, database));
  if (user.size() > kNameBytesMax || database.size() > kNameBytesMax) co_return std::nullopt;
  const std::string name = key(*tenant, user, database);
  std::optional<Answer> remembered;
  if (const auto known = answers_.find(name); known != answers_.end()) {
    if (known->second.fresh_until > home.loop.now()) co_return known->second.secret;
    if (known->second.good_until > home.loop.now()) remembered = known->second;
  }
  if (remembered.has_value()) deadline = std::min(deadline, home.loop.now() + kPatience);
  auto secret = co_await ask(home, tenant, user, std::move(database), deadline);
  if (!secret && remembered.has_value()) co_return std::move(remembered->secret);
  const bool is_answer = secret || secret.error().sqlstate == base::kInvalidCatalogName;
  if (!is_answer) co_return secret;
  const config::Settings& settings = *home.instructions.settings;
  const base::TimePoint now = home.loop.now();
  Answer answer{.secret = secret, .read_at = now, .fresh_until = {}, .good_until = {}};
  if (secret && secret->has_value()) {
    answer.good_until = now + settings.auth_query_cache_ttl;
    answer.fresh_until = std::min(answer.good_until, now + kFreshFor);
  } else {
    answer.fresh_until = answer.good_until = now + settings.auth_query_negative_ttl;
  }
  remember(name, std::move(answer), now);
  co_return secret;
}

void AuthQuery::remember(std::string name, Answer answer, base::TimePoint now) {
  if (answers_.size() >= sweep_at_) {
    std::erase_if(answers_, [&](const auto& entry) { return entry.second.good_until <= now; });
    if (answers_.size() >= kEntriesMax) answers_.clear();
    sweep_at_ = std::max(kSweepFrom, 2 * answers_.size());
  }
  answers_.insert_or_assign(std::move(name), std::move(answer));
}

}  // namespace penstock::session
