#include "session/pool_plan.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "model/guarantee.h"
#include "session/pool_set.h"
#include "telemetry/log.h"
#include "tls/shared_context.h"

namespace penstock::session {

namespace log = telemetry::log;

namespace {

// So long a connection stays idle where only those clients are left who came before their user got another pool.
constexpr std::chrono::milliseconds kIdleWhereLeft{1000};

// `owner`: the client's user whose secret logs in; empty: the upstream_secret.
std::string key_of(const pool::PoolName& name, std::string_view owner) {
  return name.tenant + kKeyMark + name.database + kKeyMark + name.user + kKeyMark + std::string(owner);
}

}  // namespace

std::string role_at_server(const model::UserSpec* user, std::string_view client_user) {
  return user != nullptr ? model::role_of(*user) : std::string(client_user);
}

std::string pool_key(const model::TenantSpec& tenant, const model::UserSpec* user,
                     std::string_view client_user, std::string_view database) {
  const bool is_shared = user != nullptr && user->upstream_secret.has_value();
  return key_of(
      {.tenant = tenant.id, .database = std::string(database), .user = role_at_server(user, client_user)},
      is_shared ? std::string_view() : client_user);
}

std::vector<std::string> pool_keys(const model::TenantSpec& tenant, const pool::PoolName& name) {
  std::vector<std::string> keys = {key_of(name, {}), key_of(name, name.user)};
  for (const model::UserSpec& user : tenant.users) {
    if (user.name != name.user && model::role_of(user) == name.user) {
      keys.push_back(key_of(name, user.name));
    }
  }
  return keys;
}

std::string replication_key(const pool::PoolName& name) {
  return key_of(name, {}) + kKeyMark + "replication";
}

namespace {

// What one user, the tenant and the process say of one thing: the nearest to the user counts.
struct Terms {
  const model::PoolOverrides& of_user;
  const model::PoolOverrides& of_tenant;

