// What a server sends: builders that append whole messages to a ByteWriter, parsers that look into a
// message's body.
//
// Parsers take the body (without type and length) and return views into it, except where they say otherwise.
// They accept exactly what the manual allows and ignore nothing but error fields of unknown kind; all else is
// 08P01. Source: PostgreSQL manual, "Message Formats" and "Error and Notice Message Fields".
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "pgwire/constants.h"

namespace penstock::pgwire {

// --- Builders. Texts are cut at a zero byte, which the protocol cannot carry. ---

// Fields S, V, C, M, and D, H unless empty; `where` is never sent. `severity`: ERROR, FATAL or PANIC.
void error_response(base::ByteWriter& out, const base::Error& error, std::string_view severity = "ERROR");
// `severity`: WARNING, NOTICE, DEBUG, INFO or LOG.
void notice_response(base::ByteWriter& out, const base::Error& notice, std::string_view severity = "NOTICE");

void authentication_ok(base::ByteWriter& out);
void authentication_cleartext(base::ByteWriter& out);
void authentication_md5(base::ByteWriter& out, const std::array<std::uint8_t, 4>& salt);
void authentication_sasl(base::ByteWriter& out, const std::vector<std::string_view>& mechanisms);
void authentication_sasl_continue(base::ByteWriter& out, std::string_view data);
void authentication_sasl_final(base::ByteWriter& out, std::string_view data);

void parameter_status(base::ByteWriter& out, std::string_view name, std::string_view value);
// `key`: kCancelKeyBytesMin to kCancelKeyBytesMax bytes; just 4 towards protocol 3.0.
void backend_key_data(base::ByteWriter& out, std::uint32_t process_id, std::string_view key);
// `status`: kStatusIdle, kStatusInTransaction or kStatusFailed.
void ready_for_query(base::ByteWriter& out, char status);
// Sends the version as Postgres does and libpq expects: major 3 in the upper half, `minor` in the lower.
void negotiate_protocol_version(base::ByteWriter& out, int minor,
                                const std::vector<std::string>& unknown_options);

void parse_complete(base::ByteWriter& out);
void bind_complete(base::ByteWriter& out);
void close_complete(base::ByteWriter& out);
void no_data(base::ByteWriter& out);
void empty_query_response(base::ByteWriter& out);
void command_complete(base::ByteWriter& out, std::string_view tag);
void notification_response(base::ByteWriter& out, std::uint32_t process_id, std::string_view channel,
                           std::string_view payload);

// Columns in text format, of no table; the type's size is said to be variable.
struct Column {
  std::string_view name = {};
  std::uint32_t type_oid = 25;  // text
};
void row_description(base::ByteWriter& out, const std::vector<Column>& columns);
// Empty: NULL.
void data_row(base::ByteWriter& out, const std::vector<std::optional<std::string_view>>& values);

// --- Parsers. ---

struct ServerError {
  std::string severity = {};  // not localized where the server says so (9.6 and later)
  base::Error error = {};     // sqlstate, message, detail, hint; XX000 when the server sent no valid code
  std::string body = {};      // the message's body as it came, to be passed on
};
// Both ErrorResponse and NoticeResponse. Owns what it returns.
base::Result<ServerError> parse_error(base::ByteView body);

struct ParameterStatus {
  std::string_view name = {};
  std::string_view value = {};
};
base::Result<ParameterStatus> parse_parameter_status(base::ByteView body);

struct BackendKeyData {
  std::uint32_t process_id = 0;
  std::string_view key = {};
};
base::Result<BackendKeyData> parse_backend_key_data(base::ByteView body);

struct Authentication {
  std::uint32_t code = 0;                         // auth_code::…
  std::array<std::uint8_t, 4> salt = {};          // kMd5Password
  std::vector<std::string_view> mechanisms = {};  // kSasl
  std::string_view data = {};  // kSaslContinue, kSaslFinal, kGssContinue; all after the code if unknown
};
base::Result<Authentication> parse_authentication(base::ByteView body);

struct NegotiateProtocolVersion {
  int minor = 0;  // the newest the server speaks
  std::vector<std::string_view> unknown_options = {};
};
base::Result<NegotiateProtocolVersion> parse_negotiate_protocol_version(base::ByteView body);

struct Notification {
  std::uint32_t process_id = 0;
  std::string_view channel = {};
  std::string_view payload = {};
};
base::Result<Notification> parse_notification(base::ByteView body);

base::Result<std::vector<std::optional<std::string_view>>> parse_data_row(base::ByteView body);
base::Result<std::string_view> parse_command_complete(base::ByteView body);
// kStatusIdle, kStatusInTransaction or kStatusFailed.
base::Result<char> parse_ready_for_query(base::ByteView body);

}  // namespace penstock::pgwire
