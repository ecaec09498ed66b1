#include "telemetry/log_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace penstock::telemetry::log {
namespace {

constexpr std::string_view kLevelWords[] = {"error", "warning", "info", "debug"};

std::string_view word_of(Level level) {
  return kLevelWords[static_cast<std::size_t>(level)];
}

// RFC 3339 in UTC, milliseconds.
void append_time(std::string& out, std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<milliseconds>(time - day));
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                 static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                 static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
                 clock.seconds().count(), clock.subseconds().count());
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// At most `bytes_max` bytes, not ending within a character.
std::string_view cut(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  for (int back = 0; back < 3 && is_continuation(text[end]); ++back) --end;
  return text.substr(0, end);
}

// How many bytes at the front of `text` (UTF-8) a terminal or a line reader would take for control: C0, DEL,
// C1 (U+0080 to U+009F), and the line separators U+2028 and U+2029.
std::size_t control_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  if (byte(0) < 0x20 || byte(0) == 0x7F) return 1;
  if (byte(0) == 0xC2 && byte(1) < 0xA0) return 2;
  if (byte(0) == 0xE2 && byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9)) return 3;
  return 0;
}

unsigned code_point(std::string_view sequence) {
  const unsigned last = static_cast<unsigned char>(sequence.back());
  return sequence.size() == 3 ? 0x2000 + (last & 0x3F) : last;  // the sequences of control_length() only
}

// The text between JSON's quotes.
void append_escaped(std::string& out, std::string_view text) {
  const bool utf8 = base::is_utf8(text);
  while (!text.empty()) {
    const char c = text.front();
    std::size_t taken = 1;
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (!utf8 && static_cast<unsigned char>(c) >= 0x80) {
      out += "\\ufffd";
    } else if (c == '\n') {
      out += "\\n";
    } else if (const std::size_t control = control_length(text); control > 0) {
      taken = control;
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", code_point(text.substr(0, taken)));
    } else {
      out += c;
    }
    text.remove_prefix(taken);
  }
}

void append_quoted(std::string& out, std::string_view text, std::size_t bytes_max) {
  const std::string_view shown = cut(text, bytes_max);
  out += '"';
  append_escaped(out, shown);
  out += shown.size() < text.size() ? "…\"" : "\"";
}

bool is_bare(std::string_view text) {
  return !text.empty() && text.size() <= kFieldBytesMax && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.:/@[]+*,#%").contains(c);
  });
}

void append_value(std::string& out, Format format, const Field& field) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    if (format == Format::kText && is_bare(*text)) {
      out += *text;
    } else {
      append_quoted(out, *text, kFieldBytesMax);
    }
  } else if (const auto* number = std::get_if<double>(&field.value);
             number != nullptr && !std::isfinite(*number)) {
    out += "null";
  } else {
    std::visit([&](const auto& value) { fmt::format_to(std::back_inserter(out), "{}", value); }, field.value);
  }
}

std::string format_text(const Line& line) {
  std::string out;
  append_time(out, line.time);
  fmt::format_to(std::back_inserter(out), " {} {}", word_of(line.level), line.event);
  for (const Field& field : line.fields) {
    fmt::format_to(std::back_inserter(out), " {}=", field.key.text());
    append_value(out, Format::kText, field);
  }
  if (!line.message.empty()) {
    out += " msg=";
    append_quoted(out, line.message, kMessageBytesMax);
  }
  return out;
}

std::string format_json(const Line& line) {
  std::string out = "{\"ts\":\"";
  append_time(out, line.time);
  fmt::format_to(std::back_inserter(out), "\",\"level\":\"{}\",\"event\":\"{}\"", word_of(line.level),
                 line.event);
  for (const Field& field : line.fields) {
    fmt::format_to(std::back_inserter(out), ",\"{}\":", field.key.text());
    append_value(out, Format::kJson, field);
  }
  if (!line.message.empty()) {
    out += ",\"msg\":";
    append_quoted(out, line.message, kMessageBytesMax);
  }
  return out + "}";
}

}  // namespace

std::string format_line(Format format, const Line& line) {
  return format == Format::kJson ? format_json(line) : format_text(line);
}

}  // namespace penstock::telemetry::log
