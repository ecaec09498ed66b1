// Addresses that are banned for too many wrong passwords, in Supavisor's form.
#include <set>

#include "admin/api.h"
#include "admin/audit_note.h"
#include "admin/problem.h"
#include "model/network.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;

// Its names say IPv4; addresses of either kind are meant.
json::object bans_of(Engine& engine, const std::string& tenant) {
  json::array banned;
  for (const NetworkBan& ban : engine.bans().list(tenant)) {
    const auto until = std::chrono::floor<std::chrono::seconds>(ban.until).time_since_epoch();
    banned.push_back({{"banned_address", ban.address}, {"banned_until", until.count()}});
  }
  return {{"banned_ipv4_addresses", std::move(banned)}};
}

void list_bans(Engine& engine, Call call) {
  if (engine.catalog().snapshot()->by_id(call.tenant()) == nullptr) {
    return call.respond(not_found("tenant \"" + call.tenant() + "\""));
  }
  if (const json::object* body = call.body.if_object()) {
    std::vector<std::string> addresses;
    FieldErrors errors;
    std::set<std::string_view> seen;
    std::size_t place = 0;
    for (const json::value& address : body->at("ipv4_addresses").as_array()) {
      const std::string_view text = address.get_string();
      const std::string path = "ipv4_addresses." + std::to_string(place++);
      if (!seen.insert(text).second) continue;
      // Of IPv6, lists show the network.
      if (!model::site_of(text) && !model::parse_network(text)) {
        errors[path].push_back("must be an IP address");
      }
      addresses.emplace_back(text);
    }
    if (!errors.empty()) return call.respond(problem(errors));
    engine.bans().lift(call.tenant(), addresses);
    AuditNote note{.action = "lift-bans", .tenant = call.tenant()};
    for (const std::string& address : addresses) note.subjects.push_back("network_bans." + address);
    note_order(engine, actor_of(call), std::move(note));
  }
  call.answer(bans_of(engine, call.tenant()));
}

}  // namespace

Routes ban_routes(Engine& engine) {
  const RouteAnswer missing = {404, "There is no such tenant.", "Problem", "application/problem+json"};
  const auto act = [&engine](Call call) { list_bans(engine, std::move(call)); };
  constexpr std::string_view kPath = "/api/tenants/{external_id}/network_bans";
  return {{.method = "GET",
           .path = kPath,
           .name = "listNetworkBans",
           .tag = "tenants",
           .summary = "Addresses that may not log in for a while: too many passwords from there were wrong",
           .answers = {{200, "Those that are banned now.", "NetworkBans"}, missing},
           .act = act},
          {.method = "DELETE",
           .path = kPath,
           .name = "liftNetworkBans",
           .tag = "tenants",
           .summary = "Lets these addresses log in again",
           .scope = Scope::kWrite,
           .body = "NetworkBanLift",
           .answers = {{200, "Those that are banned still.", "NetworkBans"}, missing},
           .act = act}};
}

}  // namespace penstock::admin
