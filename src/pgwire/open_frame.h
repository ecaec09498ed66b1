// OpenFrame begins a message in a ByteWriter and fills in its length word when it goes out of scope.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "pgwire/constants.h"

namespace penstock::pgwire {

class OpenFrame {
 public:
  OpenFrame(base::ByteWriter& out, std::uint8_t type) : out_(out) {
    out_.u8(type);
    begin();
  }
  // Without a type byte, as start-up packets are.
  explicit OpenFrame(base::ByteWriter& out) : out_(out) { begin(); }
  ~OpenFrame() { out_.patch_be32(length_at_, static_cast<std::uint32_t>(out_.size() - length_at_)); }
  OpenFrame(const OpenFrame&) = delete;
  OpenFrame& operator=(const OpenFrame&) = delete;

 private:
  void begin() {
    length_at_ = out_.size();
    out_.be32(0);
  }
  base::ByteWriter& out_;
  std::size_t length_at_ = 0;
};

// A string of the protocol; what follows a zero byte inside it cannot be sent and is left out.
inline void cstring_cut(base::ByteWriter& out, std::string_view text) {
  out.cstring(text.substr(0, text.find('\0')));
}

}  // namespace penstock::pgwire
