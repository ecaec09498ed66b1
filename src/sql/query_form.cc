#include "sql/query_form.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <memory>
#include <optional>

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

// Without constants and comments, and with one blank where there was room; nothing when it is no sequence of tokens.
std::optional<std::string> redacted(const std::string& query) {
  const PgQueryScanResult scan = pg_query_scan(query.c_str());
  std::optional<std::string> text;
  if (scan.error == nullptr) {
    PgQuery__ScanResult* tokens = pg_query__scan_result__unpack(
        nullptr, scan.pbuf.len, reinterpret_cast<const std::uint8_t*>(scan.pbuf.data));
    if (tokens != nullptr) {
      text.emplace();
      bool has_gap = false;
      std::size_t end = 0;
      for (std::size_t i = 0; i < tokens->n_tokens; ++i) {
        const PgQuery__ScanToken& token = *tokens->tokens[i];
        const auto from = static_cast<std::size_t>(token.start), to = static_cast<std::size_t>(token.end);
        if (from > to || to > query.size()) continue;
        has_gap = has_gap || from > end;
        end = to;
        if (is_comment(token.token)) {
          has_gap = true;
          continue;
        }
        append_with_blank(
            *text, is_constant(token.token) ? "?" : std::string_view(query).substr(from, to - from), has_gap);
        has_gap = false;
      }
      pg_query__scan_result__free_unpacked(tokens, nullptr);
    }
  }
  pg_query_free_scan_result(scan);
  return text;
}

}  // namespace

QueryForm form_of(const std::string& query) {
  QueryForm form;
  std::string text = query.substr(0, kQueryBytesMax);
  if (query.size() <= kQueryBytesMax && query.find('\0') == std::string::npos) {
    const PgQueryFingerprintResult fingerprint = pg_query_fingerprint(query.c_str());
    if (fingerprint.error == nullptr && fingerprint.fingerprint_str != nullptr) {
      form.fingerprint = fingerprint.fingerprint_str;
    }
    pg_query_free_fingerprint_result(fingerprint);
    const PgQueryNormalizeResult normalized = pg_query_normalize(query.c_str());
    if (normalized.error == nullptr && normalized.normalized_query != nullptr) {
      text = normalized.normalized_query;
    }
    pg_query_free_normalize_result(normalized);
  }
  form.text = redacted(text).value_or(std::string());
  return form;
}

}  // namespace penstock::sql
