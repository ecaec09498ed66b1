// Prepared statements shared by all clients and upstreams of the process.
//
// A client's name stands for a Statement (text and parameter types). Each upstream that has prepared it knows
// it by the Statement's own name, so any client with the same text finds it ready.
//
// Owner:      StatementTable (one, of the server) interns; clients and upstreams hold StatementPtr.
// Home:       Statement: SHARED. StatementTable: SYNC (its mutex, once per Parse). PreparedSet: LOOP.
// Invariants: equal text and types are the same object, so an upstream knows it under one name on every
// worker. Bounds:     a Statement lives while a client or an upstream holds it; PreparedSet keeps `capacity`
// of them.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"

namespace penstock::upstream {

struct Statement {
  std::string name;        // on every upstream: "penstock_<number>"
  std::string definition;  // query text, zero byte, count and types: the body of a Parse after its name
};
using StatementPtr = std::shared_ptr<const Statement>;

class StatementTable {
 public:
  // `definition`: the body of a Parse from the query text on.
  StatementPtr intern(base::ByteView definition);

 private:
  void drop_unused();
  std::mutex mutex_;  // guards all below
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
