// BodyReader walks over the body of one message, field by field, for the parsers of this module.
//
// The first thing that does not fit makes it fail for good: all later reads give nothing, and end() returns
// the error. So a parser reads all its fields in a row and asks once.
//
// Home:   LOOP, on the stack of a parser; what it returns are views into the body.
// Errors: 08P01 in the words of Postgres (src/backend/libpq/pqformat.c says the same on the other side).
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace penstock::pgwire {

class BodyReader {
 public:
  explicit BodyReader(base::ByteView body) : left_(body) {}

  std::string_view cstring() {
    const void* zero = left_.empty() ? nullptr : std::memchr(left_.data(), 0, left_.size());
    if (zero == nullptr) return fail("invalid string in message"), std::string_view();
    const auto length = static_cast<std::size_t>(static_cast<const std::uint8_t*>(zero) - left_.data());
    const std::string_view text = base::as_text(left_.first(length));
    left_ = left_.subspan(length + 1);
    return text;
  }
  std::uint8_t u8() {
    const base::ByteView bytes = take(1);
    return bytes.empty() ? std::uint8_t{0} : bytes[0];
  }
  std::uint16_t be16() {
    const base::ByteView bytes = take(2);
    return bytes.empty() ? std::uint16_t{0} : base::load_be16(bytes.data());
  }
  std::uint32_t be32() {
    const base::ByteView bytes = take(4);
    return bytes.empty() ? 0 : base::load_be32(bytes.data());
  }
  // Exactly `count` bytes, or none.
  base::ByteView take(std::size_t count) {
    if (count > left_.size()) return fail("insufficient data left in message"), base::ByteView();
    const base::ByteView bytes = left_.first(count);
    left_ = left_.subspan(count);
    return bytes;
  }
  base::ByteView rest() { return take(left_.size()); }

  std::size_t left() const { return left_.size(); }
  bool failed() const { return problem_ != nullptr; }
  // `problem` must be a literal.
  void fail(const char* problem) {
    if (problem_ == nullptr) problem_ = problem;
    left_ = {};
  }
  // Nothing has failed, and nothing is left.
  base::Status end() {
    if (!left_.empty()) fail("invalid message format");
    if (problem_ != nullptr) return base::fail(base::kProtocolViolation, problem_);
    return {};
  }

 private:
  base::ByteView left_;
  const char* problem_ = nullptr;
};

}  // namespace penstock::pgwire
