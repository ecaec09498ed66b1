#include "io/stream.h"

#include <algorithm>

#include "io/loop.h"

namespace penstock::io {

std::string PeerName::to_string() const {
  if (is_unix()) return pid >= 0 ? "unix(" + std::to_string(pid) + ")" : "unix";
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

namespace {

// For bytes that are still queued when the peer has closed already (it hardly reads them).
constexpr base::Duration kAfterTheEnd = std::chrono::milliseconds(100);

// The last moments of a connection: owns the stream until the peer has read everything or patience ends.
class Farewell final : public StreamSink {
 public:
  Farewell(StreamPtr stream, base::Duration patience)
      : stream_(std::move(stream)), loop_(stream_->loop()), timer_(Timer::calling<&Farewell::end>(this)) {
    const bool over = stream_->has_ended();
    loop_.timers().arm(timer_, loop_.now() + (over ? std::min(patience, kAfterTheEnd) : patience));
    stream_->set_sink(*this);
    stream_->resume_receiving();
    stream_->shutdown_sending();
    if (over && stream_->unsent() == 0) end();
  }
  void on_data(Chunk) override {}
  void on_end(const base::Error*) override { end(); }

 private:
  void end() {
    timer_.cancel();
    if (ended_) return;
    ended_ = true;
    loop_.defer([this] { delete this; });
  }
  StreamPtr stream_;
  Loop& loop_;
  Loop::Live live_{loop_};
  Timer timer_;
  bool ended_ = false;
};

}  // namespace

void finish(StreamPtr stream, base::Duration patience) {
  if (stream != nullptr) new Farewell(std::move(stream), patience);
}

}  // namespace penstock::io
