// The parts of SQL's lexical structure that decide where a statement starts and ends.
//
// All functions work on any bytes: what is not closed reaches to the end of the text.
// Source: PostgreSQL manual, "Lexical Structure".
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace penstock::pgwire {

inline bool is_sql_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
inline bool is_identifier_start(char c) {
  const auto byte = static_cast<unsigned char>(c);
  const unsigned char upper = byte & 0xDFU;
  return (upper >= 'A' && upper <= 'Z') || byte == '_' || byte >= 0x80;
}
inline bool is_identifier_part(char c) {
  return is_identifier_start(c) || (c >= '0' && c <= '9') || c == '$';
}

// Without regard to case; `upper` consists of capital letters and underscores.
inline bool is_word(std::string_view word, std::string_view upper) {
  return word.size() == upper.size() &&
         std::equal(word.begin(), word.end(), upper.begin(), [](char a, char b) {
           return (static_cast<unsigned char>(a) & 0xDFU) == static_cast<unsigned char>(b);
         });
}

// What a statement begins with that may make temporary things although its next words do not say so:
// SELECT … INTO TEMP t.
bool may_make_temporary(std::string_view first_word);

// The first position from `at` on that is neither space nor comment.
std::size_t skip_blank(std::string_view text, std::size_t at);

// Behind the quoted identifier that begins at `at` (with its `"`).
std::size_t skip_quoted_identifier(std::string_view text, std::size_t at);

// Where the statement that begins at `at` ends: its `;`, or the end of the text.
std::size_t find_statement_end(std::string_view text, std::size_t at);

}  // namespace penstock::pgwire
