// AuthQuery reads a role's secret from the server itself, for users that the catalog does not list.
//
// Runs the tenant's auth_query as its auth_user over an ordinary pool, with the role's name as the only
// parameter. A changed password must count at once, and SCRAM shows a secret's salt before the client proves
// anything; so a remembered secret is read again before it is used, unless it was read a moment ago (a storm
// of log-ins asks once) or the server does not answer (then it counts until its time is over). That there is
// no such role is remembered briefly.
//
// Owner:      the Worker, by value.
// Home:       LOOP
// Waits:      read(): for an upstream and its answer, or the deadline.
// Errors:     08006 and the server's own; a result that is not two columns is 22023.
// Bounds:     kEntriesMax answers remembered.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "io/task.h"
#include "session/session_home.h"

namespace penstock::session {

class AuthQuery {
 public:
  // The secret (as in pg_authid.rolpassword), or nothing when there is no such role or it has none.
  io::Task<base::Result<std::optional<std::string>>> read(SessionHome& home, model::TenantPtr tenant,
                                                          std::string user, std::string database,
                                                          base::TimePoint deadline);
  // A log-in with it has failed: it may have been changed, so the next read() asks again.
  void doubt(const model::TenantSpec& tenant, std::string_view user, base::TimePoint now);

 private:
  static constexpr std::size_t kEntriesMax = 100'000;
  struct Answer {
    std::optional<std::string> secret;
    base::TimePoint read_at;
    base::TimePoint fresh_until;  // used without asking again
    base::TimePoint good_until;   // used when the server does not answer
  };
  static std::string key(const model::TenantSpec& tenant, std::string_view user);
  static base::Result<std::shared_ptr<pool::Pool>> find_pool(SessionHome& home,
                                                             const model::TenantPtr& tenant,
                                                             std::string database);
  std::unordered_map<std::string, Answer> answers_;
};

}  // namespace penstock::session
