#include "pgwire/sql_walk.h"

#include <algorithm>
#include <array>
#include <utility>

#include "pgwire/sql_scan.h"

namespace penstock::pgwire {

namespace {

using std::string_view;

// Longer than any word that is looked for.
constexpr std::size_t kWordBytesMax = 12;

// The bytes of plain text that matter when words do not.
constexpr auto kStops = [] {
  std::array<bool, 256> stops{};
  for (const char c : string_view("\0'\"$-/*();", 10)) stops[static_cast<unsigned char>(c)] = true;
  return stops;
}();

// Also pg_temp_3, by which the schema of this very session can be meant.
bool is_temporary_schema(string_view name) {
  constexpr string_view kSchema = "PG_TEMP";
  return is_word(name.substr(0, kSchema.size()), kSchema) &&
         (name.size() == kSchema.size() || name[kSchema.size()] == '_');
}

}  // namespace

std::size_t SqlWalk::feed(string_view piece) {
  at_end_ = false;
  std::size_t at = 0;
  while (at < piece.size() && !at_end_) {
    switch (state_) {
      case State::kPlain:
        at = plain(piece, at);
        break;
      case State::kString:
        at = quoted(piece, at, '\'');
        break;
      case State::kEscapeString:
        at = escape_string(piece, at);
        break;
      case State::kQuotedName:
        at = quoted(piece, at, '"');
        break;
      case State::kDollarTag:
        at = dollar_tag(piece, at);
        break;
      case State::kDollarString:
        at = dollar_string(piece, at);
        break;
      case State::kLineComment:
        at = line_comment(piece, at);
        break;
      case State::kBlockComment:
        at = block_comment(piece, at);
        break;
      case State::kOver:
        return piece.size();
    }
  }
  return at;
}

SimpleStatement SqlWalk::statement() const {
  SimpleStatement found = classify_simple(head_);
  if (is_temporary_ && (found.kind == StatementKind::kOther || sets_search_path(found))) {
    found.kind = StatementKind::kCreateTemporary;
  }
  found.rest = {};
  return found;
}

void SqlWalk::start_next() {
  at_end_ = is_temporary_ = has_begun_ = awaits_target_ = after_insert_ = strings_name_ = has_unicode_name_ =
      false;
  watches_ = true;
  depth_ = 0;
  head_.clear();
  word_.clear();
  quoted_.clear();
}

// --- plain text ---

std::size_t SqlWalk::plain(string_view piece, std::size_t at) {
  while (at < piece.size() && state_ == State::kPlain && !at_end_) {
    if (!watches_ && head_.size() >= kHeadBytesMax) at = skip_dull(piece, at);
    if (at < piece.size()) step(piece[at++]);
  }
  return at;
}

std::size_t SqlWalk::skip_dull(string_view piece, std::size_t at) {
  const std::size_t begin = at;
  while (at < piece.size() && !kStops[static_cast<unsigned char>(piece[at])]) ++at;
  if (at - begin >= 2) last_ = piece[at - 2];
  if (at > begin) {
    saw(piece[at - 1]);
    reopens_ = false;
  }
  return at;
}

void SqlWalk::saw(char c) {
  before_last_ = last_;
  last_ = c;
}

void SqlWalk::step(char c) {
  const bool after_name = is_identifier_part(last_);
  const bool reopens = std::exchange(reopens_, false);
  const bool in_word = is_identifier_part(c) && (c != '$' || after_name);
  if (!in_word) end_word();
  if (in_word) {
    if (watches_ && word_.size() < kWordBytesMax) word_ += c;
    quoted_.clear();
    keep({&c, 1});
  } else if (is_sql_space(c)) {
    keep_blank();
  } else if (c == '-' && last_ == '-') {
    return begin_comment(State::kLineComment);
  } else if (c == '*' && last_ == '/') {
    return begin_comment(State::kBlockComment);
  } else if (c == '\0') {
    state_ = State::kOver;
  } else if (c == ';' && depth_ == 0) {
    at_end_ = has_begun_;
    if (!has_begun_) head_.clear();
  } else {
    keep({&c, 1});
    // A lone sign may be the beginning of a comment.
    if (c != '-' && c != '/') {
      watches_ = has_begun_ ? watches_ : c == '(';
      has_begun_ = true;
      awaits_target_ = false;
    }
    if (c == '(') ++depth_;
    if (c == ')' && depth_ > 0) --depth_;
    if (c == '"' || c == '\'') {
      begin_quoted(c);
    } else if (c != '-' && c != '/') {
      quoted_.clear();
    }
    if (c == '"') state_ = State::kQuotedName;
    if (c == '$') {
      state_ = State::kDollarTag;
      tag_ = "$";
    }
    if (c == '\'') {
      const bool escapes = (last_ == 'E' || last_ == 'e') && !is_identifier_part(before_last_);
      state_ = escapes || reopens ? State::kEscapeString : State::kString;
      escaped_ = false;
    }
  }
  saw(c);
}

// What temporary things are made with: SELECT … INTO, CREATE, also below EXPLAIN.
void SqlWalk::end_word() {
  if (word_.empty()) return;
  if (!has_begun_) {
    has_begun_ = true;
    strings_name_ = is_word(word_, "SET");
    watches_ = strings_name_ || may_make_temporary(word_);
    awaits_target_ = is_word(word_, "CREATE");
  } else if (watches_) {
    const bool is_temporary = is_word(word_, "TEMP") || is_word(word_, "TEMPORARY");
    if ((awaits_target_ && is_temporary) || is_temporary_schema(word_)) is_temporary_ = true;
    // Any sign can be the one that escapes.
    if ((has_unicode_name_ || strings_name_) && is_word(word_, "UESCAPE")) is_temporary_ = true;
    if (!is_word(word_, "LOCAL") && !is_word(word_, "GLOBAL")) {
      awaits_target_ = (is_word(word_, "INTO") && !after_insert_) || is_word(word_, "CREATE");
    }
    after_insert_ = is_word(word_, "INSERT") || is_word(word_, "MERGE");
  }
  word_.clear();
}

void SqlWalk::keep(string_view bytes) {
  head_ += bytes.substr(0, kHeadBytesMax - std::min(head_.size(), kHeadBytesMax));
}

void SqlWalk::keep_blank() {
  if (!head_.empty() && head_.back() != ' ') keep(" ");
}

// --- comments, strings, names in quotes ---

// The sign before it was its first, and counted as the statement's text.
void SqlWalk::begin_comment(State comment) {
  if (!head_.empty() && head_.back() == last_) head_.pop_back();
  keep_blank();
  state_ = comment;
  comments_ = 1;
  last_ = before_last_ = ' ';
}

std::size_t SqlWalk::line_comment(string_view piece, std::size_t at) {
  const std::size_t end = piece.find_first_of(string_view("\r\n\0", 3), at);
  if (end == string_view::npos) return piece.size();
  state_ = State::kPlain;
  return end;
}

std::size_t SqlWalk::block_comment(string_view piece, std::size_t at) {
  while (at < piece.size()) {
    const char c = piece[at++];
    const bool closes = last_ == '*' && c == '/';
    const bool opens = last_ == '/' && c == '*';
    last_ = closes || opens ? ' ' : c;
    if (opens) ++comments_;
    if (closes && --comments_ == 0) {
      state_ = State::kPlain;
      break;
    }
  }
  return at;
}

// `last_` and the byte before it are still those before the quote: U&"…".
void SqlWalk::begin_quoted(char quote) {
  const bool is_string = quote == '\'';
  const bool is_unicode = last_ == '&' && (before_last_ == 'U' || before_last_ == 'u');
  quoted_names_ = watches_ && (strings_name_ || !is_string);
  backslash_counts_ = is_string || is_unicode;
  if (is_unicode && !is_string) has_unicode_name_ = true;
  if (!is_string) quoted_.clear();  // strings in a row are one
}

void SqlWalk::see_quoted(string_view bytes) {
  if (!quoted_names_) return;
  if (backslash_counts_ && bytes.contains('\\')) is_temporary_ = true;
  quoted_ += bytes.substr(0, kWordBytesMax - std::min(quoted_.size(), kWordBytesMax));
}

// At a quote that is the first of two as well: a name that goes on behind it is not told apart.
void SqlWalk::end_quoted() {
  if (quoted_names_ && is_temporary_schema(quoted_)) is_temporary_ = true;
}

// To its quote. A quote that is doubled ends one and begins the next.
std::size_t SqlWalk::quoted(string_view piece, std::size_t at, char quote) {
  const std::size_t found = piece.find(quote, at);
  const std::size_t end = found == string_view::npos ? piece.size() : found + 1;
  keep(piece.substr(at, end - at));
  see_quoted(piece.substr(at, std::min(found, piece.size()) - at));
  if (found != string_view::npos) {
    end_quoted();
    state_ = State::kPlain;
    last_ = before_last_ = quote;
  }
  return end;
}

std::size_t SqlWalk::escape_string(string_view piece, std::size_t at) {
  const std::size_t begin = at;
  while (at < piece.size() && state_ == State::kEscapeString) {
    const char c = piece[at++];
    if (c == '\'' && !escaped_) {
      state_ = State::kPlain;
      last_ = before_last_ = c;
      reopens_ = true;
    }
    escaped_ = c == '\\' && !escaped_;
  }
  keep(piece.substr(begin, at - begin));
  const bool is_closed = state_ == State::kPlain;
  see_quoted(piece.substr(begin, at - begin - (is_closed ? 1 : 0)));
  if (is_closed) end_quoted();
  return at;
}

// $$, $tag$, or just a parameter ($1).
std::size_t SqlWalk::dollar_tag(string_view piece, std::size_t at) {
  const char c = piece[at];
  const bool is_part = tag_.size() == 1 ? is_identifier_start(c) : is_identifier_part(c);
  if (c != '$' && !is_part) {
    state_ = State::kPlain;
    for (const char seen : tag_) saw(seen);
    return at;
  }
  keep({&c, 1});
  if (tag_.size() >= kTagBytesMax) {
    is_lost_ = true;
  } else {
    tag_ += c;
  }
  if (c == '$') {
    state_ = State::kDollarString;
    matched_ = 0;
    if (strings_name_) is_temporary_ = true;  // what is in it is not looked at: in doubt
  }
  return at + 1;
}

std::size_t SqlWalk::dollar_string(string_view piece, std::size_t at) {
  while (at < piece.size()) {
    if (matched_ == 0) {
      at = std::min(piece.find('$', at), piece.size());
      if (at == piece.size()) break;
    }
    const char c = piece[at++];
    // A dollar stands in a tag at its ends only.
    matched_ = c == tag_[matched_] ? matched_ + 1 : c == '$' ? 1 : 0;
    if (matched_ == tag_.size()) {
      state_ = State::kPlain;
      last_ = before_last_ = ' ';
      break;
    }
  }
  return at;
}

}  // namespace penstock::pgwire
