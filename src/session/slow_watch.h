// SlowWatch: what a client has asked and has not been answered yet, for the line about it should it take too long.
//
// Exists only while the client's pool logs slow queries, so that all others neither copy a text nor keep one.
//
// Owner:      an Exchange, by unique_ptr.
// Home:       LOOP
// Invariants: one Asked for each visible ReadyForQuery that is due, in order: close() and answered() come in pairs. It is
//             made when none is due.
// Bounds:     kTextsMax texts of sql::kQueryBytesMax each; of more requests in one pipeline there are no texts.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "upstream/statement.h"

namespace penstock::session {

class SlowWatch {
 public:
  static constexpr std::size_t kTextsMax = 64;
  static constexpr std::size_t kNamesMax = 256;

  // A simple query or a batch up to Sync: the first statement that is executed in it.
  struct Asked {
    upstream::StatementPtr statement = nullptr;  // its text, if not null
    std::string text = {};
    bool is_bound = false;
    unsigned statements = 0;
    std::uint64_t rows = 0;

    std::string_view shown() const {
      return statement != nullptr ? statement->text() : std::string_view(text);
    }
  };

  // A simple query, perhaps only its first part; then more() brings the others.
  void queried(std::string_view text, bool is_whole);
  void more(std::string_view text, bool is_last);
  // Of a batch. `name`: of a statement that the client has parsed under it, where nobody else keeps it.
  void parsed(std::string_view text);
  void parsed(std::string_view name, upstream::StatementPtr statement);
  void bound(std::string_view name, const upstream::StatementPtr& statement);
  void executed() { ++open_.statements; }
  // What ends with ReadyForQuery has been asked.
  void close();
  // The oldest has its ReadyForQuery.
  Asked answered();
  // Of the oldest that is due.
  void count_rows(std::uint64_t rows) {
    if (has_due()) due_[first_].rows += rows;
  }

  base::Duration waited{0};  // for a server, before the oldest
  std::uint64_t bytes = 0;   // from the server since the last answer

 private:
  bool has_due() const { return first_ < due_.size(); }
  bool has_room() const { return due_.size() - first_ < kTextsMax; }

  Asked open_;
  std::vector<Asked> due_;  // from first_ on
  std::size_t first_ = 0;
  bool grows_ = false;  // more() belongs to the newest of due_
  std::unordered_map<std::string, upstream::StatementPtr> names_;
};

}  // namespace penstock::session
