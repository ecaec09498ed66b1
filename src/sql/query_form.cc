#include "sql/query_form.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <optional>
#include <string_view>
#include <utility>

namespace penstock::sql {

namespace {

bool is_constant(PgQuery__Token token) {
  return token == PG_QUERY__TOKEN__SCONST || token == PG_QUERY__TOKEN__USCONST ||
         token == PG_QUERY__TOKEN__BCONST || token == PG_QUERY__TOKEN__XCONST ||
         token == PG_QUERY__TOKEN__FCONST || token == PG_QUERY__TOKEN__ICONST;
}

bool is_comment(PgQuery__Token token) {
  return token == PG_QUERY__TOKEN__SQL_COMMENT || token == PG_QUERY__TOKEN__C_COMMENT;
}

void append_with_blank(std::string& text, std::string_view part, bool had_gap) {
  if (had_gap && !text.empty()) text += ' ';
  text += part;
}

// Whether it may be that the constant does not end where the scanner says. In a plain string a backslash is an ordinary
// character, unless the session has switched standard_conforming_strings off: then \' does not end it. In an E'' string
// it may be the second byte of a character of an encoding that the server knows and we do not (SJIS, BIG5, GBK).
bool has_doubtful_end(std::string_view constant) {
  const std::size_t quote = constant.find('\'');
  if (quote == std::string_view::npos || constant.find('\\') == std::string_view::npos) return false;
  const bool is_plain = quote == 0;
  const bool has_escapes = quote == 1 && (constant[0] == 'E' || constant[0] == 'e');
  if (!is_plain && !has_escapes) return false;
  bool is_escaped = false;
  for (std::size_t i = quote + 1; i < constant.size(); ++i) {
    if (is_plain && constant[i] == '\'' && is_escaped) return true;
    is_escaped = constant[i] == '\\' && !is_escaped;
    if (has_escapes && constant[i] == '\\' && static_cast<unsigned char>(constant[i - 1]) >= 0x80)
      return true;
  }
  return false;
}

struct Redacted {
  std::string text = {};
  bool is_cut = false;  // what follows might be the inside of a constant
};

// Without constants and comments, and with one blank where there was room; without text when it is no sequence of tokens.
Redacted redacted(const std::string& query) {
  const PgQueryScanResult scan = pg_query_scan(query.c_str());
  Redacted result;
  PgQuery__ScanResult* tokens =
      scan.error != nullptr
          ? nullptr
          : pg_query__scan_result__unpack(nullptr, scan.pbuf.len,
                                          reinterpret_cast<const std::uint8_t*>(scan.pbuf.data));
  bool has_gap = false;
  std::size_t end = 0;
  for (std::size_t i = 0; tokens != nullptr && i < tokens->n_tokens && !result.is_cut; ++i) {
    const PgQuery__ScanToken& token = *tokens->tokens[i];
    const auto from = static_cast<std::size_t>(token.start), to = static_cast<std::size_t>(token.end);
    if (from > to || to > query.size()) continue;
    const std::string_view words = std::string_view(query).substr(from, to - from);
    has_gap = has_gap || from > end;
    end = to;
    if (is_comment(token.token)) {
      has_gap = true;
      continue;
    }
    append_with_blank(result.text, is_constant(token.token) ? "?" : words, has_gap);
    result.is_cut = is_constant(token.token) && has_doubtful_end(words);
    has_gap = false;
  }
  if (tokens != nullptr) pg_query__scan_result__free_unpacked(tokens, nullptr);
  pg_query_free_scan_result(scan);
  if (result.is_cut) result.text += " …";
  return result;
}

// PostgreSQL's own normal form, which only the parser can make.
std::optional<std::string> normalized(const std::string& query) {
  const PgQueryNormalizeResult result = pg_query_normalize(query.c_str());
  std::optional<std::string> text;
  if (result.error == nullptr && result.normalized_query != nullptr) text = result.normalized_query;
  pg_query_free_normalize_result(result);
  return text;
}

}  // namespace

QueryForm form_of(const std::string& query) {
  QueryForm form;
  Redacted shown = redacted(query.substr(0, kQueryBytesMax));
  if (query.size() <= kQueryBytesMax && query.find('\0') == std::string::npos) {
    const PgQueryFingerprintResult fingerprint = pg_query_fingerprint(query.c_str());
    if (fingerprint.error == nullptr && fingerprint.fingerprint_str != nullptr) {
      form.fingerprint = fingerprint.fingerprint_str;
    }
    pg_query_free_fingerprint_result(fingerprint);
    const auto text = shown.is_cut ? std::nullopt : normalized(query);
    // What the parser leaves in place, the scanner takes out of its form, too.
    if (text.has_value()) shown = redacted(*text);
  }
  form.text = std::move(shown.text);
  return form;
}

}  // namespace penstock::sql
