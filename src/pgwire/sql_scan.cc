#include "pgwire/sql_scan.h"

#include <algorithm>
#include <array>

namespace penstock::pgwire {

namespace {

using std::string_view;

constexpr std::size_t kNone = string_view::npos;

std::size_t behind(string_view text, std::size_t found, std::size_t length) {
  return found == kNone ? text.size() : found + length;
}

bool starts_at(string_view text, std::size_t at, char first, char second) {
  return at + 1 < text.size() && text[at] == first && text[at + 1] == second;
}

std::size_t skip_line_comment(string_view text, std::size_t at) {
  return std::min(text.find_first_of("\r\n", at), text.size());
}

std::size_t skip_block_comment(string_view text, std::size_t at) {
  std::size_t depth = 1;
  for (at += 2; at < text.size(); ++at) {
    if (starts_at(text, at, '*', '/')) {
      ++at;
      if (--depth == 0) return at + 1;
    } else if (starts_at(text, at, '/', '*')) {
      ++at;
      ++depth;
    }
  }
  return text.size();
}

// `at` is the quote. E'…': a backslash takes the next character with it.
std::size_t skip_escape_string(string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '\'') {
      if (!starts_at(text, at, '\'', '\'')) return at + 1;
      ++at;
    }
  }
  return text.size();
}

std::size_t skip_string(string_view text, std::size_t at) {
  const bool escapes = at > 0 && (text[at - 1] == 'E' || text[at - 1] == 'e') &&
                       (at == 1 || !is_identifier_part(text[at - 2]));
  if (escapes) return skip_escape_string(text, at);
  return behind(text, text.find('\'', at + 1), 1);  // '' inside: one string ends and the next begins
}

// `at` is a `$`: $$…$$, $tag$…$tag$, or just a parameter ($1) or part of a name.
std::size_t skip_dollar(string_view text, std::size_t at) {
  if (at > 0 && is_identifier_part(text[at - 1])) return at + 1;
  std::size_t end = at + 1;
  if (end < text.size() && is_identifier_start(text[end])) {
    while (end < text.size() && is_identifier_part(text[end]) && text[end] != '$') ++end;
  }
  if (end >= text.size() || text[end] != '$') return at + 1;
  const string_view tag = text.substr(at, end + 1 - at);
  return behind(text, text.find(tag, end + 1), tag.size());
}

// The bytes at which the search for a statement's end must stop and think.
constexpr auto kStops = [] {
  std::array<bool, 256> stops{};
  for (const char c : string_view("'\"$-/();")) stops[static_cast<unsigned char>(c)] = true;
  return stops;
}();

}  // namespace

bool may_make_temporary(string_view first_word) {
  return is_word(first_word, "SELECT") || is_word(first_word, "WITH") || is_word(first_word, "EXPLAIN") ||
         is_word(first_word, "CREATE");
}

std::size_t skip_blank(string_view text, std::size_t at) {
  while (at < text.size()) {
    if (is_sql_space(text[at])) {
      ++at;
    } else if (starts_at(text, at, '-', '-')) {
      at = skip_line_comment(text, at);
    } else if (starts_at(text, at, '/', '*')) {
      at = skip_block_comment(text, at);
    } else {
      break;
    }
  }
  return at;
}

std::size_t skip_quoted_identifier(string_view text, std::size_t at) {
  do {
    at = behind(text, text.find('"', at + 1), 1);
  } while (at < text.size() && text[at] == '"');  // "" stands for one quote
  return at;
}

std::size_t find_statement_end(string_view text, std::size_t at) {
  // Most texts hold no `;`, or one at their end: no need to understand what is before it.
  const std::size_t first = text.find(';', at);
  if (first == kNone) return text.size();
  if (std::all_of(text.begin() + static_cast<std::ptrdiff_t>(first), text.end(),
                  [](char c) { return c == ';' || is_sql_space(c); })) {
    return first;
  }
  std::size_t depth = 0;  // of parentheses: CREATE RULE … DO (…; …)
  while (at < text.size()) {
    const char c = text[at];
    if (!kStops[static_cast<unsigned char>(c)]) {
      ++at;
    } else if (c == '\'') {
      at = skip_string(text, at);
    } else if (c == '"') {
      at = skip_quoted_identifier(text, at);
    } else if (c == '$') {
      at = skip_dollar(text, at);
    } else if (starts_at(text, at, '-', '-')) {
      at = skip_line_comment(text, at);
    } else if (starts_at(text, at, '/', '*')) {
      at = skip_block_comment(text, at);
    } else {
      if (c == ';' && depth == 0) return at;
      if (c == '(') ++depth;
      if (c == ')' && depth > 0) --depth;
      ++at;
    }
  }
  return text.size();
}

}  // namespace penstock::pgwire
