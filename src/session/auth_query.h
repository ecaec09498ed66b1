// AuthQuery reads a role's secret from the server itself, for users that the catalog does not list.
//
// Runs the tenant's auth_query as its auth_user over an ordinary pool, with the role's name as the only
// parameter. A changed password must count at once, and SCRAM shows a secret's salt before the client proves
// anything; so a remembered secret is read again before it is used, unless it was read a moment ago (a storm
// of log-ins asks once) or the server does not answer (then it counts until its time is over). That there is
// no such role is remembered briefly, and so is what the server refused.
//
// Whoever can connect can have it asked, with any names. So names that no role or database can have are not asked about;
// and where the client's own database is asked, a tenant has only few pools at a time that have never had a server, and
// that of a database that does not exist is gone at once.
//
// Owner:      the Worker, by value.
// Home:       LOOP
// Waits:      read(): for a pool, an upstream and its answer, or the deadline.
// Errors:     08006 and the server's own; 53300 when the tenant may have no more pools; a result that is not two columns
//             is 22023. None is for the client's eyes.
// Bounds:     kEntriesMax answers remembered, and those that are over go when they would be the half of all;
//             kTrialsMax pools of a tenant that have never had a server.
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
  void doubt(const model::TenantSpec& tenant, std::string_view user, std::string_view database,
             base::TimePoint now);
  std::size_t size() const { return answers_.size(); }

 private:
  static constexpr std::size_t kEntriesMax = 100'000;
  static constexpr std::size_t kSweepFrom = 1000;
  static constexpr std::size_t kTrialsMax = 4;
  using Secret = std::optional<std::string>;
  struct Answer {
    base::Result<Secret> secret;
    base::TimePoint read_at;
    base::TimePoint fresh_until;  // used without asking again
    base::TimePoint good_until;   // used when the server does not answer
  };
  static std::string key(const model::TenantSpec& tenant, std::string_view user, std::string_view database);
  io::Task<base::Result<std::shared_ptr<pool::Pool>>> find_pool(SessionHome& home, model::TenantPtr tenant,
                                                                std::string database,
                                                                base::TimePoint deadline);
  io::Task<base::Result<Secret>> ask(SessionHome& home, model::TenantPtr tenant, std::string user,
                                     std::string database, base::TimePoint deadline);
  void remember(std::string name, Answer answer, base::TimePoint now);

  std::unordered_map<std::string, Answer> answers_;
  std::size_t sweep_at_ = kSweepFrom;
};

}  // namespace penstock::session
