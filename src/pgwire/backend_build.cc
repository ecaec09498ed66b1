#include "base/assert.h"
#include "pgwire/backend.h"
#include "pgwire/open_frame.h"

namespace penstock::pgwire {

using base::ByteWriter;

namespace {

void field(ByteWriter& out, char code, std::string_view text) {
  out.u8(static_cast<std::uint8_t>(code));
  cstring_cut(out, text);
}

void error_fields(ByteWriter& out, std::uint8_t type, const base::Error& error, std::string_view severity) {
  const OpenFrame frame(out, type);
  field(out, 'S', severity);
  field(out, 'V', severity);
  field(out, 'C', error.sqlstate.view());
  field(out, 'M', error.message);
  if (!error.detail.empty()) field(out, 'D', error.detail);
  if (!error.hint.empty()) field(out, 'H', error.hint);
  out.u8(0);
}

void empty_message(ByteWriter& out, std::uint8_t type) {
  const OpenFrame frame(out, type);
}

void authentication(ByteWriter& out, std::uint32_t code, std::string_view data) {
  const OpenFrame frame(out, reply::kAuthentication);
  out.be32(code);
  out.raw(data);
}

}  // namespace

void error_response(ByteWriter& out, const base::Error& error, std::string_view severity) {
  error_fields(out, reply::kErrorResponse, error, severity);
}

void notice_response(ByteWriter& out, const base::Error& notice, std::string_view severity) {
  error_fields(out, reply::kNoticeResponse, notice, severity);
}

void authentication_ok(ByteWriter& out) {
  authentication(out, auth_code::kOk, {});
}
void authentication_cleartext(ByteWriter& out) {
  authentication(out, auth_code::kCleartextPassword, {});
}
void authentication_md5(ByteWriter& out, const std::array<std::uint8_t, 4>& salt) {
  authentication(out, auth_code::kMd5Password, base::as_text(salt));
}
void authentication_sasl_continue(ByteWriter& out, std::string_view data) {
  authentication(out, auth_code::kSaslContinue, data);
}
void authentication_sasl_final(ByteWriter& out, std::string_view data) {
  authentication(out, auth_code::kSaslFinal, data);
}

void authentication_sasl(ByteWriter& out, const std::vector<std::string_view>& mechanisms) {
  const OpenFrame frame(out, reply::kAuthentication);
  out.be32(auth_code::kSasl);
  for (const std::string_view mechanism : mechanisms) out.cstring(mechanism);
  out.u8(0);
}

void parameter_status(ByteWriter& out, std::string_view name, std::string_view value) {
  const OpenFrame frame(out, reply::kParameterStatus);
  cstring_cut(out, name);
  cstring_cut(out, value);
}

void backend_key_data(ByteWriter& out, std::uint32_t process_id, std::string_view key) {
  PENSTOCK_ASSERT(key.size() >= kCancelKeyBytesMin && key.size() <= kCancelKeyBytesMax);
  const OpenFrame frame(out, reply::kBackendKeyData);
  out.be32(process_id);
  out.raw(key);
}

void ready_for_query(ByteWriter& out, char status) {
  const OpenFrame frame(out, reply::kReadyForQuery);
  out.u8(static_cast<std::uint8_t>(status));
}

void negotiate_protocol_version(ByteWriter& out, int minor, const std::vector<std::string>& unknown_options) {
  const OpenFrame frame(out, reply::kNegotiateProtocolVersion);
  out.be32(protocol_version(kProtocolMajor, minor));
  out.be32(static_cast<std::uint32_t>(unknown_options.size()));
  for (const std::string& option : unknown_options) cstring_cut(out, option);
}

void parse_complete(ByteWriter& out) {
  empty_message(out, reply::kParseComplete);
}
void bind_complete(ByteWriter& out) {
  empty_message(out, reply::kBindComplete);
}
void close_complete(ByteWriter& out) {
  empty_message(out, reply::kCloseComplete);
}
void no_data(ByteWriter& out) {
  empty_message(out, reply::kNoData);
}
void empty_query_response(ByteWriter& out) {
  empty_message(out, reply::kEmptyQueryResponse);
}

void command_complete(ByteWriter& out, std::string_view tag) {
  const OpenFrame frame(out, reply::kCommandComplete);
  cstring_cut(out, tag);
}

void notification_response(ByteWriter& out, std::uint32_t process_id, std::string_view channel,
                           std::string_view payload) {
  const OpenFrame frame(out, reply::kNotificationResponse);
  out.be32(process_id);
  cstring_cut(out, channel);
  cstring_cut(out, payload);
}

void row_description(ByteWriter& out, const std::vector<Column>& columns) {
  PENSTOCK_ASSERT(columns.size() <= 0xFFFF);
  const OpenFrame frame(out, reply::kRowDescription);
  out.be16(static_cast<std::uint16_t>(columns.size()));
  for (const Column& column : columns) {
    cstring_cut(out, column.name);
    out.be32(0);  // of no table
    out.be16(0);  // nor column of one
    out.be32(column.type_oid);
    out.be16(0xFFFF);       // typlen -1: variable
    out.be32(0xFFFF'FFFF);  // typmod -1: none
    out.be16(0);            // text
  }
}

void data_row(ByteWriter& out, const std::vector<std::optional<std::string_view>>& values) {
  PENSTOCK_ASSERT(values.size() <= 0xFFFF);
  const OpenFrame frame(out, reply::kDataRow);
  out.be16(static_cast<std::uint16_t>(values.size()));
  for (const auto& value : values) {
    out.be32(value ? static_cast<std::uint32_t>(value->size()) : 0xFFFF'FFFF);
    if (value) out.raw(*value);
  }
}

}  // namespace penstock::pgwire
