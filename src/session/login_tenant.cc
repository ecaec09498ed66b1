// The log-in's question "to which tenant", and whether anybody may come in from there.
#include <fmt/format.h>

#include "catalog/admission.h"
#include "catalog/timestamp.h"
#include "session/login.h"
#include "telemetry/log.h"

namespace penstock::session {

namespace log = telemetry::log;

namespace {

// What the salt of a user without a verifier depends on: the tenant as it is stated, whether or not there is one. Not
// the database or the TLS name, as two ways to one tenant would have one salt and show that they lead there; without a
// stated tenant, the user alone.
std::string face_of(const catalog::ClientNames& names) {
  const catalog::Stated stated = catalog::stated_names(names);
  return stated.tenant + '/' + stated.user;
}

}  // namespace

// Empty: a Unix socket.
std::string_view Login::client_address() const {
  const io::PeerName& peer = reader_->stream().peer();
  return peer.is_unix() ? std::string_view() : std::string_view(peer.address);
}

LoginBans::Policy Login::ban_policy() const {
  const config::Settings& settings = *instructions_.settings;
  return {.failures = settings.ban_failures,
          .window = settings.ban_window,
          .time = settings.ban_time,
          .exempt = settings.ban_exempt};
}

base::Status Login::choose_tenant() {
  const std::string* options = startup_->find("options");
  const std::string* database = startup_->find("database");
  stated_user_ = startup_->user();
  const catalog::ClientNames names = {
      .user = stated_user_,
      .options = options == nullptr ? std::string_view{} : std::string_view(*options),
      .server_name = server_name_,
      .database = database == nullptr ? std::string_view{} : std::string_view(*database)};
  auto resolved = catalog::resolve(*instructions_.catalog, names);
  catalog::Stated stated = catalog::stated_names(names);
  if (!resolved) {
    // Played to its end with a tenant that has no users, so that nobody can tell.
    if (resolved_.tenant == nullptr) {
      log::info("client.unresolved", {{"client", session_.id()}, {"user", resolved.error().user}},
                resolved.error().reason);
    }
    resolved_ = {.tenant = std::make_shared<model::TenantSpec>(), .user = resolved.error().user};
    user_ = nullptr;
  } else {
    resolved_ = std::move(*resolved);
    user_ = model::CatalogSnapshot::find_user(*resolved_.tenant, resolved_.user);
    // A dotted name that nobody has here may be meant for a tenant that does not exist.
    const bool may_be_elsewhere =
        resolved_.rule == catalog::ResolveRule::kDefault && user_ == nullptr && stated.user != stated_user_;
    if (!may_be_elsewhere) stated = {.tenant = resolved_.tenant->id, .user = resolved_.user};
  }
  counted_tenant_ = stated.tenant.substr(0, LoginBans::kTenantBytesMax);
  face_ = face_of({.user = names.user, .options = names.options});
  Identity& identity = outcome_.identity;
  identity.tenant = resolved_.tenant;
  identity.user = resolved_.user;
  if (auto banned = refuse_banned_address(); !banned) return banned;
  if (auto admitted = catalog::admit(*resolved_.tenant, client_address(), catalog::wall_clock_now());
      !admitted) {
    return admitted;
  }
  const auto replication = startup_->replication();
  if (!replication) return std::unexpected(replication.error());
  identity.replication = *replication;
  const std::string_view named =
      database == nullptr || database->empty() ? std::string_view(resolved_.user) : *database;
  identity.database =
      resolved_.tenant->upstream_database.empty() ? std::string(named) : resolved_.tenant->upstream_database;

  const bool tls_demanded =
      resolved_.tenant->require_tls || instructions_.settings->client_tls_mode >= model::TlsMode::kRequire;
  if (tls_demanded && tls_stream() == nullptr && !reader_->stream().peer().is_unix()) {
    return base::fail(base::kInvalidAuthorization, "this connection must use TLS", "",
                      "Connect with sslmode=require or stronger.");
  }
  return {};
}

base::Status Login::refuse_banned_address() {
  const base::TimePoint now = home_.loop.now();
  const auto until = home_.login_bans.banned_until(counted_tenant_, client_address(), ban_policy(), now);
  is_banned_ = until.has_value();
  if (!is_banned_) return {};
  return base::fail(base::kInvalidAuthorization,
                    fmt::format("too many wrong passwords from address \"{}\"", client_address()),
                    fmt::format("Nobody can log in from there for another {} seconds.",
                                std::chrono::ceil<std::chrono::seconds>(*until - now).count()),
                    "Correct the password that is used there. An administrator can lift the ban.");
}

void Login::note_wrong_password() {
  const bool is_ban =
      home_.login_bans.note_wrong_password(counted_tenant_, client_address(), ban_policy(), home_.loop.now());
  if (!is_ban) return;
  home_.counters.counts[telemetry::WorkerCount::kBans].add();
  const config::Settings& settings = *instructions_.settings;
  log::warning("client.banned",
               {{"tenant", counted_tenant_},
                {"address", client_address()},
                {"wrong_passwords", settings.ban_failures},
                {"seconds", std::chrono::ceil<std::chrono::seconds>(settings.ban_time).count()}},
               "nobody at this address can log in to this tenant for a while");
}

// As the client wrote the name: without the tenant's part it would tell that there is such a tenant.
base::Error Login::wrong_password() {
  if (private_reason_.empty()) private_reason_ = "the password is wrong";
  return {.sqlstate = base::kInvalidPassword,
          .message = fmt::format("password authentication failed for user \"{}\"", stated_user_)};
}

}  // namespace penstock::session
