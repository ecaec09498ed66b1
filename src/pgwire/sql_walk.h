// SqlWalk reads a text that comes in pieces, and knows at each statement's end how the statement began.
//
// Without it, what a text too long to be held does to the server's session would depend on where it was cut: a
// SET behind the first kilobytes would not be noticed. What is read is not kept, but for the beginning of the
// statement at hand.
//
// Owner:      an Exchange, while a long message passes; classify_simple, on its stack.
// Home:       LOOP
// Invariants: what it says does not depend on how the text was cut.
// Bounds:     kHeadBytesMax of a statement, kTagBytesMax of the tag of a dollar-quoted string.
// See:        docs/internals/relay.md
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pgwire/sql_text.h"

namespace penstock::pgwire {

class SqlWalk {
 public:
  // Reads to the end of the piece, or of a statement (then at_end()). Returns how many bytes it has read.
  // A zero byte ends the text; what follows it is skipped.
  std::size_t feed(std::string_view piece);
  // A statement's `;` was read last.
  bool at_end() const { return at_end_; }
  // What the statement is, as far as it has been read. Good until the next call; `rest` is of no use.
  SimpleStatement statement() const;
  // Makes something in the schema of temporary tables, or uses it: SELECT … INTO TEMP t, EXPLAIN ANALYZE
  // CREATE TEMP TABLE …, CREATE TABLE pg_temp.t, SET … = pg_temp. In doubt, when a name is written with
  // escapes, it does.
  bool is_temporary() const { return is_temporary_; }
  // A dollar quote has a tag that is too long to be remembered: what follows cannot be told apart.
  bool is_lost() const { return is_lost_; }
  // On to the next statement.
  void start_next();

 private:
  static constexpr std::size_t kHeadBytesMax = 256;
  static constexpr std::size_t kTagBytesMax = 256;
  enum class State : std::uint8_t {
    kPlain,
    kString,
    kEscapeString,
    kQuotedName,
    kDollarTag,
    kDollarString,
    kLineComment,
    kBlockComment,
    kOver,
  };

  std::size_t plain(std::string_view piece, std::size_t at);
  std::size_t skip_dull(std::string_view piece, std::size_t at);
  void step(char c);
  void begin_comment(State comment);
  std::size_t quoted(std::string_view piece, std::size_t at, char quote);
  std::size_t escape_string(std::string_view piece, std::size_t at);
  std::size_t dollar_tag(std::string_view piece, std::size_t at);
  std::size_t dollar_string(std::string_view piece, std::size_t at);
  std::size_t line_comment(std::string_view piece, std::size_t at);
  std::size_t block_comment(std::string_view piece, std::size_t at);
  void end_word();
  void begin_quoted(char quote);
  void see_quoted(std::string_view bytes);
  void end_quoted();
  void keep(std::string_view bytes);
  void keep_blank();
  void saw(char c);

  State state_ = State::kPlain;
  bool at_end_ = false;
  bool is_temporary_ = false;
  bool is_lost_ = false;
  bool has_begun_ = false;         // the statement's first word is known, or that it has none
  bool watches_ = true;            // words matter
  bool awaits_target_ = false;     // after INTO or CREATE
  bool after_insert_ = false;      // INSERT INTO names a table that is there
  bool strings_name_ = false;      // SET: a string can be the name of a schema
  bool has_unicode_name_ = false;  // U&"…", perhaps with a sign of its own for escapes
  bool quoted_names_ = false;      // the quoted thing at hand can be one
  bool backslash_counts_ = false;  // … and a backslash in it stands for something else
  bool escaped_ = false;           // in an escape string: a backslash came last
  bool reopens_ = false;           // behind an escape string: a quote at once goes on with it
  char last_ = ' ';                // the byte read last in plain text, and the one before it
  char before_last_ = ' ';
  std::uint32_t depth_ = 0;     // of parentheses: CREATE RULE … DO (…; …)
  std::uint32_t comments_ = 0;  // of block comments
  std::size_t matched_ = 0;     // bytes of tag_ that the dollar string's end has so far
  std::string head_;            // how the statement begins, comments left out
  std::string word_;            // the word at hand, as far as it matters
  std::string quoted_;          // what is in the quotes at hand, or in strings in a row, as far as it matters
  std::string tag_;
};

}  // namespace penstock::pgwire
