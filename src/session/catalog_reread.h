// CatalogReread lets log-ins that are about to be refused wait until the catalog has been read once more: a password
// that was changed a moment ago must not be called wrong.
//
// However many log-ins fail, the catalog is asked once per kEvery. All of them wait for the same moments of a fixed
// grid, whatever is wrong with them: so the time of a refusal does not tell what was done to find it.
//
// Owner:      the Worker.
// Home:       LOOP
// Waits:      for the next moment of the grid and the control thread's answer; at most kPatience for that.
// Bounds:     one place in the queue for each log-in under way.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>

#include "base/intrusive_list.h"
#include "io/loop.h"

namespace penstock::session {

class CatalogReread {
 public:
  static constexpr base::Duration kEvery = std::chrono::milliseconds(100);
  static constexpr base::Duration kPatience = std::chrono::seconds(2);
  // Has the catalog read, on whatever thread; `done` on this loop, when what it says has arrived here.
  using Ask = std::function<void(std::move_only_function<void()> done)>;

  CatalogReread(io::Loop& loop, Ask ask)
      : loop_(loop), ask_(std::move(ask)), timer_(io::Timer::calling<&CatalogReread::on_timer>(this)) {}
  CatalogReread(const CatalogReread&) = delete;
  CatalogReread& operator=(const CatalogReread&) = delete;

  class Wait : public base::ListHook<CatalogReread> {
   public:
    explicit Wait(CatalogReread& reread) : reread_(reread) {}
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> caller);
    void await_resume() {}

   private:
    friend class CatalogReread;
    CatalogReread& reread_;
    std::coroutine_handle<> caller_;
  };
  // co_await reread.once_more();
  Wait once_more() { return Wait(*this); }

 private:
  void plan();
  void on_timer();
  void answered(std::uint64_t question);

  io::Loop& loop_;
  Ask ask_;
  base::List<Wait, CatalogReread> waiting_;  // for the next question
  base::List<Wait, CatalogReread> asked_;    // for the answer to the present one
  bool is_asking_ = false;
  std::uint64_t question_ = 0;
  io::Timer timer_;
};

}  // namespace penstock::session
