// The SQL that simulated clients write and simulated servers understand: real syntax, made-up functions.
//
//   SELECT sim_rows(3)            three rows "<token>#1" …
//   SELECT sim_sleep(20)          one row after 20 ms; can be cancelled
//   SELECT sim_fail()             an error (22012)
//   SELECT sim_echo($1, 'tag')    one row: the parameter and the tag
//   SELECT sim_rows($1, 5)        five rows "<parameter>#1" …
//   SHOW name, SET "name" TO 'value', BEGIN, COMMIT, ROLLBACK, DISCARD ALL, NOTIFY, LISTEN
//   COPY t FROM STDIN, COPY (SELECT sim_rows(3)) TO STDOUT
//
// Each statement carries its token as a comment, or in its parameter.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/token.h"

namespace penstock::sim {

struct Sql {
  enum class Kind : std::uint8_t {
    kEmpty,
    kRows,
    kSleep,
    kFail,
    kEcho,
    kShow,
    kSet,
    kBegin,
    kCommit,
    kRollback,
    kDiscard,
    kNotify,
    kListen,
    kCopyIn,
    kCopyOut,
    kUnknown,
  };
  Kind kind = Kind::kUnknown;
  int number = 0;  // rows, milliseconds
  bool has_parameter = false;
  std::string name = {};   // setting, channel
  std::string value = {};  // setting's value, tag, payload
  std::optional<Token> token = {};
};

std::vector<Sql> parse_sql(std::string_view text);

}  // namespace penstock::sim
