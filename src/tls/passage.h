// Passage: a connection on its way from one worker's loop to another's, encrypted or not.
//
// Owner:      the message that carries it; exactly one arrival, or it closes the connection when it dies.
// Home:       take(): the loop it leaves; arrive(): the loop it comes to; between the two, any one thread at
//             a time.
// Invariants: carries nothing that belongs to a loop: bytes already received are copies.
// Errors:     take() when the connection ended meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "io/loop.h"
#include "tls/engine.h"

namespace penstock::tls {

class Passage {
 public:
  // Takes `stream`, which must be movable() and have nothing unsent, out of its loop. `done` is called on
  // that loop, later.
  static void take(io::StreamPtr stream, std::move_only_function<void(base::Result<Passage>)> done);

  Passage(Passage&& other) noexcept = default;
  Passage& operator=(Passage&&) = delete;
  ~Passage();

  // What was received before the passage in the clear; an encrypted stream keeps its own.
  const std::vector<std::uint8_t>& received() const { return received_; }
  base::Result<io::StreamPtr> arrive(io::Loop& loop);

 private:
  struct Descriptor {
    explicit Descriptor(int number) : number(number) {}
    Descriptor(Descriptor&& other) noexcept : number(std::exchange(other.number, -1)) {}
    int number;
  };
  explicit Passage(io::Loop::Detached& socket)
      : descriptor_(socket.descriptor), close_(std::move(socket.close)) {}

  Descriptor descriptor_;
  std::move_only_function<void(int)> close_;
  std::vector<std::uint8_t> received_;
  std::unique_ptr<Engine> engine_;  // null: not encrypted
};

}  // namespace penstock::tls
