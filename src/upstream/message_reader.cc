#include "upstream/message_reader.h"

namespace penstock::upstream {

MessageReader::MessageReader(io::StreamPtr stream, pgwire::MessageAssembler::Limits limits,
                             std::vector<io::Chunk> received)
    : stream_(std::move(stream)), assembler_(limits) {
  for (io::Chunk& chunk : received) {
    pending_bytes_ += chunk.size();
    pending_.push_back(std::move(chunk));
  }
  stream_->set_sink(*this);
}

MessageReader::Reading MessageReader::message(base::TimePoint deadline) {
  return {*this, Want::kMessage, deadline};
}
MessageReader::Reading MessageReader::startup_packet(base::TimePoint deadline) {
  return {*this, Want::kStartupPacket, deadline};
}
MessageReader::Reading MessageReader::byte(base::TimePoint deadline) {
  return {*this, Want::kByte, deadline};
}
MessageReader::Reading MessageReader::peek(base::TimePoint deadline) {
  return {*this, Want::kPeek, deadline};
}

void MessageReader::on_data(io::Chunk bytes) {
  pending_bytes_ += bytes.size();
  pending_.push_back(std::move(bytes));
  if (pending_bytes_ > io::kUnsentHigh && !paused_) {
    paused_ = true;
    stream_->pause_receiving();
  }
  if (reading_ != nullptr) reading_->try_again();
}

void MessageReader::on_end(const base::Error* error) {
  closed_by_peer_ = error == nullptr;
  end_ = error != nullptr ? *error
                          : base::Error{.sqlstate = base::kConnectionFailure,
                                        .message = "the connection was closed by the other side"};
  if (reading_ != nullptr) return reading_->try_again();
  if (const auto call = std::exchange(on_ended_, nullptr)) call();
}

std::optional<base::Result<pgwire::Message>> MessageReader::take(Want want) {
  while (!pending_.empty()) {
    current_ = std::move(pending_.front());
    pending_.pop_front();
    base::ByteView input = current_.view();
    std::optional<base::Result<pgwire::Message>> result;
    if (want == Want::kByte || want == Want::kPeek) {
      result.emplace(pgwire::Message{.type = input[0], .body = {}});
      if (want == Want::kByte) input = input.subspan(1);
    } else if (want == Want::kMessage) {
      auto message = assembler_.next_message(input);
      if (!message) {
        result.emplace(std::unexpected(std::move(message.error())));
      } else if (message->has_value()) {
        result.emplace(**message);
      }
    } else {
      auto packet = assembler_.next_startup_packet(input);
      if (!packet) {
        result.emplace(std::unexpected(std::move(packet.error())));
      } else if (packet->has_value()) {
        result.emplace(pgwire::Message{.type = 0, .body = **packet});
      }
    }
    const std::size_t used = current_.size() - input.size();
    pending_bytes_ -= used;
    if (!input.empty()) pending_.push_front(current_.slice(used, input.size()));
    if (paused_ && pending_bytes_ <= io::kUnsentHigh) {
      paused_ = false;
      stream_->resume_receiving();
    }
    if (result.has_value()) return result;
  }
  if (end_.has_value()) return base::Result<pgwire::Message>(std::unexpected(*end_));
  return std::nullopt;
}

io::StreamPtr MessageReader::release(std::vector<io::Chunk>& received) {
  for (io::Chunk& chunk : pending_) received.push_back(std::move(chunk));
  pending_.clear();
  if (paused_) stream_->resume_receiving();
  return std::move(stream_);
}

bool MessageReader::Reading::await_ready() {
  result_ = reader_.take(want_);
  return result_.has_value();
}

void MessageReader::Reading::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  reader_.reading_ = this;
  if (deadline_ != base::kNever) reader_.stream_->loop().timers().arm(timer_, deadline_);
}

MessageReader::Reading::~Reading() {
  if (reader_.reading_ == this) reader_.reading_ = nullptr;
}

void MessageReader::Reading::try_again() {
  result_ = reader_.take(want_);
  if (!result_.has_value()) return;
  timer_.cancel();
  reader_.reading_ = nullptr;
  caller_.resume();
}

void MessageReader::Reading::on_deadline() {
  reader_.reading_ = nullptr;
  result_.emplace(base::fail(base::kConnectionFailure, std::string(kTimeoutExpired)));
  caller_.resume();
}

}  // namespace penstock::upstream
