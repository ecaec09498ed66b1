// The few sentences of SQL that the canned server understands, cut into a plan that answers them without a
// database.
//
// SELECT with a list of: 'text', $n, number, repeat(…, n), current_setting('…'), pg_sleep(s),
// pg_backend_pid(), pg_terminate_backend(pid), 1/0; optionally FROM generate_series(1, n). COPY (that SELECT)
// TO STDOUT, COPY x FROM STDIN. SET, RESET, SHOW, transactions, PREPARE, EXECUTE, DEALLOCATE, DISCARD, and
// tags for plain INSERT, UPDATE, DELETE.
//
// Home: pure; views point into the text that was parsed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace penstock::bench {

enum class Verb : std::uint8_t {
  kEmpty,
  kSelect,
  kSet,
  kReset,
  kShow,
  kBegin,
  kCommit,
  kRollback,
  kDiscard,
  kDeallocate,
  kPrepare,
  kExecute,
  kCopyOut,
  kCopyIn,
  kOther,    // answered by its tag alone
  kUnknown,  // a syntax error
};

struct Expression {
  enum class Kind : std::uint8_t { kText, kParameter, kSetting, kBackendPid, kSleep, kTerminate, kDivision };
  Kind kind = Kind::kText;
  std::uint16_t parameter = 0;          // kParameter and kTerminate: from 1; 0 for a literal
  std::string_view text = {};           // kText, kSetting, kTerminate
  std::string_view label = "?column?";  // the column's name
  std::uint64_t repeat = 1;
  double seconds = 0;  // kSleep
};

struct Plan {
  static constexpr std::size_t kColumnsMax = 8;

  Verb verb = Verb::kUnknown;
  std::uint8_t column_count = 0;
  std::uint16_t parameter_count = 0;
  std::array<Expression, kColumnsMax> columns = {};
  std::uint64_t rows = 1;
  std::string_view tag = {};    // the tag of CommandComplete, without numbers
  std::string_view name = {};   // setting, prepared statement; empty: ALL
  std::string_view value = {};  // of SET; the statement of PREPARE

  bool returns_rows() const { return verb == Verb::kSelect || verb == Verb::kShow || verb == Verb::kExecute; }
};

Plan parse_sql(std::string_view statement);

// Takes the first statement off `sql` (up to a ';' outside quotes).
std::string_view take_statement(std::string_view& sql);

}  // namespace penstock::bench
