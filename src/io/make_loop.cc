#include "io/epoll_loop.h"
#include "io/uring_loop.h"

namespace penstock::io {

base::Result<LoopChoice> make_loop(Backend backend, base::Random& random) {
  std::string note = "epoll, as configured";
  if (backend != Backend::kEpoll) {
    auto uring = UringLoop::create(random);
    if (uring) return LoopChoice{std::move(*uring), ""};
    if (backend == Backend::kIoUring) return std::unexpected(uring.error());
    note = "epoll, because io_uring is not available: " + uring.error().message;
  }
  auto epoll = EpollLoop::create(random);
  if (!epoll) return std::unexpected(epoll.error());
  return LoopChoice{std::move(*epoll), std::move(note)};
}

}  // namespace penstock::io
