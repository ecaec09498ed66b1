#include "pgwire/startup.h"

#include <algorithm>
#include <ranges>

#include "base/assert.h"
#include "pgwire/body_reader.h"
#include "pgwire/open_frame.h"

namespace penstock::pgwire {

using base::ByteView;
using base::ByteWriter;
using base::Result;

namespace {

constexpr std::string_view kPqPrefix = "_pq_.";

Result<StartupPacket> parse_cancel(ByteView rest) {
  if (rest.size() < 4) return base::fail(base::kProtocolViolation, "invalid length of cancel request packet");
  const ByteView key = rest.subspan(4);
  if (key.size() < kCancelKeyBytesMin || key.size() > kCancelKeyBytesMax) {
    return base::fail(base::kProtocolViolation, "invalid length of cancel key in cancel request packet");
  }
  return CancelRequest{.process_id = base::load_be32(rest.data()), .key = std::string(base::as_text(key))};
}

template <class Request>
Result<StartupPacket> parse_bare(ByteView rest) {
  if (!rest.empty()) return base::fail(base::kProtocolViolation, "invalid length of startup packet");
  return Request{};
}

// Pairs of strings, then one zero byte, which must be the last.
base::Status parse_parameters(ByteView rest, StartupMessage& message) {
  constexpr auto kNoTerminator = "invalid startup packet layout: expected terminator as last byte";
  BodyReader reader(rest);
  while (true) {
    const std::string_view name = reader.cstring();
    if (reader.failed()) return base::fail(base::kProtocolViolation, kNoTerminator);
    if (name.empty()) break;
    const std::string_view value = reader.cstring();
    if (reader.failed()) return base::fail(base::kProtocolViolation, kNoTerminator);
    if (name.starts_with(kPqPrefix)) {
      message.pq_options.emplace_back(name);
    } else {
      message.parameters.emplace_back(name, value);
    }
  }
  if (reader.left() != 0) return base::fail(base::kProtocolViolation, kNoTerminator);
  return {};
}

Result<StartupPacket> parse_startup_message(std::uint32_t version, ByteView rest) {
  StartupMessage message;
  message.major = static_cast<int>(version >> 16);
  message.minor = static_cast<int>(version & 0xFFFF);
  if (message.major != kProtocolMajor) {
    return base::fail(base::kFeatureNotSupported,
                      "unsupported frontend protocol " + std::to_string(message.major) + "." +
                          std::to_string(message.minor) + ": server supports " +
                          std::to_string(kProtocolMajor) + "." + std::to_string(kProtocolMinorMin) + " to " +
                          std::to_string(kProtocolMajor) + "." + std::to_string(kProtocolMinorMax));
  }
  if (auto parsed = parse_parameters(rest, message); !parsed)
    return std::unexpected(std::move(parsed.error()));
  if (message.user().empty()) {
    return base::fail(base::kInvalidAuthorization, "no PostgreSQL user name specified in startup packet");
  }
  return message;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    return lower(x) == lower(y);
  });
}

// A boolean as Postgres reads it: true, false, yes, no, on, off, 1, 0, and any beginning of them that is
// clear.
std::optional<bool> parse_bool(std::string_view text) {
  const auto begins = [text](std::string_view word, std::size_t least) {
    return text.size() >= least && text.size() <= word.size() &&
           equals_ignoring_case(text, word.substr(0, text.size()));
  };
  if (text == "1" || begins("true", 1) || begins("yes", 1) || begins("on", 2)) return true;
  if (text == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2)) return false;
  return std::nullopt;
}

}  // namespace

Result<StartupPacket> parse_startup(ByteView packet) {
  if (packet.size() < 4) return base::fail(base::kProtocolViolation, "invalid length of startup packet");
  const std::uint32_t code = base::load_be32(packet.data());
  const ByteView rest = packet.subspan(4);
  switch (code) {
    case kCancelRequestCode:
      return parse_cancel(rest);
    case kSslRequestCode:
      return parse_bare<SslRequest>(rest);
    case kGssEncRequestCode:
      return parse_bare<GssEncRequest>(rest);
    default:
      return parse_startup_message(code, rest);
  }
}

const std::string* StartupMessage::find(std::string_view name) const {
  for (const auto& [key, value] : parameters | std::views::reverse) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string_view StartupMessage::user() const {
  const std::string* value = find("user");
  return value != nullptr ? std::string_view(*value) : std::string_view();
}

std::string_view StartupMessage::database() const {
  const std::string* value = find("database");
  return value != nullptr && !value->empty() ? std::string_view(*value) : user();
}

Result<Replication> StartupMessage::replication() const {
  const std::string* value = find("replication");
  if (value == nullptr) return Replication::kNo;
  if (*value == "database") return Replication::kDatabase;
  const auto on = parse_bool(*value);
  if (!on) {
    return base::fail(base::kInvalidParameterValue,
                      "invalid value for parameter \"replication\": \"" + *value + "\"", {},
                      "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
  }
  return *on ? Replication::kPhysical : Replication::kNo;
}

void build_startup(ByteWriter& out, int major, int minor, const Parameters& parameters) {
  const OpenFrame frame(out);
  out.be32(protocol_version(major, minor));
  for (const auto& [name, value] : parameters) {
    if (name.empty() || name.front() == '\0') continue;  // it would end the list
    cstring_cut(out, name);
    cstring_cut(out, value);
  }
  out.u8(0);
}

void build_ssl_request(ByteWriter& out) {
  const OpenFrame frame(out);
  out.be32(kSslRequestCode);
}

void build_gss_enc_request(ByteWriter& out) {
  const OpenFrame frame(out);
  out.be32(kGssEncRequestCode);
}

void build_cancel_request(ByteWriter& out, std::uint32_t process_id, std::string_view key) {
  PENSTOCK_ASSERT(key.size() >= kCancelKeyBytesMin && key.size() <= kCancelKeyBytesMax);
  const OpenFrame frame(out);
  out.be32(kCancelRequestCode);
  out.be32(process_id);
  out.raw(key);
}

}  // namespace penstock::pgwire
