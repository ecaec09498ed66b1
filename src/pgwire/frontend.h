// What a client sends: parsers that look into a message's body, builders that append whole messages to a
// ByteWriter.
//
// Parsers take the body (without type and length) and return views into it. Those for Parse and Bind take
// what there is of the body so far, with `body_bytes`, its length by the header: an empty optional says that
// more bytes are needed.
//
// Errors: 08P01 in the words of Postgres ("invalid string in message" and the like).
// Source: PostgreSQL manual, "Message Formats".
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "pgwire/constants.h"

namespace penstock::pgwire {

// --- Parsers. ---

// The text of a Query.
base::Result<std::string_view> parse_query(base::ByteView body);

struct ParseMessage {
  std::string_view name = {};
  std::string_view query = {};
  base::ByteView types = {};  // 4 bytes big-endian for each parameter type OID given; may be empty
};
// Needs the whole body.
base::Result<std::optional<ParseMessage>> parse_parse(base::ByteView prefix, std::size_t body_bytes);

// The name a Parse begins with, and where its query starts.
struct ParsePrefix {
  std::string_view name = {};
  std::size_t rest_offset = 0;  // of the query, in the body
};
base::Result<std::optional<ParsePrefix>> parse_parse_prefix(base::ByteView prefix, std::size_t body_bytes);

struct BindPrefix {
  std::string_view portal = {};
  std::string_view statement = {};
  std::size_t rest_offset = 0;  // of the parameter formats, in the body; what follows is not looked at
};
base::Result<std::optional<BindPrefix>> parse_bind_prefix(base::ByteView prefix, std::size_t body_bytes);

struct DescribeOrClose {
  char kind = kStatement;  // kStatement or kPortal
  std::string_view name = {};
};
base::Result<DescribeOrClose> parse_describe(base::ByteView body);
base::Result<DescribeOrClose> parse_close(base::ByteView body);

struct ExecuteMessage {
  std::string_view portal = {};
  std::uint32_t max_rows = 0;  // 0: all
};
base::Result<ExecuteMessage> parse_execute(base::ByteView body);

// A PasswordMessage: the text without its zero byte. 28P01 when it is empty, as no such password can be
// right.
base::Result<std::string_view> parse_password(base::ByteView body);

struct SaslInitialResponse {
  std::string_view mechanism = {};
  std::optional<std::string_view> data = {};  // empty: none was sent
};
base::Result<SaslInitialResponse> parse_sasl_initial_response(base::ByteView body);
// A SASLResponse is its data and nothing else.
inline std::string_view parse_sasl_response(base::ByteView body) {
  return base::as_text(body);
}

// The reason given by a CopyFail.
base::Result<std::string_view> parse_copy_fail(base::ByteView body);

// --- Builders. Names and texts must not hold a zero byte, as nothing that came in a message does. ---

void query(base::ByteWriter& out, std::string_view text);
void parse(base::ByteWriter& out, std::string_view name, std::string_view text,
           std::span<const std::uint32_t> types = {});
// The same with the types as ParseMessage holds them.
void parse_raw(base::ByteWriter& out, std::string_view name, std::string_view text, base::ByteView types);
// Only the start of a Parse or Bind under other names; the caller sends the `rest_bytes` bytes behind it
// (those from rest_offset on) himself.
void parse_header(base::ByteWriter& out, std::string_view name, std::size_t rest_bytes);
void bind_header(base::ByteWriter& out, std::string_view portal, std::string_view statement,
                 std::size_t rest_bytes);
// A Bind whose parameters are all text (empty: NULL), all results as text.
void bind_text(base::ByteWriter& out, std::string_view portal, std::string_view statement,
               std::span<const std::optional<std::string_view>> values);
// `kind`: kStatement or kPortal.
void describe(base::ByteWriter& out, char kind, std::string_view name);
void close(base::ByteWriter& out, char kind, std::string_view name);
void execute(base::ByteWriter& out, std::string_view portal, std::uint32_t max_rows = 0);
void sync(base::ByteWriter& out);
void flush(base::ByteWriter& out);
void terminate(base::ByteWriter& out);
void password(base::ByteWriter& out, std::string_view text);
void sasl_initial_response(base::ByteWriter& out, std::string_view mechanism,
                           std::optional<std::string_view> data);
void sasl_response(base::ByteWriter& out, std::string_view data);
void copy_data(base::ByteWriter& out, base::ByteView data);
void copy_done(base::ByteWriter& out);
void copy_fail(base::ByteWriter& out, std::string_view reason);

}  // namespace penstock::pgwire
