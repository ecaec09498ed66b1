#include "session/catalog_reread.h"

namespace penstock::session {

void CatalogReread::Wait::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  reread_.waiting_.push_back(*this);
  reread_.plan();
}

void CatalogReread::plan() {
  if (is_asking_ || waiting_.empty() || timer_.armed()) return;
  const base::Duration now = loop_.now().time_since_epoch();
  loop_.timers().arm(timer_, base::TimePoint(now - now % kEvery + kEvery));
}

void CatalogReread::on_timer() {
  if (is_asking_) return answered(question_);  // no answer: what is known must do
  is_asking_ = true;
  asked_.swap(waiting_);
  loop_.timers().arm(timer_, loop_.now() + kPatience);
  ask_([this, question = ++question_] { answered(question); });
}

void CatalogReread::answered(std::uint64_t question) {
  if (!is_asking_ || question != question_) return;
  is_asking_ = false;
  timer_.cancel();
  base::List<Wait, CatalogReread> served;
  served.swap(asked_);
  while (!served.empty()) {
    Wait& wait = served.front();
    served.pop_front();
    wait.caller_.resume();
  }
  plan();
}

}  // namespace penstock::session
