// WipedText and Key hold what must not linger in memory: passwords and derived keys. Both are overwritten
// when they die.
//
// Without them a password would stay readable in freed heap blocks and in core dumps long after its use.
//
// Owner:      whoever holds the value; copies are independent and wiped one by one.
// Home:       any thread (plain values).
// Invariants: no path of destruction, assignment or move leaves the old bytes behind.
// See:        text that came in through other strings (a config file, a message) is the reader's to wipe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace penstock::auth {

// Overwrites memory in a way the optimizer keeps (OPENSSL_cleanse).
void wipe(void* memory, std::size_t size);

class WipedText {
 public:
  WipedText() = default;
  explicit WipedText(std::string_view text);
  WipedText(const WipedText& other) : WipedText(other.view()) {}
  WipedText(WipedText&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  WipedText& operator=(WipedText other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~WipedText() {
    if (size_ != 0) wipe(bytes_.get(), size_);
  }

  std::string_view view() const { return {bytes_.get(), size_}; }
  bool empty() const { return size_ == 0; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

// 32 bytes: a SHA-256 digest, an HMAC, a SCRAM key.
class Key {
 public:
  static constexpr std::size_t kSize = 32;  // bytes

  Key() = default;
  Key(const Key&) = default;
  Key& operator=(const Key&) = default;
  ~Key() { wipe(bytes_.data(), bytes_.size()); }

  // All of `bytes`, which must be kSize long.
  static Key from(base::ByteView bytes);

  std::uint8_t* data() { return bytes_.data(); }
  const std::uint8_t* data() const { return bytes_.data(); }
  base::ByteView view() const { return bytes_; }
  // In constant time.
  friend bool operator==(const Key& a, const Key& b);

 private:
  std::array<std::uint8_t, kSize> bytes_{};
};

}  // namespace penstock::auth
