// MessageAssembler puts whole messages together from a byte stream, while a connection logs in.
//
// Without it, each step of a log-in would have to cope with messages that arrive in pieces or many at once.
// After the log-in it is not used: the relay never needs a message whole.
//
// Owner:      the log-in of a client or of an upstream, by value; dies with it.
// Home:       LOOP
// Invariants: 1. It takes no byte beyond the message it returns: what is left over is what is left in
//                `input`.
//             2. What it returns does not depend on how the stream was cut into pieces.
// Errors:     08P01 as soon as the length word is there and is too small or too large. Then the connection is
//             over.
// Bounds:     holds at most startup_bytes_max or message_bytes_max (+1 for the type); nothing when no message
//             is half read and the previous one came in one piece.
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "pgwire/constants.h"

namespace penstock::pgwire {

struct Message {
  std::uint8_t type = 0;
  base::ByteView body = {};  // without type and length
};

class MessageAssembler {
 public:
  // Length words may say so much, themselves included.
  struct Limits {
    std::size_t startup_bytes_max = kStartupPacketBytesMax;
    std::size_t message_bytes_max = kAuthMessageBytesMax;
  };

  MessageAssembler() = default;
  explicit MessageAssembler(Limits limits) : limits_(limits) {}

  // Takes bytes off the front of `input` until one message is whole. Empty: all of `input` was taken and more
  // is needed. The returned view is good until the next call and while the memory behind `input` is. Do not
  // change from one form to the other in the middle of a message.
  base::Result<std::optional<Message>> next_message(base::ByteView& input);
  // The same for a packet without a type byte; the view is what parse_startup takes.
  base::Result<std::optional<base::ByteView>> next_startup_packet(base::ByteView& input);

  // A message has begun and is not whole yet.
  bool in_message() const { return !returned_ && !held_.empty(); }
  std::size_t held_bytes() const { return held_.size(); }

 private:
  // `prefix_bytes`: 1 when a type byte comes first, else 0. Returns the whole frame.
  base::Result<std::optional<base::ByteView>> next_frame(base::ByteView& input, std::size_t prefix_bytes);
  // Moves bytes from `input` to held_ until it holds `wanted`; whether it does.
  bool take_until(base::ByteView& input, std::size_t wanted);
  base::Result<std::size_t> frame_bytes(base::ByteView header, std::size_t prefix_bytes) const;

  Limits limits_;
  std::vector<std::uint8_t> held_;  // the message so far, or the last one returned
  bool returned_ = false;           // held_ has been handed out and goes away with the next call
};

}  // namespace penstock::pgwire
