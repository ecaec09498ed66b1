#include "admin/trial.h"

#include "admin/problem.h"

namespace penstock::admin {

void try_first(Engine& engine, model::TenantPtr tenant, Call call,
               std::move_only_function<void(Call call)> then) {
  if (!engine.may_try_out(tenant->id)) {
    http::Response busy = problem(503, "too many tenants are being tried out at the moment",
                                  "Ask again in a few seconds; nothing was changed.");
    busy.headers.emplace_back("Retry-After", "2");
    return call.respond(std::move(busy));
  }
  const std::string who = "tenant \"" + tenant->id + "\": ";
  engine.try_out(std::move(tenant), [who, call = std::move(call),
                                     then = std::move(then)](const base::Status& status) mutable {
    if (status) return then(std::move(call));
    const base::Error& error = status.error();
    const std::string words = who + error.message;
    call.respond(problem(400, error.detail.empty() ? words : words + ". " + error.detail, error.hint));
  });
}

}  // namespace penstock::admin
