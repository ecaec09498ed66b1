// Gathering collects what several workers say; the last of them posts the whole back to the control thread.
//
// Owner:      shared by the calls that the workers have been posted.
// Home:       SYNC (a mutex, held while a part is added)
// Waits:      nobody does: a worker that never answers leaves it unfinished.
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>

#include "admin/engine.h"
#include "http/loop.h"
#include "server/worker.h"

namespace penstock::server {

template <class Sum>
class Gathering {
 public:
  Gathering(http::Loop& loop, std::size_t workers, std::move_only_function<void(Sum)> done)
      : loop_(loop), left_(workers), done_(std::move(done)) {}
  void add(std::move_only_function<void(Sum&)> part) {
    const std::scoped_lock lock(mutex_);
    part(sum_);
    if (--left_ > 0) return;
    loop_.post([done = std::move(done_), sum = std::move(sum_)]() mutable { done(std::move(sum)); });
  }

 private:
  http::Loop& loop_;
  std::mutex mutex_;
  std::size_t left_;
  Sum sum_{};
  std::move_only_function<void(Sum)> done_;
};

inline void join(std::size_t& sum, std::size_t part) {
  sum += part;
}
inline void join(std::string& sum, std::string part) {
  if (sum.empty()) sum = std::move(part);
}
inline void join(bool& sum, bool part) {
  sum = sum || part;
}
inline void join(admin::Findings& sum, admin::Findings part) {
  std::ranges::move(part.pools, std::back_inserter(sum.pools));
  std::ranges::move(part.clients, std::back_inserter(sum.clients));
  std::ranges::move(part.servers, std::back_inserter(sum.servers));
}

// Asks all workers. `look` runs on each worker's thread, outside of the lock: no worker waits for another one that looks.
template <class Sum, class Look>
void ask_workers(http::Loop& loop, const std::vector<std::unique_ptr<Worker>>& workers, const Look& look,
                 std::move_only_function<void(Sum)> done) {
  auto gathering = std::make_shared<Gathering<Sum>>(loop, workers.size(), std::move(done));
  for (unsigned i = 0; i < workers.size(); ++i) {
    workers[i]->on_loop([i, look, gathering](session::PoolSet& pools, Worker::Sessions& sessions) {
      Sum part = look(i, pools, sessions);
      gathering->add([&](Sum& sum) { join(sum, std::move(part)); });
    });
  }
}

}  // namespace penstock::server
