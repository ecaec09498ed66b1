// Database is what SqlStore asks of SQLite and of Postgres: statements that both understand, in transactions.
//
// Without it, each store would have its own copy of how tenants become rows.
//
// Owner:      the store.
// Home:       one thread.
// Invariants: parameters are texts ($1, $2, … in the order of their first use), and so are results.
// Errors:     those of the database, with what to do about them; kTransactionResolutionUnknown of commit() when the
//             connection was lost in it.
#pragma once

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace penstock::catalog {

class Database {
 public:
  enum class Kind : std::uint8_t { kRead, kWrite };  // kWrite: what was read stays true until the end
  using Row = std::vector<std::string>;
  using Rows = std::vector<Row>;
  using Parameters = std::initializer_list<std::string_view>;

  Database() = default;
  Database(Database&&) = default;
  Database& operator=(Database&&) = default;
  virtual ~Database() = default;

  virtual base::Result<Rows> query(std::string_view sql, Parameters parameters = {}) = 0;
  virtual base::Status begin(Kind kind) = 0;
  virtual base::Status commit() = 0;
  virtual void rollback() = 0;

  // Throws away any row.
  base::Status run(std::string_view sql, Parameters parameters = {}) {
    const base::Result<Rows> rows = query(sql, parameters);
    if (!rows) return base::fail(rows.error());
    return {};
  }
};

// 0 when it is no number.
inline std::uint64_t to_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Ends in commit() or is undone.
class Transaction {
 public:
  static base::Result<Transaction> begin(Database& database, Database::Kind kind) {
    const base::Status status = database.begin(kind);
    if (!status) return base::fail(status.error());
    return Transaction(database);
  }
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (database_ != nullptr) database_->rollback();
  }

  base::Status commit() {
    const base::Status status = database_->commit();
    if (status) database_ = nullptr;
    return status;
  }

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;  // null once ended
};

}  // namespace penstock::catalog
