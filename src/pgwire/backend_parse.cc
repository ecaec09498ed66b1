#include <algorithm>

#include "pgwire/backend.h"
#include "pgwire/body_reader.h"

namespace penstock::pgwire {

using base::ByteView;
using base::Result;

Result<ServerError> parse_error(ByteView body) {
  BodyReader reader(body);
  ServerError found;
  bool severity_is_fixed = false;  // 'V' was there, which no server translates
  while (!reader.failed()) {
    const std::uint8_t code = reader.u8();
    if (code == 0) break;
    const std::string_view text = reader.cstring();
    switch (code) {
      case 'S':
        if (!severity_is_fixed) found.severity = text;
        break;
      case 'V':
        found.severity = text;
        severity_is_fixed = true;
        break;
      case 'C':
        found.error.sqlstate = base::SqlState(text);
        break;
      case 'M':
        found.error.message = text;
        break;
      case 'D':
        found.error.detail = text;
        break;
      case 'H':
        found.error.hint = text;
        break;
      default:  // the manual: "Frontends should silently ignore fields of unrecognized type"
        break;
    }
  }
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  found.body = base::as_text(body);
  return found;
}

Result<ParameterStatus> parse_parameter_status(ByteView body) {
  BodyReader reader(body);
  ParameterStatus found;
  found.name = reader.cstring();
  found.value = reader.cstring();
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return found;
}

Result<BackendKeyData> parse_backend_key_data(ByteView body) {
  BodyReader reader(body);
  BackendKeyData found;
  found.process_id = reader.be32();
  found.key = base::as_text(reader.rest());
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  if (found.key.size() < kCancelKeyBytesMin || found.key.size() > kCancelKeyBytesMax) {
    return base::fail(base::kProtocolViolation, "invalid length of cancel key in BackendKeyData message");
  }
  return found;
}

Result<Authentication> parse_authentication(ByteView body) {
  BodyReader reader(body);
  Authentication found;
  found.code = reader.be32();
  switch (found.code) {
    case auth_code::kMd5Password: {
      const ByteView salt = reader.take(found.salt.size());
      std::ranges::copy(salt, found.salt.begin());
      break;
    }
    case auth_code::kSasl:
      while (!reader.failed()) {
        const std::string_view mechanism = reader.cstring();
        if (mechanism.empty()) break;
        found.mechanisms.push_back(mechanism);
      }
      break;
    case auth_code::kOk:
    case auth_code::kKerberosV5:
    case auth_code::kCleartextPassword:
    case auth_code::kGss:
    case auth_code::kSspi:
      break;
    default:
      found.data = base::as_text(reader.rest());
      break;
  }
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return found;
}

Result<NegotiateProtocolVersion> parse_negotiate_protocol_version(ByteView body) {
  BodyReader reader(body);
  NegotiateProtocolVersion found;
  // The manual speaks of the minor version; servers send the whole one. Either is taken.
  const std::uint32_t version = reader.be32();
  const std::uint32_t major = version >> 16;
  if (major != 0 && major != kProtocolMajor) reader.fail("server offers another major protocol version");
  found.minor = static_cast<int>(version & 0xFFFF);
  const std::uint32_t count = reader.be32();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i)
    found.unknown_options.push_back(reader.cstring());
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return found;
}

Result<Notification> parse_notification(ByteView body) {
  BodyReader reader(body);
  Notification found;
  found.process_id = reader.be32();
  found.channel = reader.cstring();
  found.payload = reader.cstring();
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return found;
}

Result<std::vector<std::optional<std::string_view>>> parse_data_row(ByteView body) {
  BodyReader reader(body);
  const std::size_t count = reader.be16();
  std::vector<std::optional<std::string_view>> values;
  values.reserve(std::min(count, reader.left() / 4));  // a count that lies reserves nothing
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    const std::uint32_t bytes = reader.be32();
    if (bytes == 0xFFFF'FFFF) {
      values.emplace_back(std::nullopt);
    } else {
      values.emplace_back(base::as_text(reader.take(bytes)));
    }
  }
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return values;
}

Result<std::string_view> parse_command_complete(ByteView body) {
  BodyReader reader(body);
  const std::string_view tag = reader.cstring();
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return tag;
}

Result<char> parse_ready_for_query(ByteView body) {
  BodyReader reader(body);
  const std::uint8_t status = reader.u8();
  if (status != kStatusIdle && status != kStatusInTransaction && status != kStatusFailed) {
    reader.fail("invalid transaction status in ReadyForQuery message");
  }
  if (const auto ended = reader.end(); !ended) return std::unexpected(ended.error());
  return static_cast<char>(status);
}

}  // namespace penstock::pgwire
