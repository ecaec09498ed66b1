#include "admin/trial.h"

#include <chrono>

#include "admin/problem.h"

namespace penstock::admin {

namespace {

using Clock = std::chrono::steady_clock;

// Of those that the process tries at the same time: one call leaves room for others.
constexpr std::size_t kAtOnceMax = 8;
// A client is told that its answer took too long after a minute. Nothing may be stored then: it would not know.
constexpr std::chrono::seconds kPatience{50};

// The trials of one call. Whichever comes first answers it: a failure, the end of all, the end of patience.
class Trials : public std::enable_shared_from_this<Trials> {
 public:
  Trials(Engine& engine, std::vector<model::TenantPtr> tenants, Call call,
         std::move_only_function<void(Call call)> then)
      : engine_(engine), untried_(std::move(tenants)), call_(std::move(call)), then_(std::move(then)) {}

  void go_on() {
    while (!untried_.empty() && under_way_ < kAtOnceMax && engine_.may_try_out(untried_.back()->id)) {
      begin();
    }
    if (under_way_ > 0) return;
    is_over_ = true;
    if (untried_.empty()) return then_(std::move(call_));
    refuse_for_now("too many tenants are being tried out at the moment");
  }

 private:
  void begin() {
    model::TenantPtr tenant = std::move(untried_.back());
    untried_.pop_back();
    ++under_way_;
    const std::string who = "tenant \"" + tenant->id + "\": ";
    engine_.try_out(std::move(tenant), [me = shared_from_this(), who](const base::Status& status) {
      --me->under_way_;
      me->tried(who, status);
    });
  }

  void tried(const std::string& who, const base::Status& status) {
    if (is_over_) return;
    if (status && Clock::now() < deadline_) return go_on();
    is_over_ = true;
    if (status) return refuse_for_now("the servers take too long to let us in");
    const base::Error& error = status.error();
    const std::string words = who + error.message;
    call_.respond(problem(400, error.detail.empty() ? words : words + ". " + error.detail, error.hint));
  }

  void refuse_for_now(std::string_view why) {
    http::Response busy = problem(503, why, "Ask again in a few seconds; nothing was changed.");
    busy.headers.emplace_back("Retry-After", "2");
    call_.respond(std::move(busy));
  }

  Engine& engine_;
  std::vector<model::TenantPtr> untried_;  // the last comes next
  Call call_;
  std::move_only_function<void(Call call)> then_;
  const Clock::time_point deadline_ = Clock::now() + kPatience;
  std::size_t under_way_ = 0;
  bool is_over_ = false;  // the call has been answered, or goes on
};

}  // namespace

void try_first(Engine& engine, std::vector<model::TenantPtr> tenants, Call call,
               std::move_only_function<void(Call call)> then) {
  std::make_shared<Trials>(engine, std::move(tenants), std::move(call), std::move(then))->go_on();
}

}  // namespace penstock::admin
