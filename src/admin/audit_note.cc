#include "admin/audit_note.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "telemetry/log.h"

namespace penstock::admin {

namespace log = telemetry::log;

catalog::Actor actor_of(const Call& call) {
  const std::string& subject = call.grant.subject;
  return {.name = subject.empty() ? "api" : subject, .origin = call.request.peer};
}

void note_order(Engine& engine, const catalog::Actor& actor, AuditNote note) {
  const base::Status noted = engine.catalog().note(
      {.actor = actor, .action = std::string(note.action), .tenant = note.tenant, .fields = note.subjects});
  if (noted) return;
  log::warning("api.not_audited",
               {{"action", note.action},
                {"tenant", note.tenant},
                {"subjects", fmt::format("{}", fmt::join(note.subjects, ", "))},
                {"actor", actor.name},
                {"origin", actor.origin},
                {"error", noted.error().message}},
               "done, but it could not be written to the audit log");
}

}  // namespace penstock::admin
