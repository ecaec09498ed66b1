#include "tls/tls_stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "tls/handshake_wait.h"

namespace penstock::tls {

namespace {

// Where a thread's streams decrypt to and join small pieces in; its content never outlives the call that
// filled it.
std::span<std::uint8_t, Engine::kReadRoom> scratch() {
  static thread_local std::array<std::uint8_t, Engine::kReadRoom> bytes;
  return bytes;
}

}  // namespace

// Tells whether the stream was destroyed by something called meanwhile.
class TlsStream::Guard {
 public:
  explicit Guard(TlsStream& stream) : stream_(stream), outer_(std::exchange(stream.gone_, &gone_)) {}
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() {
    if (!gone_) {
      stream_.gone_ = outer_;
    } else if (outer_ != nullptr) {
      *outer_ = true;
    }
  }
  bool gone() const { return gone_; }

 private:
  TlsStream& stream_;
  bool* outer_;
  bool gone_ = false;
};

TlsStream::TlsStream(Parts parts, State state)
    : raw_(std::move(parts.raw)),
      engine_(std::move(parts.engine)),
      state_(state),
      receiving_(parts.receiving) {
  engine_->set_output(this);
  if (!parts.undecrypted.empty()) {
    held_ = std::make_unique<Held>();
    held_->encrypted = std::move(parts.undecrypted);
  }
}

TlsStream::~TlsStream() {
  if (gone_ != nullptr) *gone_ = true;
  if (engine_ != nullptr) engine_->set_output(nullptr);
}

TlsStreamPtr TlsStream::assemble(Parts parts) {
  if (parts.engine->has_decrypted()) parts.undecrypted.insert(parts.undecrypted.begin(), io::Chunk());
  TlsStreamPtr stream(new TlsStream(std::move(parts), State::kOpen));
  stream->raw_->set_sink(*stream);
  stream->update_receiving();
  return stream;
}

TlsStream::Parts TlsStream::take_apart(TlsStreamPtr stream) {
  PENSTOCK_ASSERT(stream->state_ == State::kOpen && stream->unsent() == 0);
  stream->engine_->set_output(nullptr);
  Parts parts{
      .raw = std::move(stream->raw_), .engine = std::move(stream->engine_), .receiving = stream->receiving_};
  if (stream->decrypting_ != nullptr && !stream->decrypting_->empty()) {
    parts.undecrypted.push_back(io::Chunk::copy_of(*stream->decrypting_));
  }
  if (stream->held_ != nullptr)
    std::ranges::move(stream->held_->encrypted, std::back_inserter(parts.undecrypted));
  return parts;
}

void TlsStream::set_sink(io::StreamSink& sink) {
  sink_ = &sink;
  if (held_ != nullptr)
    loop().flush_later(*this);  // delivered at the end of this turn, not from within this call
}

void TlsStream::write(io::Chunk bytes) {
  if (bytes.empty() || state_ == State::kEnded || shutdown_wanted_) return;
  queue_.push(std::move(bytes));
  loop().flush_later(*this);
}

void TlsStream::pause_receiving() {
  paused_ = true;
  update_receiving();
}

void TlsStream::resume_receiving() {
  paused_ = false;
  update_receiving();
}

// The stream below receives unless our owner has paused it or we hold bytes that nobody takes yet.
void TlsStream::update_receiving() {
  const bool wanted = !paused_ && held_ == nullptr;
  if (wanted == receiving_) return;
  receiving_ = wanted;
  if (wanted) {
    raw_->resume_receiving();
  } else {
    raw_->pause_receiving();
  }
}

void TlsStream::shutdown_sending() {
  if (shutdown_wanted_) return;
  shutdown_wanted_ = true;
  if (state_ == State::kOpen) return loop().flush_later(*this);
  engine_->send_close_notify();
  raw_->shutdown_sending();
}

void TlsStream::on_data(io::Chunk bytes) {
  if (state_ == State::kHandshaking) return go_on_with_handshake(std::move(bytes));
  if (state_ == State::kEnded) return;
  if (sink_ == nullptr || held_ != nullptr) return hold(std::move(bytes));
  decrypt(bytes.view());
}

void TlsStream::hold(io::Chunk bytes) {
  if (held_ == nullptr) held_ = std::make_unique<Held>();
  held_->encrypted.push_back(std::move(bytes));
  update_receiving();
}

void TlsStream::deliver_held() {
  const Guard guard(*this);
  while (!held_->encrypted.empty()) {
    const io::Chunk bytes = std::move(held_->encrypted.front());
    held_->encrypted.erase(held_->encrypted.begin());
    decrypt(bytes.view());
    if (guard.gone()) return;
  }
  const std::unique_ptr<Held> held = std::move(held_);
  if (held->ended) return end(held->error ? &*held->error : nullptr);
  if (state_ == State::kOpen) update_receiving();
}

void TlsStream::go_on_with_handshake(io::Chunk bytes) {
  base::ByteView input = bytes.view();
  auto progress = engine_->handshake(input);
  if (!progress) return handshake_over(std::move(progress.error()));
  if (*progress == Engine::Progress::kNeedsMore) return;
  if (!input.empty()) hold(bytes.slice(bytes.size() - input.size(), input.size()));
  handshake_over(std::nullopt);
}

void TlsStream::handshake_over(std::optional<base::Error> failure) {
  state_ = failure ? State::kEnded : State::kOpen;
  if (waiter_ != nullptr) waiter_->finished(std::move(failure));  // may destroy us
}

// What is said while decrypting, nobody above knows of.
void TlsStream::on_encrypted(base::ByteView bytes) {
  if (decrypting_ != nullptr) {
    if (raw_->unsent() == 0) answered_bytes_ = 0;
    answered_bytes_ += bytes.size();
  }
  raw_->write(bytes);
}

void TlsStream::end_if_abusive() {
  const char* offence = nullptr;
  if (answered_bytes_ > io::kUnsentHigh) offence = "the peer wants many answers and does not read them";
  // More than the largest record, which may have come in many pieces.
  if (dataless_bytes_ > io::kUnsentHigh) offence = "the peer sends many records without data";
  if (offence == nullptr) return;
  const base::Error error{.sqlstate = base::kProtocolViolation,
                          .message = std::string("TLS connection failed: ") + offence};
  end(&error);
}

void TlsStream::decrypt(base::ByteView input) {
  using Kind = Engine::Read::Kind;
  const Guard guard(*this);
  dataless_bytes_ += input.size();
  decrypting_ = &input;
  const auto out = scratch();
  while (state_ == State::kOpen) {
    std::size_t filled = 0;
    base::Result<Engine::Read> read;
    do {
      read = engine_->read(input, out.subspan(filled));
      if (read && read->kind == Kind::kData) filled += read->size;
    } while (read && read->kind == Kind::kData && filled < Engine::kRecordMax);

    if (filled > 0) {
      dataless_bytes_ = 0;
      sink_->on_data(io::Chunk::copy_of(out.first(filled)));
      if (guard.gone()) return;
    }
    if (read && (read->kind == Kind::kData || read->kind == Kind::kNeedsRoom)) continue;
    decrypting_ = nullptr;
    if (!read) return end(&read.error());
    if (read->kind == Kind::kClosed) return end(nullptr);
    return end_if_abusive();
  }
  decrypting_ = nullptr;
}

void TlsStream::on_end(const base::Error* error) {
  raw_ended_ = true;
  if (state_ == State::kHandshaking) {
    return handshake_over(error != nullptr
                              ? *error
                              : base::Error{.sqlstate = base::kConnectionFailure,
                                            .message = "connection closed during TLS handshake"});
  }
  if (sink_ != nullptr && held_ == nullptr) return end(error);
  if (held_ == nullptr) held_ = std::make_unique<Held>();
  held_->ended = true;
  if (error != nullptr) held_->error = *error;
}

void TlsStream::end(const base::Error* error) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  queue_.clear();
  if (sink_ != nullptr) sink_->on_end(error);  // may destroy us
}

