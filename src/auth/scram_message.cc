#include "auth/scram_message.h"

#include <algorithm>

namespace penstock::auth {

namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::unexpected<base::Error> malformed(std::string detail) {
  return base::fail(base::kProtocolViolation, "malformed SCRAM message", std::move(detail));
}

std::unexpected<base::Error> out_of_order() {
  return base::fail(base::kProtocolViolation, "unexpected SCRAM message", "It is out of order.");
}

std::string shown(std::string_view rest) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  if (rest.empty()) return "end of string";
  const auto c = static_cast<unsigned char>(rest.front());
  if (c >= 0x21 && c <= 0x7e) return std::string(1, rest.front());
  return std::string("0x") + kDigits[c >> 4] + kDigits[c & 15];
}

base::Status check_message(std::string_view message) {
  if (message.empty()) return malformed("The message is empty.");
  if (message.size() > kScramMessageMax) return malformed("The message is too long.");
  if (message.find('\0') != message.npos) return malformed("Message length does not match input length.");
  return {};
}

bool is_scram_printable(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

base::Result<std::string_view> AttributeReader::expect(char name) {
  if (rest_.empty() || rest_.front() != name) {
    return malformed(std::string("Expected attribute \"") + name + "\" but found \"" + shown(rest_) + "\".");
  }
  rest_.remove_prefix(1);
  if (rest_.empty() || rest_.front() != '=') {
    return malformed(std::string("Expected character \"=\" for attribute \"") + name + "\".");
  }
  rest_.remove_prefix(1);
  return take_value();
}

base::Result<AttributeReader::Attribute> AttributeReader::any() {
  if (rest_.empty()) return malformed("Attribute expected, but found end of string.");
  const char name = rest_.front();
  if (!is_letter(name)) {
    return malformed("Attribute expected, but found invalid character \"" + shown(rest_) + "\".");
  }
  const auto value = expect(name);
  if (!value) return base::fail(value.error());
  return Attribute{.name = name, .value = *value};
}

std::string_view AttributeReader::take_value() {
  const std::size_t comma = rest_.find(',');
  const std::string_view value = rest_.substr(0, comma);
  rest_ = comma == rest_.npos ? std::string_view() : rest_.substr(comma + 1);
  return value;
}

}  // namespace penstock::auth