  template <class Member, class Value>
  Value chosen(Member member, Value otherwise) const {
    return (of_user.*member).value_or((of_tenant.*member).value_or(otherwise));
  }
  // Of the two, the one that is set nearer to the user.
  int size_percent() const {
    return of_user.pool_size_percent.value_or(
        of_user.pool_size.has_value() ? 0 : of_tenant.pool_size_percent.value_or(0));
  }
};

bool shares_pools_of(const model::UserSpec& user, const std::string& role) {
  return user.upstream_secret.has_value() && model::role_of(user) == role;
}

// Those in the catalog whose connections this pool holds; one without wishes, if there are none.
std::vector<const model::UserSpec*> users_of(const PoolWish& wish) {
  static const model::UserSpec kUnlisted;
  if (wish.user == nullptr) return {&kUnlisted};
  std::vector<const model::UserSpec*> users = {wish.user};
  if (!wish.user->upstream_secret.has_value()) return users;
  for (const model::UserSpec& user : wish.tenant->users) {
    if (shares_pools_of(user, wish.user_name)) users.push_back(&user);
  }
  return users;
}

// Users who share a pool may want it different: it is as large as the one of them says who wants it largest, whoever
// came first. What concerns a client alone is not the pool's.
void settle_users_terms(pool::PoolConfig& config, const config::Settings& settings, const PoolWish& wish) {
  using model::PoolOverrides;
  const PoolOverrides& of_tenant = wish.tenant->overrides;
  const auto larger = [](int a, int b) { return a == 0 || b == 0 ? 0 : std::max(a, b); };  // 0: no limit
  config.slow_query = of_tenant.slow_query.value_or(settings.log_slow_query);
  bool is_first = true;
  for (const model::UserSpec* user : users_of(wish)) {
    const Terms terms{user->overrides, of_tenant};
    const auto mode = terms.chosen(&PoolOverrides::pool_mode, settings.pool_mode);
    const int size = terms.chosen(&PoolOverrides::pool_size, settings.pool_size);
    const int waiting = terms.chosen(&PoolOverrides::max_waiting_clients, settings.max_waiting_clients);
    const int upstreams = user->overrides.max_upstreams.value_or(settings.max_upstreams_per_user);
    const bool is_alone = std::exchange(is_first, false);
    if (is_alone) config.mode = mode;
    if (config.mode != mode) config.mode.reset();
    config.size = is_alone ? size : larger(config.size, size);
    config.max_waiting = is_alone ? waiting : larger(config.max_waiting, waiting);
    config.max_upstreams_of_user = is_alone ? upstreams : larger(config.max_upstreams_of_user, upstreams);
    config.size_percent = std::max(config.size_percent, terms.size_percent());
    config.min_size =
        std::max(config.min_size, terms.chosen(&PoolOverrides::min_pool_size, settings.min_pool_size));
    config.reserve_size = std::max(
        config.reserve_size, terms.chosen(&PoolOverrides::reserve_pool_size, settings.reserve_pool_size));
    if (user->overrides.slow_query) config.slow_query_of.emplace(user->name, *user->overrides.slow_query);
  }
}

}  // namespace

base::Result<pool::PoolConfigPtr> make_pool_config(const std::shared_ptr<const config::Settings>& made_from,
                                                   PoolWish wish) {
  const config::Settings& settings = *made_from;
  const model::TenantSpec& tenant = *wish.tenant;
  auto plan = std::make_shared<upstream::DialPlan>();
  plan->hosts = tenant.hosts;
  plan->user = wish.user_name;
  plan->database = wish.database;
  plan->credential = std::move(wish.credentials.first);
  plan->other_credential = std::move(wish.credentials.other);
  plan->parameters = std::move(wish.parameters);
  // Of a parameter given twice the server takes the last: the client's own goes before the tenant's.
  const std::size_t own = plan->parameters.size();
  for (const auto& [name, value] : tenant.default_parameters) {
    const auto asked = std::span(plan->parameters).first(own);
    const auto same = [&](const auto& parameter) { return upstream::same_name(parameter.first, name); };
    if (std::ranges::none_of(asked, same)) plan->parameters.emplace_back(name, value);
  }
  plan->ip_version = tenant.ip_version;
  plan->tls_mode = tenant.upstream_tls;
  plan->connect_timeout = settings.upstream_connect_timeout;
  plan->login_timeout = settings.upstream_login_timeout;
  if (wish.tls.has_value()) {
    plan->tls = *std::move(wish.tls);
  } else if (tenant.upstream_tls != model::TlsMode::kDisable) {
    tls::ClientOptions options;
    options.mode = tenant.upstream_tls;
    options.ca_file = tenant.upstream_tls_ca_file;
    options.ca_pem = tenant.upstream_tls_ca;
    options.cert_file = tenant.upstream_tls_cert_file;
    options.key_file = tenant.upstream_tls_key_file;
    auto tls = tls::shared_client_context(options);
    if (!tls) return std::unexpected(std::move(tls.error()));
    plan->tls = std::move(*tls);
  }

  auto config = std::make_shared<pool::PoolConfig>();
  config->tenant = tenant.id;
  config->tenant_spec = wish.tenant;
  config->settings = made_from;
  config->client_user = wish.client_user;
  config->database = plan->database;
  config->user = plan->user;
  config->plan = std::move(plan);
  config->connect_query = tenant.connect_query;
  config->reset_query = settings.reset_query;
  config->check_query = settings.upstream_check_query;
  settle_users_terms(*config, settings, wish);
  config->max_upstreams_of_tenant =
      tenant.overrides.max_upstreams.value_or(settings.max_upstreams_per_tenant);
  config->guaranteed_of_tenant = model::guaranteed_to_all(tenant);
  config->guaranteed_of_user = model::guaranteed_to(tenant, wish.user_name);
  config->max_upstreams_of_database = settings.max_upstreams_per_database;
  config->max_upstreams_of_process = settings.max_upstreams;
  config->max_pools = tenant.max_pools.value_or(0);
  config->queries_per_second = tenant.queries_per_second.value_or(0);
  config->bytes_per_second = tenant.bytes_per_second.value_or(0);
  config->connects_per_second = settings.connects_per_second;
  config->prepared_max = static_cast<std::size_t>(std::max(1, settings.max_prepared_statements));
  config->reserve_timeout = settings.reserve_pool_timeout;
  config->lifetime = settings.upstream_lifetime;
  config->idle_timeout = settings.upstream_idle_timeout;
  config->check_delay = settings.upstream_check_delay;
  config->retry = settings.upstream_login_retry;
  config->retry_max = settings.upstream_login_retry_max;
  config->cleanup_timeout = settings.cancel_wait_timeout;
  return config;
}

namespace {

std::string text_of(const upstream::Credential& credential) {
  return credential.secret.has_value() ? credential.secret->to_string() : std::string();
}

bool proves(const upstream::Credential& credential, const auth::ScramKeys& keys) {
  return credential.secret.has_value() && credential.secret->kind() == auth::Secret::Kind::kScram &&
         credential.secret->verifier().stored_key == keys.stored_key();
}

bool same_keys(const std::optional<auth::ScramKeys>& a, const std::optional<auth::ScramKeys>& b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() == b.has_value();
  return a->client_key == b->client_key && a->server_key == b->server_key;
}

bool same_credential(const upstream::Credential& a, const upstream::Credential& b) {
  return text_of(a) == text_of(b) && same_keys(a.keys, b.keys);
}

bool same_tls_files(const model::TenantSpec& a, const model::TenantSpec& b) {
  return a.upstream_tls_ca == b.upstream_tls_ca && a.upstream_tls_ca_file == b.upstream_tls_ca_file &&
         a.upstream_tls_cert_file == b.upstream_tls_cert_file &&
         a.upstream_tls_key_file == b.upstream_tls_key_file;
}

// The tenant wishes for TLS with files that cannot be read. What is in use stays, so that nothing else that has changed
// has to wait; but new hosts are not dialled with less than the tenant wishes.
void keep_tls(const pool::PoolConfig& old, const std::string& trouble, upstream::DialPlan& plan) {
  if (trouble != old.tls_trouble) {
    log::warning("pool.tls_kept",
                 {{"tenant", old.tenant}, {"database", old.database}, {"user", old.user}, {"error", trouble}},
                 "new TLS settings cannot be used; server connections are opened with those before");
  }
  if (plan.tls_mode != old.plan->tls_mode) plan.hosts = old.plan->hosts;
  plan.tls_mode = old.plan->tls_mode;
  plan.tls = old.plan->tls;
}

// Keys of verifiers that are still there, and the credential that works at the front.
void keep_what_is_known(const upstream::DialPlan& old, upstream::DialPlan& plan) {
  const auto remember = [&](upstream::Credential& credential) {
    for (const upstream::Credential* before : {&old.credential, &old.other_credential}) {
      if (before->keys.has_value() && proves(credential, *before->keys)) credential.keys = before->keys;
    }
  };
  remember(plan.credential);
  if (!plan.other_credential.secret.has_value()) {
    // Until a client shows the keys of a new verifier, those of the one before are all there is.
    if (!plan.credential.usable()) plan.other_credential.keys = old.credential.keys;
    return;
  }
  remember(plan.other_credential);
  if (text_of(plan.other_credential) == text_of(old.credential)) {
    std::swap(plan.credential, plan.other_credential);
  }
}

}  // namespace

bool is_listed(const model::UserSpec* user) {
  return user != nullptr && (user->upstream_secret.has_value() || user->secret.has_value());
}

void Credentials::show(const std::optional<auth::ScramKeys>& keys) {
  if (!keys.has_value()) return;
  for (upstream::Credential* credential : {&first, &other}) {
    if (!proves(*credential, *keys)) continue;
    credential->keys = keys;
    return;
  }
  // Perhaps of a verifier that this worker hears of in a moment: they are what is tried last.
  const bool is_verifier = first.secret.has_value() && first.secret->kind() == auth::Secret::Kind::kScram;
  if (is_verifier && !other.secret.has_value()) other.keys = keys;
}

Credentials credentials_of(const model::UserSpec* user, const std::optional<auth::Secret>& asked) {
  const auto parsed = [](const std::optional<std::string>& text) {
    upstream::Credential credential;
    if (text.has_value()) credential.secret = auth::Secret::parse(*text);
    return credential;
  };
  if (user != nullptr && user->upstream_secret.has_value()) {
    return {.first = parsed(user->upstream_secret), .other = parsed(user->previous_upstream_secret)};
  }
  if (user != nullptr && user->secret.has_value()) {
    return {.first = parsed(user->secret), .other = parsed(user->previous_secret)};
  }
  return {.first = {.secret = asked, .keys = {}}, .other = {}};
}

namespace {

// Of those who share a pool, whose secret it logs in with: who has used it so far, as long as it is one of them.
const model::UserSpec* user_of(const pool::Pool& pool, const model::TenantSpec& tenant) {
  const model::UserSpec* before = model::CatalogSnapshot::find_user(tenant, pool.config().client_user);
  const bool is_shared = pool.key().ends_with(kKeyMark);
  if (!is_shared || (before != nullptr && shares_pools_of(*before, pool.config().user))) return before;
  const auto other = std::ranges::find_if(
      tenant.users, [&](const model::UserSpec& user) { return shares_pools_of(user, pool.config().user); });
  return other == tenant.users.end() ? before : &*other;
}

// Whether log-ins go to another pool from now on: those whose it was have got an upstream_secret, have lost it, or are
// another role at the server.
bool is_left(const pool::Pool& pool, const model::TenantSpec& tenant, const model::UserSpec* user) {
  if (user == nullptr) return false;
  return pool_key(tenant, user, user->name, pool.config().database) != pool.key();
}

void follow(SessionHome& home, pool::Pool& pool) {
  const pool::PoolConfig& old = pool.config();
  const model::TenantPtr tenant = home.instructions.catalog->by_id(old.tenant);
  if (tenant == nullptr) {
    auto last = std::make_shared<pool::PoolConfig>(old);
    last->min_size = 0;
    pool.change_credential(std::move(last));
    return pool.retire_upstreams();
  }
  const model::UserSpec* user = user_of(pool, *tenant);
  // Of users that only the server knows, the secret it told us stays.
  PoolWish wish{.tenant = tenant,
                .user = user,
                .client_user = user == nullptr ? old.client_user : user->name,
                .user_name = old.user,
                .database = old.database,
                .credentials = credentials_of(user, old.plan->credential.secret),
                .parameters = {}};
  const bool same_tls = old.tls_trouble.empty() && same_tls_files(*old.tenant_spec, *tenant) &&
                        tenant->upstream_tls == old.plan->tls_mode;
  if (same_tls) wish.tls = old.plan->tls;
  auto config = make_pool_config(home.instructions.settings, wish);
  std::string trouble;
  if (!config) {
    trouble = config.error().message;
    wish.tls = old.plan->tls;
    config = make_pool_config(home.instructions.settings, std::move(wish));
  }
  if (!config) return;
  auto plan = std::make_shared<upstream::DialPlan>(*(*config)->plan);
  keep_what_is_known(*old.plan, *plan);
  if (!trouble.empty()) keep_tls(old, trouble, *plan);
  auto changed = std::make_shared<pool::PoolConfig>(**config);
  changed->plan = std::move(plan);
  changed->tls_trouble = std::move(trouble);
  if (!is_left(pool, *tenant, user)) return pool.change_config(std::move(changed));
  // The other pool may be as large as this one: what no client of this one uses is not kept.
  changed->min_size = 0;
  changed->idle_timeout = kIdleWhereLeft;
  pool.change_config(std::move(changed));
  if (pool.unused()) pool.retire_upstreams();
}

}  // namespace

void follow_settings(SessionHome& home) {
  home.pools.for_each([&](pool::Pool& pool) { follow(home, pool); });
}

void follow_catalog(SessionHome& home, const std::string& tenant) {
  home.pools.for_each_of(tenant, [&](pool::Pool& pool) { follow(home, pool); });
}

void catch_up(SessionHome& home, pool::Pool& pool) {
  const bool same_tenant =
      home.instructions.catalog->by_id(pool.config().tenant) == pool.config().tenant_spec;
  if (!same_tenant || home.instructions.settings != pool.config().settings) follow(home, pool);
}

void renew_credential(pool::Pool& pool, const upstream::Credential& shown) {
  const upstream::DialPlan& old = *pool.config().plan;
  const bool has_it = same_keys(shown.keys, old.credential.keys);
  if (!shown.secret.has_value() && (has_it || !shown.keys.has_value())) return;  // nearly always
  Credentials fresh{.first = old.credential, .other = old.other_credential};
  if (shown.secret.has_value() && text_of(shown) != text_of(fresh.first)) {
    fresh.first = {.secret = shown.secret, .keys = {}};
  }
  fresh.show(shown.keys);
  if (same_credential(fresh.first, old.credential) && same_credential(fresh.other, old.other_credential)) {
    return;
  }
  auto plan = std::make_shared<upstream::DialPlan>(old);
  plan->credential = std::move(fresh.first);
  plan->other_credential = std::move(fresh.other);
  auto config = std::make_shared<pool::PoolConfig>(pool.config());
  config->plan = std::move(plan);
  pool.change_credential(std::move(config));
}

void renew_credential(pool::Pool& pool, const pool::PoolConfig& elsewhere) {
  const upstream::DialPlan& plan = *elsewhere.plan;
  if (!is_listed(model::CatalogSnapshot::find_user(*elsewhere.tenant_spec, elsewhere.client_user))) {
    renew_credential(pool, {.secret = plan.credential.secret, .keys = {}});
  }
  renew_credential(pool, {.secret = {}, .keys = plan.credential.keys});
  if (plan.other_credential.secret.has_value()) {
    renew_credential(pool, {.secret = {}, .keys = plan.other_credential.keys});
  }
}

}  // namespace penstock::session
