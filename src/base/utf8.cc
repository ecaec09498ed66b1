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

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const Lead lead = classify(byte(0));
    if (lead.length == 0 || text.size() - at < lead.length) return false;
    if (lead.length > 1 && (byte(1) < lead.second_min || byte(1) > lead.second_max)) return false;
    for (std::size_t i = 2; i < lead.length; ++i) {
      if ((byte(i) & 0xC0) != 0x80) return false;
    }
    at += lead.length;
  }
  return true;
}

}  // namespace penstock::base