void TlsStream::want_drained() {
  drained_wanted_ = true;
  raw_->want_drained();
}

void TlsStream::on_drained() {
  if (!queue_.empty()) return;  // it was an older send: flush() asks again
  drained_wanted_ = false;
  if (sink_ != nullptr && state_ == State::kOpen) sink_->on_drained();
}

void TlsStream::flush() {
  if (held_ != nullptr && sink_ != nullptr) {
    const Guard guard(*this);
    deliver_held();
    if (guard.gone()) return;
  }
  if (state_ != State::kOpen) return;
  if (auto encrypted = encrypt_queue(); !encrypted) return end(&encrypted.error());
  if (drained_wanted_) raw_->want_drained();
  if (shutdown_wanted_ && !shutdown_done_) {
    shutdown_done_ = true;
    engine_->send_close_notify();
    raw_->shutdown_sending();
  }
}

base::Status TlsStream::encrypt_queue() {
  const auto joined = scratch().first<Engine::kRecordMax>();
  std::array<iovec, 64> pieces;
  while (!queue_.empty()) {
    const std::size_t count = queue_.gather(pieces);
    auto* first = static_cast<const std::uint8_t*>(pieces[0].iov_base);
    std::size_t size = std::min(pieces[0].iov_len, Engine::kRecordMax);
    if (count > 1 && size < Engine::kRecordMax) {
      size = 0;
      for (std::size_t i = 0; i < count && size < joined.size(); ++i) {
        const std::size_t part = std::min(pieces[i].iov_len, joined.size() - size);
        std::memcpy(joined.data() + size, pieces[i].iov_base, part);
        size += part;
      }
      first = joined.data();
    }
    if (auto written = engine_->write({first, size}); !written) return written;
    queue_.consume(size);
  }
  return {};
}

}  // namespace penstock::tls
