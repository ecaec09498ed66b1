#include "pgwire/sql_text.h"

#include <algorithm>
#include <array>

#include "pgwire/sql_scan.h"
#include "pgwire/sql_walk.h"

namespace penstock::pgwire {

namespace {

using std::string_view;
using Kind = StatementKind;

// Reads words and names off the front of a statement.
class Words {
 public:
  Words(string_view text, std::size_t at) : text_(text), at_(at) {}

  // The next unquoted word; empty (and nothing is taken) when something else comes.
  string_view word() {
    const std::size_t begin = skip_blank(text_, at_);
    if (begin >= text_.size() || !is_identifier_start(text_[begin])) return {};
    std::size_t end = begin + 1;
    while (end < text_.size() && is_identifier_part(text_[end])) ++end;
    at_ = end;
    return text_.substr(begin, end - begin);
  }
  // The next word if it is this one; else nothing is taken.
  bool accept(string_view upper) {
    const std::size_t before = at_;
    if (is_word(word(), upper)) return true;
    at_ = before;
    return false;
  }
  // The same for a word that is the first part of a name when a dot follows: SET local.a is no SET LOCAL.
  bool accept_keyword(string_view upper) {
    Words ahead = *this;
    if (!ahead.accept(upper) || ahead.peek() == '.') return false;
    *this = ahead;
    return true;
  }
  char peek() {
    const std::size_t next = skip_blank(text_, at_);
    return next < text_.size() ? text_[next] : '\0';
  }
  // The next name as written: parts joined by dots without space, each plain or in double quotes.
  string_view name() {
    const std::size_t begin = skip_blank(text_, at_);
    std::size_t end = begin;
    while (end < text_.size()) {
      if (text_[end] == '"') {
        end = skip_quoted_identifier(text_, end);
      } else if (is_identifier_start(text_[end])) {
        while (end < text_.size() && is_identifier_part(text_[end])) ++end;
      } else {
        break;
      }
      if (end + 1 >= text_.size() || text_[end] != '.') break;
      ++end;
    }
    at_ = end;
    const string_view found = text_.substr(begin, end - begin);
    const bool unicode = is_word(found, "U") && end < text_.size() && text_[end] == '&';  // U&"…"
    return unicode ? string_view() : found;
  }

