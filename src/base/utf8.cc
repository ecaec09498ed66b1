#include "base/utf8.h"

#include <cstddef>

namespace penstock::base {

namespace {

struct Lead {
  std::size_t length = 0;  // 0: no character begins with this byte
  unsigned char second_min = 0x80;
  unsigned char second_max = 0xBF;
};

// RFC 3629, section 4.
Lead classify(unsigned char lead) {
  if (lead < 0x80) return {.length = 1};
  if (lead < 0xC2) return {};
  if (lead < 0xE0) return {.length = 2};
  if (lead == 0xE0) return {.length = 3, .second_min = 0xA0};
  if (lead == 0xED) return {.length = 3, .second_max = 0x9F};
  if (lead < 0xF0) return {.length = 3};
  if (lead == 0xF0) return {.length = 4, .second_min = 0x90};
  if (lead < 0xF4) return {.length = 4};
  if (lead == 0xF4) return {.length = 4, .second_max = 0x8F};
  return {};
}

// Bytes of the character that the text begins with; 0: it begins with none.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const Lead lead = classify(byte(0));
  if (lead.length == 0 || text.size() < lead.length) return 0;
  if (lead.length > 1 && (byte(1) < lead.second_min || byte(1) > lead.second_max)) return 0;
  for (std::size_t i = 2; i < lead.length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return lead.length;
}

// How much of the text is well-formed, from its beginning.
std::size_t utf8_length(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = character_length(text.substr(at));
    if (length == 0) break;
    at += length;
  }
  return at;
}

}  // namespace

bool is_utf8(std::string_view text) {
  return utf8_length(text) == text.size();
}

std::string to_utf8(std::string_view text, std::string_view escape) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string shown;
  for (;;) {
    const std::size_t length = utf8_length(text);
    shown += text.substr(0, length);
    if (length == text.size()) return shown;
    const auto byte = static_cast<unsigned char>(text[length]);
    shown += escape;
    shown += {kDigits[byte >> 4], kDigits[byte & 0xF]};
    text.remove_prefix(length + 1);
  }
}

}  // namespace penstock::base
