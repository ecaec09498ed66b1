#include "tls/handshake.h"

#include "base/assert.h"
#include "tls/handshake_wait.h"

namespace penstock::tls {

HandshakeWait::HandshakeWait(io::StreamPtr raw, std::unique_ptr<Engine> engine, base::TimePoint deadline)
    : stream_(new TlsStream({.raw = std::move(raw), .engine = std::move(engine)},
                            TlsStream::State::kHandshaking)),
      deadline_(deadline) {
  stream_->waiter_ = this;
}

HandshakeWait::~HandshakeWait() {
  if (stream_ != nullptr) stream_->waiter_ = nullptr;
}

void HandshakeWait::begin(std::vector<io::Chunk> received) {
  stream_->raw_->set_sink(*stream_);
  if (received.empty()) received.emplace_back();  // lets a client send its hello
  for (io::Chunk& bytes : received) stream_->on_data(std::move(bytes));
}

void HandshakeWait::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  if (deadline_ != base::kNever) stream_->loop().timers().arm(timer_, deadline_);
}

base::Result<TlsStreamPtr> HandshakeWait::await_resume() {
  PENSTOCK_ASSERT(over_ && stream_ != nullptr);
  stream_->waiter_ = nullptr;
  if (!failure_) return std::move(stream_);
  failure_->where = stream_->peer().to_string();
  if (!stream_->raw_ended_) io::finish(std::move(stream_->raw_));
  stream_.reset();
  return base::fail(std::move(*failure_));
}

void HandshakeWait::finished(std::optional<base::Error> failure) {
  over_ = true;
  failure_ = std::move(failure);
  timer_.cancel();
  if (caller_) caller_.resume();  // may destroy us
}

void HandshakeWait::on_deadline() {
  stream_->handshake_over(
      base::Error{.sqlstate = base::kConnectionFailure, .message = "TLS handshake timed out"});
}

namespace {

base::Result<TlsStreamPtr> refuse_without_alpn(TlsStreamPtr stream, std::string message) {
  io::finish(std::move(stream));
  return base::fail(base::kProtocolViolation, std::move(message));
}

}  // namespace

io::Task<base::Result<TlsStreamPtr>> accept(io::StreamPtr raw, std::shared_ptr<const ServerContext> context,
                                            AcceptOptions options) {
  auto engine = Engine::accepting(*context);
  if (!engine) co_return base::fail(engine.error());
  HandshakeWait wait(std::move(raw), std::move(*engine), options.deadline);
  wait.begin(std::move(options.received));
  auto stream = co_await wait;
  if (stream && options.direct && !(*stream)->engine().alpn_is_postgresql()) {
    co_return refuse_without_alpn(
        std::move(*stream),
        "received direct TLS connection request without ALPN protocol negotiation extension");
  }
  co_return stream;
}

io::Task<base::Result<TlsStreamPtr>> connect(io::StreamPtr raw, std::shared_ptr<const ClientContext> context,
                                             ConnectOptions options) {
  auto engine = Engine::connecting(*context, options.host);
  if (!engine) co_return base::fail(engine.error());
  HandshakeWait wait(std::move(raw), std::move(*engine), options.deadline);
  wait.begin({});
  auto stream = co_await wait;
  if (stream && options.direct && !(*stream)->engine().alpn_is_postgresql()) {
    co_return refuse_without_alpn(std::move(*stream),
                                  "direct TLS connection was established without ALPN protocol negotiation");
  }
  co_return stream;
}

}  // namespace penstock::tls
