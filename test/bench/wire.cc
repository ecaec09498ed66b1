#include "wire.h"

#include <cstring>

namespace penstock::bench {

std::optional<std::string> Inbox::take_startup(std::string_view fresh) {
  kept_.append(fresh);
  if (kept_.size() < 4) return std::nullopt;
  const std::uint32_t length = base::load_be32(bytes_of(kept_));
  if (length < 8 || length > 10'000) {
    broken_ = true;
    return std::nullopt;
  }
  if (kept_.size() < length) return std::nullopt;
  std::string body = kept_.substr(4, length - 4);
  kept_.erase(0, length);
  needed_ = 0;
  return body;
}

std::string_view Fields::take(std::size_t count) {
  if (rest_.size() < count) {
    failed_ = true;
    rest_ = {};
    return last_ = {};
  }
  last_ = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return last_;
}

std::string_view Fields::cstring() {
  const std::size_t end = rest_.find('\0');
  if (end == std::string_view::npos) {
    failed_ = true;
    rest_ = {};
    return {};
  }
  const std::string_view text = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return text;
}

void write_startup(base::ByteWriter& out, std::string_view user, std::string_view database,
                   std::string_view application_name) {
  MessageWriter message(out);
  message->be32(3 << 16);
  message->cstring("user");
  message->cstring(user);
  message->cstring("database");
  message->cstring(database);
  if (!application_name.empty()) {
    message->cstring("application_name");
    message->cstring(application_name);
  }
  message->u8(0);
}

void write_query(base::ByteWriter& out, std::string_view sql) {
  MessageWriter(out, 'Q')->cstring(sql);
}

void write_parse(base::ByteWriter& out, std::string_view name, std::string_view sql) {
  MessageWriter message(out, 'P');
  message->cstring(name);
  message->cstring(sql);
  message->be16(0);
}

void write_bind(base::ByteWriter& out, std::string_view statement,
                std::optional<std::string_view> parameter) {
  MessageWriter message(out, 'B');
  message->u8(0);
  message->cstring(statement);
  message->be16(0);
  if (parameter) {
    message->be16(1);
    message->be32(static_cast<std::uint32_t>(parameter->size()));
    message->raw(*parameter);
  } else {
    message->be16(0);
  }
  message->be16(0);
}

void write_describe(base::ByteWriter& out, char kind, std::string_view name) {
  MessageWriter message(out, 'D');
  message->u8(static_cast<std::uint8_t>(kind));
  message->cstring(name);
}

void write_execute(base::ByteWriter& out, std::uint32_t rows_max) {
  MessageWriter message(out, 'E');
  message->u8(0);
  message->be32(rows_max);
}

void write_close_statement(base::ByteWriter& out, std::string_view name) {
  MessageWriter message(out, 'C');
  message->u8('S');
  message->cstring(name);
}

void write_bare(base::ByteWriter& out, char type) {
  MessageWriter message(out, type);
}

void write_cancel(base::ByteWriter& out, std::string_view key_data) {
  MessageWriter message(out);
  message->be32(80877102);
  message->raw(key_data);
}

ServerSays read_error(std::string_view body) {
  ServerSays says;
  Fields fields(body);
  for (char kind = static_cast<char>(fields.u8()); kind != 0; kind = static_cast<char>(fields.u8())) {
    const std::string_view text = fields.cstring();
    if (kind == 'C') says.sqlstate = text;
    if (kind == 'M') says.message = text;
  }
  return says;
}

}  // namespace penstock::bench
