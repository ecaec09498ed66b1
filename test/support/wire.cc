#include "support/wire.h"

namespace penstock::sim {

namespace {

constexpr std::uint32_t kMessageBytesMax = 16 * 1024 * 1024;

const std::uint8_t* data_of(std::string_view text) {
  return base::as_bytes(text).data();
}

}  // namespace

std::optional<Message> Splitter::next() {
  const std::string_view rest = std::string_view(buffer_).substr(start_);
  const std::size_t header = startup_ ? 4 : 5;
  if (broken_ || rest.size() < header) return std::nullopt;
  const std::uint32_t length = base::load_be32(data_of(rest) + header - 4);
  if (length < 4 || length > kMessageBytesMax) {
    broken_ = true;
    return std::nullopt;
  }
  const std::size_t whole = length + header - 4;
  if (rest.size() < whole) return std::nullopt;
  Message result{.type = startup_ ? '\0' : rest[0], .body = std::string(rest.substr(header, length - 4))};
  startup_ = false;
  start_ += whole;
  if (start_ == buffer_.size() || start_ > 64 * 1024) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  return result;
}

std::string Fields::text() {
  const auto end = rest_.find('\0');
  if (end == std::string_view::npos) {
    ok_ = false;
    return {};
  }
  std::string result(rest_.substr(0, end));
  rest_.remove_prefix(end + 1);
  return result;
}

std::string Fields::bytes(std::size_t count) {
  if (count > rest_.size()) {
    ok_ = false;
    return {};
  }
  std::string result(rest_.substr(0, count));
  rest_.remove_prefix(count);
  return result;
}

std::uint32_t Fields::be32() {
  const std::string four = bytes(4);
  return four.empty() ? 0 : base::load_be32(data_of(four));
}

std::uint16_t Fields::be16() {
  const std::string two = bytes(2);
  return two.empty() ? std::uint16_t{0} : base::load_be16(data_of(two));
}

std::string be16(std::uint32_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string be32(std::uint32_t value) {
  return be16(value >> 16) + be16(value & 0xffff);
}

std::string zero_ended(std::string_view text) {
  return std::string(text) + '\0';
}

std::string message(char type, std::string_view body) {
  std::string result(1, type);
  result += be32(static_cast<std::uint32_t>(body.size() + 4));
  result += body;
  return result;
}

std::string startup_packet(std::uint32_t code, std::string_view body) {
  std::string result = be32(static_cast<std::uint32_t>(body.size() + 8)) + be32(code);
  result += body;
  return result;
}

std::string row_description(const std::vector<std::string>& names) {
  std::string body = be16(static_cast<std::uint32_t>(names.size()));
  for (const auto& name : names)
    body += zero_ended(name) + be32(0) + be16(0) + be32(25) + be16(0xffff) + be32(0xffffffff) + be16(0);
  return message('T', body);
}

std::string data_row(const std::vector<std::string>& values) {
  std::string body = be16(static_cast<std::uint32_t>(values.size()));
  for (const auto& value : values) body += be32(static_cast<std::uint32_t>(value.size())) + value;
  return message('D', body);
}

std::vector<std::string> row_values(std::string_view body) {
  Fields fields(body);
  std::vector<std::string> values(fields.be16());
  for (auto& value : values) value = fields.bytes(fields.be32());
  return values;
}

std::string error_message(std::string_view severity, std::string_view sqlstate, std::string_view text) {
  return message('E', "S" + zero_ended(severity) + "V" + zero_ended(severity) + "C" + zero_ended(sqlstate) +
                          "M" + zero_ended(text) + '\0');
}

ErrorFields error_fields(std::string_view body) {
  ErrorFields result;
  Fields fields(body);
  while (fields.ok() && !fields.at_end()) {
    const std::string kind = fields.bytes(1);
    if (kind[0] == '\0') break;
    const std::string value = fields.text();
    if (kind == "S") result.severity = value;
    if (kind == "C") result.sqlstate = value;
    if (kind == "M") result.text = value;
  }
  return result;
}

}  // namespace penstock::sim
