// classify_simple looks at the first words of a statement's text and says whether it may change a session's
// state.
//
// It is only a HINT, made to cost next to nothing on the texts that matter most (SELECT …): no parsing, no
// allocation. It cannot see what functions, DO blocks or rules do, takes strings as
// standard_conforming_strings = on reads them, and counts a
// `;` in the body of BEGIN ATOMIC … END as the end of a statement. Nothing that must hold may rest on it
// alone: what the server did, its CommandComplete tag says (command_tag.h).
//
// Words are compared without regard to case; white space, `--` and nested `/* */` comments count as space.
// Works on texts that are cut short and on any bytes. Source: PostgreSQL manual, "Lexical Structure" and the
// pages of the statements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::pgwire {

enum class StatementKind : std::uint8_t {
  kEmpty,     // nothing but space, comments and `;`
  kOther,     // everything not named below
  kBegin,     // BEGIN, START TRANSACTION
  kCommit,    // COMMIT, END
  kRollback,  // ROLLBACK, ABORT
  kRollbackTo,
  kSavepoint,
  kRelease,
  kPrepareTransaction,
  kFinishPrepared,  // COMMIT PREPARED, ROLLBACK PREPARED
  kSet,             // SET [SESSION] name …; `name` is the setting, also for SET ROLE, SET TIME ZONE, …
  kSetLocal,        // SET LOCAL, SET TRANSACTION, SET CONSTRAINTS: gone with the transaction
  kReset,           // `name`
  kResetAll,
  kPrepare,     // `name`
  kExecute,     // `name`
  kDeallocate,  // `name`
  kDeallocateAll,
  kDiscardAll,
  kDiscardOther,  // DISCARD PLANS, SEQUENCES, TEMP
  kListen,        // `name`
  kUnlisten,      // `name`
  kUnlistenAll,
  kNotify,           // `name`
  kDeclare,          // `name`: a cursor, perhaps WITH HOLD
  kCreateTemporary,  // CREATE [LOCAL|GLOBAL] TEMP[ORARY] …, SELECT … INTO TEMP …, CREATE … pg_temp.…; SET
                     // search_path = pg_temp, which any later CREATE TABLE follows
  kLoad,
};

struct SimpleStatement {
  StatementKind kind = StatementKind::kEmpty;
  // As written, quotes and all; see identifier(). Empty when the kind has none or it is not a plain one
  // (U&"…", a .b).
  std::string_view name = {};
  // What follows the first statement, from the first byte that is not space, comment or `;`. Empty: that was
  // all. classify_simple(rest) looks at the next statement.
  std::string_view rest = {};

  bool multiple() const { return !rest.empty(); }
};

SimpleStatement classify_simple(std::string_view text);

// SET [SESSION|LOCAL] search_path, SET SCHEMA.
bool sets_search_path(const SimpleStatement& statement);

// Whether a string begins with 'now', 'today' and the like, which stand for the moment at which the text is parsed.
bool tells_time(std::string_view text);

// The name Postgres makes of an identifier as written: quotes taken off, or ASCII letters in lower case.
std::string identifier(std::string_view written);

}  // namespace penstock::pgwire
