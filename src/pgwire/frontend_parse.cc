#include <string>

#include "pgwire/body_reader.h"
#include "pgwire/frontend.h"

namespace penstock::pgwire {

using base::ByteView;
using base::Result;

namespace {

// The text up to the next zero byte, `at` moved behind it; empty optional: the zero byte has not come yet.
Result<std::optional<std::string_view>> prefix_cstring(ByteView prefix, std::size_t body_bytes,
                                                       std::size_t& at) {
  const std::string_view text = base::as_text(prefix);
  const std::size_t zero = text.find('\0', at);
  if (zero == std::string_view::npos) {
    if (prefix.size() < body_bytes) return std::nullopt;
    return base::fail(base::kProtocolViolation, "invalid string in message");
  }
  const std::string_view found = text.substr(at, zero - at);
  at = zero + 1;
  return found;
}

Result<DescribeOrClose> parse_kind_and_name(ByteView body, const char* command) {
  BodyReader reader(body);
  const std::uint8_t kind = reader.u8();
  const std::string_view name = reader.cstring();
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  if (kind != kStatement && kind != kPortal) {
    return base::fail(base::kProtocolViolation,
                      std::string("invalid ") + command + " message subtype " + std::to_string(kind));
  }
  return DescribeOrClose{.kind = static_cast<char>(kind), .name = name};
}

Result<std::string_view> parse_one_string(ByteView body) {
  BodyReader reader(body);
  const std::string_view text = reader.cstring();
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return text;
}

}  // namespace

Result<std::string_view> parse_query(ByteView body) {
  return parse_one_string(body);
}
Result<std::string_view> parse_copy_fail(ByteView body) {
  return parse_one_string(body);
}
Result<DescribeOrClose> parse_describe(ByteView body) {
  return parse_kind_and_name(body, "DESCRIBE");
}
Result<DescribeOrClose> parse_close(ByteView body) {
  return parse_kind_and_name(body, "CLOSE");
}

Result<std::optional<ParseMessage>> parse_parse(ByteView prefix, std::size_t body_bytes) {
  if (prefix.size() < body_bytes) return std::nullopt;
  BodyReader reader(prefix.first(body_bytes));
  ParseMessage message;
  message.name = reader.cstring();
  message.query = reader.cstring();
  const std::uint16_t types = reader.be16();
  message.types = reader.take(std::size_t{types} * 4);
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return message;
}

Result<std::optional<ParsePrefix>> parse_parse_prefix(ByteView prefix, std::size_t body_bytes) {
  std::size_t at = 0;
  const auto name = prefix_cstring(prefix, body_bytes, at);
  if (!name) return std::unexpected(name.error());
  if (!*name) return std::nullopt;
  return ParsePrefix{.name = **name, .rest_offset = at};
}

Result<std::optional<BindPrefix>> parse_bind_prefix(ByteView prefix, std::size_t body_bytes) {
  std::size_t at = 0;
  const auto portal = prefix_cstring(prefix, body_bytes, at);
  if (!portal) return std::unexpected(portal.error());
  if (!*portal) return std::nullopt;
  const auto statement = prefix_cstring(prefix, body_bytes, at);
  if (!statement) return std::unexpected(statement.error());
  if (!*statement) return std::nullopt;
  return BindPrefix{.portal = **portal, .statement = **statement, .rest_offset = at};
}

Result<ExecuteMessage> parse_execute(ByteView body) {
  BodyReader reader(body);
  ExecuteMessage message;
  message.portal = reader.cstring();
  message.max_rows = reader.be32();
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return message;
}

Result<std::string_view> parse_password(ByteView body) {
  const std::string_view text = base::as_text(body);
  if (text.find('\0') != text.size() - 1 || text.empty()) {
    return base::fail(base::kProtocolViolation, "invalid password packet size");
  }
  if (text.size() == 1) return base::fail(base::kInvalidPassword, "empty password returned by client");
  return text.substr(0, text.size() - 1);
}

Result<SaslInitialResponse> parse_sasl_initial_response(ByteView body) {
  BodyReader reader(body);
  SaslInitialResponse message;
  message.mechanism = reader.cstring();
  const std::uint32_t length = reader.be32();
  if (length != 0xFFFF'FFFF) message.data = base::as_text(reader.take(length));
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return message;
}

}  // namespace penstock::pgwire
