// EpollLoop: the backend for kernels and containers without io_uring. Level-triggered, sends tried at once.
//
// Owner:      the worker, as a Loop.
// Home:       LOOP
// Bounds:     the process's open-file limit; kSpareBuffers receive buffers kept for reuse.
#pragma once

#include <memory>
#include <vector>

#include "io/loop.h"

namespace penstock::io {

// What an event belongs to.
class EpollOwner {
 public:
  virtual void on_ready(std::uint32_t events) = 0;

 protected:
  ~EpollOwner() = default;
};

class EpollLoop final : public Loop, public BufferSource {
 public:
  static base::Result<std::unique_ptr<EpollLoop>> create(base::Random& random);
  ~EpollLoop() override;

  std::string_view backend() const override { return "epoll"; }
  // The process's open files, shared out; some are for files, listeners and the like.
  std::size_t sockets_max(unsigned loops) const override;
  void run() override;
  base::Result<ListenerPtr> listen(const Address& address, const ListenOptions& options,
                                   AcceptSink& sink) override;
  std::unique_ptr<Connecting> connect(const Address& address, base::TimePoint deadline,
                                      ConnectDone done) override;
  base::Result<StreamPtr> adopt(int descriptor) override;
  void detach(StreamPtr stream, std::move_only_function<void(base::Result<Detached>)> done) override;

  // --- for the backend's own objects ---
  void watch(int descriptor, std::uint32_t events, EpollOwner& owner, bool is_new);
  void forget(int descriptor);
  // Receives into a reused buffer; a result of 0 is the end, negative is -errno.
  int receive(int descriptor, Chunk& out);
  void recycle(Buffer& buffer) noexcept override;
  const TcpOptions& tcp() const { return tcp_options(); }

 private:
  static constexpr std::uint32_t kBufferBytes = 16 * 1024;
  static constexpr std::size_t kSpareBuffers = 64;

  explicit EpollLoop(base::Random& random);
  void wake() override;

  int epoll_ = -1;
  int wake_descriptor_ = -1;
  std::vector<Buffer*> spare_;
};

}  // namespace penstock::io
