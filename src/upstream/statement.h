// Prepared statements shared by all clients and upstreams of the process.
//
// A client's name stands for a Statement: text, parameter types, and what decides on the meaning of a text. Each
// upstream that has prepared it knows it by the Statement's own name, so any client with the same finds it ready.
//
// Owner:      StatementTable (one, of the server) interns; clients and upstreams hold StatementPtr.
// Home:       Statement: SHARED. StatementTable: SYNC (its mutex, once per Parse). PreparedSet: LOOP.
// Invariants: equal text, types and meaning are the same object: an upstream knows it under one name on every worker.
// Bounds:     a Statement lives while a client or an upstream holds it; PreparedSet keeps `capacity` of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"
#include "base/weak_table.h"
#include "pgwire/sql_text.h"

namespace penstock::upstream {

struct Statement {
  Statement(std::string its_name, std::string its_definition, std::uint64_t its_meaning);
  std::string_view text() const { return std::string_view(definition).substr(0, definition.find('\0')); }

  const std::string name;        // on every upstream: "penstock_<number>"
  const std::string definition;  // query text, zero byte, count and types: the body of a Parse after its name
  const std::uint64_t meaning;   // it must be parsed where texts mean this; see Settings::meaning()
  const pgwire::StatementKind kind;  // by its first words
  // Prepared up to then (steady clock, ns) it no longer fits the tables.
  mutable std::atomic<std::int64_t> outdated_until{0};
};
using StatementPtr = std::shared_ptr<const Statement>;

class StatementTable {
 public:
  // `definition`: the body of a Parse from the query text on.
  StatementPtr intern(base::ByteView definition, std::uint64_t meaning = 0);

 private:
  std::atomic<std::uint64_t> next_number_{1};
  base::WeakTable<const Statement> statements_;
};

// When anybody who came through here last changed tables of a database (steady clock, ns). A statement
// prepared before that may not fit them any more. Home: SYNC.
struct Schema {
  std::atomic<std::int64_t> changed_at{0};
};

// What one upstream has prepared. An entry in doubt is one the server may have or not, or with an outdated
// plan: it must be closed before it is prepared again.
class PreparedSet {
 public:
  // When it was prepared (steady clock, ns), 0 when in doubt, nothing when the server does not have it.
  std::optional<std::int64_t> prepared_at(const Statement& statement) const;
  // Marks as used now.
  void touch(const Statement& statement);
  void insert(StatementPtr statement, std::int64_t now);
  void erase(const Statement& statement);
  void doubt(const StatementPtr& statement) { insert(statement, 0); }
  void doubt_all();
  void clear();
  // Takes out the least recently used beyond `capacity`, for the caller to Close.
  StatementPtr evict(std::size_t capacity);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    StatementPtr statement;
    std::int64_t prepared_at;
  };
  using Order = std::list<Entry>;
  Order order_;                                                    // most recently used first
  std::unordered_map<std::string_view, Order::iterator> entries_;  // by Statement::name
};

}  // namespace penstock::upstream
