// Prepared statements shared by clients and upstreams of one worker.
//
// A client's name stands for a Statement (text and parameter types). Each upstream that has prepared it knows it by the
// Statement's own name, so any client with the same text finds it ready.
//
// Owner:      StatementTable (one per worker) interns; clients and upstreams hold StatementPtr.
// Home:       LOOP
// Invariants: 1. Equal text and types are the same object within a worker.
//             2. `name` is unique in the process: an upstream that moves to another worker never mixes two up.
// Bounds:     a Statement lives while a client or an upstream holds it; PreparedSet keeps `capacity` of them.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"

namespace penstock::upstream {

struct Statement {
  std::string name;        // on every upstream: "ps<worker>_<number>"
  std::string definition;  // query text, zero byte, count and types: the body of a Parse after its name
};
using StatementPtr = std::shared_ptr<const Statement>;

class StatementTable {
 public:
  explicit StatementTable(unsigned worker) : worker_(worker) {}
  // `definition`: the body of a Parse from the query text on.
  StatementPtr intern(base::ByteView definition);
  std::size_t size() const { return statements_.size(); }

 private:
  void drop_unused();
  unsigned worker_;
  std::uint64_t next_number_ = 1;
  // An entry outlives its Statement until drop_unused().
  std::unordered_map<std::string, std::weak_ptr<const Statement>> statements_;
  std::size_t drop_at_ = 4096;
};

// What one upstream has prepared, least recently used last.
class PreparedSet {
 public:
  // Marks as used now. False: not there.
  bool touch(const Statement& statement);
  void insert(StatementPtr statement);
  void erase(const Statement& statement);
  void clear();
  // Takes out the least recently used beyond `capacity`, for the caller to Close.
  StatementPtr evict(std::size_t capacity);
  std::size_t size() const { return entries_.size(); }

 private:
  using Order = std::list<StatementPtr>;
  Order order_;
  std::unordered_map<std::string_view, Order::iterator> entries_;  // by Statement::name
};

}  // namespace penstock::upstream
