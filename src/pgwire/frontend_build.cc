#include "base/assert.h"
#include "pgwire/frontend.h"
#include "pgwire/open_frame.h"

namespace penstock::pgwire {

using base::ByteView;
using base::ByteWriter;

void query(ByteWriter& out, std::string_view text) {
  const OpenFrame frame(out, msg::kQuery);
  out.cstring(text);
}

void parse(ByteWriter& out, std::string_view name, std::string_view text,
           std::span<const std::uint32_t> types) {
  PENSTOCK_ASSERT(types.size() <= 0xFFFF);
  const OpenFrame frame(out, msg::kParse);
  out.cstring(name);
  out.cstring(text);
  out.be16(static_cast<std::uint16_t>(types.size()));
  for (const std::uint32_t type : types) out.be32(type);
}

void parse_raw(ByteWriter& out, std::string_view name, std::string_view text, ByteView types) {
  PENSTOCK_ASSERT(types.size() % 4 == 0 && types.size() / 4 <= 0xFFFF);
  const OpenFrame frame(out, msg::kParse);
  out.cstring(name);
  out.cstring(text);
  out.be16(static_cast<std::uint16_t>(types.size() / 4));
  out.raw(types);
}

void parse_header(ByteWriter& out, std::string_view name, std::size_t rest_bytes) {
  out.u8(msg::kParse);
  out.be32(static_cast<std::uint32_t>(kLengthBytes + name.size() + 1 + rest_bytes));
  out.cstring(name);
}

void bind_header(ByteWriter& out, std::string_view portal, std::string_view statement,
                 std::size_t rest_bytes) {
  out.u8(msg::kBind);
  out.be32(static_cast<std::uint32_t>(kLengthBytes + portal.size() + 1 + statement.size() + 1 + rest_bytes));
  out.cstring(portal);
  out.cstring(statement);
}

void bind_text(ByteWriter& out, std::string_view portal, std::string_view statement,
               std::span<const std::optional<std::string_view>> values) {
  PENSTOCK_ASSERT(values.size() <= 0xFFFF);
  const OpenFrame frame(out, msg::kBind);
  out.cstring(portal);
  out.cstring(statement);
  out.be16(0);  // all parameters as text
  out.be16(static_cast<std::uint16_t>(values.size()));
  for (const auto& value : values) {
    out.be32(value ? static_cast<std::uint32_t>(value->size()) : 0xFFFF'FFFF);
    if (value) out.raw(*value);
  }
  out.be16(0);  // all results as text
}

void describe(ByteWriter& out, char kind, std::string_view name) {
  const OpenFrame frame(out, msg::kDescribe);
  out.u8(static_cast<std::uint8_t>(kind));
  out.cstring(name);
}

void close(ByteWriter& out, char kind, std::string_view name) {
  const OpenFrame frame(out, msg::kClose);
  out.u8(static_cast<std::uint8_t>(kind));
  out.cstring(name);
}

void execute(ByteWriter& out, std::string_view portal, std::uint32_t max_rows) {
  const OpenFrame frame(out, msg::kExecute);
  out.cstring(portal);
  out.be32(max_rows);
}

void sync(ByteWriter& out) {
  const OpenFrame frame(out, msg::kSync);
}
void flush(ByteWriter& out) {
  const OpenFrame frame(out, msg::kFlush);
}
void terminate(ByteWriter& out) {
  const OpenFrame frame(out, msg::kTerminate);
}

void password(ByteWriter& out, std::string_view text) {
  const OpenFrame frame(out, msg::kPassword);
  out.cstring(text);
}

void sasl_initial_response(ByteWriter& out, std::string_view mechanism,
                           std::optional<std::string_view> data) {
  const OpenFrame frame(out, msg::kPassword);
  out.cstring(mechanism);
  out.be32(data ? static_cast<std::uint32_t>(data->size()) : 0xFFFF'FFFF);
  if (data) out.raw(*data);
}

void sasl_response(ByteWriter& out, std::string_view data) {
  const OpenFrame frame(out, msg::kPassword);
  out.raw(data);
}

void copy_data(ByteWriter& out, ByteView data) {
  const OpenFrame frame(out, msg::kCopyData);
  out.raw(data);
}

void copy_done(ByteWriter& out) {
  const OpenFrame frame(out, msg::kCopyDone);
}

void copy_fail(ByteWriter& out, std::string_view reason) {
  const OpenFrame frame(out, msg::kCopyFail);
  cstring_cut(out, reason);
}

}  // namespace penstock::pgwire