 private:
  string_view text_;
  std::size_t at_;
};

// The setting after SET [SESSION|LOCAL] or RESET; SQL's own spellings are given the names they stand for.
string_view setting_name(Words& words) {
  Words ahead = words;
  const string_view word = ahead.word();
  if (is_word(word, "TIME") && ahead.accept("ZONE")) return "timezone";
  if (is_word(word, "SESSION") && ahead.accept("AUTHORIZATION")) return "session_authorization";
  if (is_word(word, "TRANSACTION") && ahead.accept("ISOLATION")) return "transaction_isolation";
  if (is_word(word, "XML") && ahead.accept("OPTION")) return "xmloption";
  if (is_word(word, "NAMES") && ahead.peek() != '.') return "client_encoding";
  if (is_word(word, "SCHEMA") && ahead.peek() != '.') return "search_path";
  const string_view name = words.name();
  // "a .b" is not the setting a, which may be one that every server connection can be given.
  return words.peek() == '.' ? string_view() : name;
}

SimpleStatement classify_set(Words words) {
  if (words.accept_keyword("LOCAL")) return {.kind = Kind::kSetLocal, .name = setting_name(words)};
  if (words.accept_keyword("TRANSACTION") || words.accept_keyword("CONSTRAINTS")) {
    return {.kind = Kind::kSetLocal};
  }
  Words session = words;
  if (session.accept_keyword("SESSION")) {
    if (session.accept("CHARACTERISTICS")) return {.kind = Kind::kSet};
    if (!session.accept("AUTHORIZATION")) words = session;
  }
  return {.kind = Kind::kSet, .name = setting_name(words)};
}

SimpleStatement classify_prepare(Words words) {
  Words ahead = words;
  if (ahead.accept("TRANSACTION") && ahead.peek() != '(' && !ahead.accept("AS")) {
    return {.kind = Kind::kPrepareTransaction};
  }
  return {.kind = Kind::kPrepare, .name = words.name()};
}

SimpleStatement classify_deallocate(Words words) {
  // PREPARE is noise, unless it is the name itself.
  Words ahead = words;
  if (ahead.accept("PREPARE") && (ahead.peek() == '"' || is_identifier_start(ahead.peek()))) words = ahead;
  if (words.accept("ALL")) return {.kind = Kind::kDeallocateAll};
  return {.kind = Kind::kDeallocate, .name = words.name()};
}

SimpleStatement classify_rollback(Words words) {
  if (words.accept("PREPARED")) return {.kind = Kind::kFinishPrepared};
  (void)(words.accept("WORK") || words.accept("TRANSACTION"));
  return {.kind = words.accept("TO") ? Kind::kRollbackTo : Kind::kRollback};
}

SimpleStatement classify_create(Words words) {
  if (words.accept("OR")) (void)words.accept("REPLACE");
  (void)(words.accept("LOCAL") || words.accept("GLOBAL"));
  const bool temporary = words.accept("TEMP") || words.accept("TEMPORARY");
  return {.kind = temporary ? Kind::kCreateTemporary : Kind::kOther};
}

SimpleStatement classify_discard(Words words) {
  return {.kind = words.accept("ALL") ? Kind::kDiscardAll : Kind::kDiscardOther};
}

SimpleStatement classify_reset(Words words) {
  if (words.accept("ALL")) return {.kind = Kind::kResetAll};
  return {.kind = Kind::kReset, .name = setting_name(words)};
}

SimpleStatement classify_unlisten(Words words) {
  if (words.peek() == '*') return {.kind = Kind::kUnlistenAll};
  return {.kind = Kind::kUnlisten, .name = words.name()};
}

SimpleStatement classify_first(string_view first, Words words) {
  switch (first.empty() ? 0 : static_cast<unsigned char>(first[0]) & 0xDFU) {
    case 'A':
      if (is_word(first, "ABORT")) return {.kind = Kind::kRollback};
      break;
    case 'B':
      if (is_word(first, "BEGIN")) return {.kind = Kind::kBegin};
      break;
    case 'C':
      if (is_word(first, "COMMIT"))
        return {.kind = words.accept("PREPARED") ? Kind::kFinishPrepared : Kind::kCommit};
      if (is_word(first, "CREATE")) return classify_create(words);
      break;
    case 'D':
      if (is_word(first, "DEALLOCATE")) return classify_deallocate(words);
      if (is_word(first, "DISCARD")) return classify_discard(words);
      if (is_word(first, "DECLARE")) return {.kind = Kind::kDeclare, .name = words.name()};
      break;
    case 'E':
      if (is_word(first, "END")) return {.kind = Kind::kCommit};
      if (is_word(first, "EXECUTE")) return {.kind = Kind::kExecute, .name = words.name()};
      break;
    case 'L':
      if (is_word(first, "LISTEN")) return {.kind = Kind::kListen, .name = words.name()};
      if (is_word(first, "LOAD")) return {.kind = Kind::kLoad};
      break;
    case 'N':
      if (is_word(first, "NOTIFY")) return {.kind = Kind::kNotify, .name = words.name()};
      break;
    case 'P':
      if (is_word(first, "PREPARE")) return classify_prepare(words);
      break;
    case 'R':
      if (is_word(first, "ROLLBACK")) return classify_rollback(words);
      if (is_word(first, "RESET")) return classify_reset(words);
      if (is_word(first, "RELEASE")) return {.kind = Kind::kRelease};
      break;
    case 'S':
      if (is_word(first, "SET")) return classify_set(words);
      if (is_word(first, "START")) return {.kind = Kind::kBegin};
      if (is_word(first, "SAVEPOINT")) return {.kind = Kind::kSavepoint};
      break;
    case 'U':
      if (is_word(first, "UNLISTEN")) return classify_unlisten(words);
      break;
    default:
      break;
  }
  return {.kind = Kind::kOther};
}

// TEMP, in any case, at one of `kCount` places from `at` on. Without a branch, so that the compiler makes vectors
// of it: nearly all texts are looked at in vain.
template <std::size_t kCount>
bool has_temp_at(const char* at) {
  std::array<std::uint8_t, kCount> found{};
  const auto is = [&](std::size_t i, char lower) { return (at[i] | 0x20) == lower; };
  for (std::size_t i = 0; i < kCount; ++i) {
    found[i] = static_cast<std::uint8_t>(
        static_cast<unsigned>(is(i, 't')) & static_cast<unsigned>(is(i + 1, 'e')) &
        static_cast<unsigned>(is(i + 2, 'm')) & static_cast<unsigned>(is(i + 3, 'p')));
  }
  std::uint8_t any = 0;
  for (const std::uint8_t one : found) any |= one;
  return any != 0;
}

bool mentions_temp(string_view text) {
  constexpr std::size_t kPlaces = 16;
  constexpr std::size_t kBytes = kPlaces + 3;
  std::size_t at = 0;
  if (text.size() >= kBytes) {
    for (; at + kBytes <= text.size(); at += kPlaces) {
      if (has_temp_at<kPlaces>(text.data() + at)) return true;
    }
    // Some of the last places are looked at twice.
    return has_temp_at<kPlaces>(text.data() + text.size() - kBytes);
  }
  for (; at + 4 <= text.size(); ++at) {
    if (has_temp_at<1>(text.data() + at)) return true;
  }
  return false;
}

// In U&"…" any letter can be written as an escape.
bool may_name_temp(string_view text) {
  return mentions_temp(text) || text.contains("&\"");
}

bool makes_temporary(string_view statement) {
  SqlWalk walk;
  (void)walk.feed(statement);
  (void)walk.feed(string_view("\0", 1));  // ends the last word
  return walk.is_temporary();
}

// The next statement's start: behind space, comments and empty statements.
std::size_t skip_to_statement(string_view text, std::size_t at) {
  at = skip_blank(text, at);
  while (at < text.size() && text[at] == ';') at = skip_blank(text, at + 1);
  return at;
}

// Postgres cuts each part of a name to 63 bytes, never inside a UTF-8 character.
void cut_part(std::string& name, std::size_t part_begin) {
  constexpr std::size_t kNameBytesMax = 63;
  if (name.size() - part_begin <= kNameBytesMax) return;
  std::size_t end = part_begin + kNameBytesMax;
  while (end > part_begin && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;
  name.resize(end);
}

}  // namespace

SimpleStatement classify_simple(string_view text) {
  const std::size_t begin = skip_to_statement(text, 0);
  if (begin == text.size()) return {};
  Words words(text, begin);
  const string_view first = words.word();
  SimpleStatement found = classify_first(first, words);
  const std::size_t end = find_statement_end(text, begin);
  const string_view statement = text.substr(begin, end - begin);
  const bool may_be_temporary =
      found.kind == Kind::kOther && (may_make_temporary(first) || text[begin] == '(')
          ? may_name_temp(statement)
          : sets_search_path(found);
  if (may_be_temporary && makes_temporary(statement)) found.kind = Kind::kCreateTemporary;
  if (end < text.size()) found.rest = text.substr(skip_to_statement(text, end));
  return found;
}

bool sets_search_path(const SimpleStatement& statement) {
  const bool is_set = statement.kind == Kind::kSet || statement.kind == Kind::kSetLocal;
  return is_set && is_word(identifier(statement.name), "SEARCH_PATH");
}

// Behind a closing quote as well: taking a text for one that does costs little.
bool tells_time(string_view text) {
  static constexpr std::array<string_view, 4> kMoments = {"NOW", "TODAY", "TOMORROW", "YESTERDAY"};
  for (std::size_t quote = text.find('\''); quote != string_view::npos; quote = text.find('\'', quote + 1)) {
    const std::size_t begin = std::min(text.find_first_not_of(" \t\n\r\f\v", quote + 1), text.size());
    const auto end =
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), is_identifier_part);
    const string_view word(text.data() + begin, static_cast<std::size_t>(end - text.begin()) - begin);
    if (std::ranges::any_of(kMoments, [&](string_view moment) { return is_word(word, moment); })) return true;
  }
  return false;
}

std::string identifier(string_view written) {
  std::string name;
  std::size_t part_begin = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const char c = written[i];
    if (c == '"' && quoted && i + 1 < written.size() && written[i + 1] == '"') {
      name += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == '.' && !quoted) {
      cut_part(name, part_begin);
      name += c;
      part_begin = name.size();
    } else {
      name += !quoted && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    }
  }
  cut_part(name, part_begin);
  return name;
}

}  // namespace penstock::pgwire
