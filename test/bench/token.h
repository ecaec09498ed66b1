// Token: the text by which an answer proves that it belongs to its question: which client asked, and as its
// how many-th.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace penstock::bench {

class Token {
 public:
  static constexpr std::size_t kSize = 17;  // "0000beef-00000042"

  Token(std::uint32_t client, std::uint32_t serial) {
    write_hex(text_.data(), client);
    text_[8] = '-';
    write_hex(text_.data() + 9, serial);
  }
  std::string_view view() const { return {text_.data(), text_.size()}; }

 private:
  static void write_hex(char* out, std::uint32_t value) {
    for (int i = 7; i >= 0; --i, value >>= 4) out[i] = "0123456789abcdef"[value & 15];
  }
  std::array<char, kSize> text_;
};

// Whether `text` is `unit` repeated as often as fits, the last time possibly cut short.
inline bool is_repeated(std::string_view text, std::string_view unit) {
  while (text.size() >= unit.size()) {
    if (text.substr(0, unit.size()) != unit) return false;
    text.remove_prefix(unit.size());
  }
  return unit.starts_with(text);
}

}  // namespace penstock::bench
