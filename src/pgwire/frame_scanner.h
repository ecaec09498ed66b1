// FrameScanner walks a logged-in connection's bytes and knows where each message begins and ends.
//
// Without it the relay would have to put every message together before passing it on. Most bytes are never
// looked at: a message that lies whole in the chunk at hand is shown where it lies; one that does not is
// passed on in parts, or, if its type is one the session must see whole and it is small enough, held back
// until its end has come.
//
// Owner:      a Session (client's side) or an Upstream (server's side), by value.
// Home:       LOOP
// Invariants: 1. The `bytes` of the events, one after another, are the stream, without gap or overlap.
//             2. What is shown does not depend on how the stream was cut, except for the cuts of parts and
//                runs.
// Errors:     08P01 for a length word below 4 or above `message_bytes_max`; nothing more can be read then.
// Bounds:     holds at most Policy::whole_max or prefix_bytes of one message; nothing between messages.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace penstock::pgwire {

class FrameScanner {
 public:
  // By type: messages up to `whole_max` bytes (header included) are shown whole. Larger ones come in parts,
  // the first of which has at least min(prefix_bytes, the whole message) bytes.
  struct Policy {
    std::array<std::uint32_t, 256> whole_max{};
    std::array<std::uint32_t, 256> prefix_bytes{};
    // Neighbours of this type that lie whole in a chunk are shown as one: rows are many and all alike.
    std::array<bool, 256> in_runs{};
    std::uint32_t message_bytes_max = 1U << 30;
  };

  enum class Kind : std::uint8_t {
    kMore,     // everything fed has been shown or is held
    kMessage,  // a whole message, header included; of a type in_runs: one or more of them
    kPart,     // a piece of one
    kBroken,   // the length word is wrong
  };
  struct Event {
    Kind kind = Kind::kMore;
    std::uint8_t type = 0;
    bool first = false;       // kPart: begins with the header
    bool last = false;        // kPart: ends the message
    bool in_chunk = false;    // `bytes` lie in the chunk fed last; else they are good until the next call
    std::uint32_t total = 0;  // bytes of the whole message (the first of a run), header included
    base::ByteView bytes = {};
    base::ByteView body() const { return bytes.subspan(5); }  // of a message or a first part
  };

  explicit FrameScanner(const Policy& policy) : policy_(&policy) {}

  // The next bytes of the stream; the previous ones must have been walked to kMore.
  void feed(base::ByteView chunk);
  Event next();

  // The type of the message after the one shown last, if its first byte is here; else 0.
  std::uint8_t next_type() const { return chunk_.empty() || remaining_ > 0 ? 0 : chunk_[0]; }
  // What of the chunk has not been shown or held yet: it is to be fed another time.
  base::ByteView take_rest() { return std::exchange(chunk_, {}); }
  // Between two messages: nothing is held, nothing is half shown.
  bool at_boundary() const { return remaining_ == 0 && held_.empty(); }
  // Of the message being shown in parts, bytes not shown yet.
  std::uint32_t remaining() const { return remaining_; }
  std::size_t held_bytes() const { return held_.size(); }

 private:
  Event show_held(std::uint32_t total);
  Event continue_held();
  Event from_chunk();
  std::size_t end_of_run(std::size_t end) const;
  bool take_into_held(std::size_t wanted);

  const Policy* policy_;
  base::ByteView chunk_{};           // not yet walked
  std::vector<std::uint8_t> held_;   // the start of a message that did not fit into one chunk
  std::vector<std::uint8_t> shown_;  // keeps an event's bytes alive
  std::uint32_t remaining_ = 0;      // of the message shown in parts
  std::uint8_t type_ = 0;
  bool shown_in_use_ = false;
};

}  // namespace penstock::pgwire
