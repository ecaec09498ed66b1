// ClientStatements: the names one client has given to prepared statements.
//
// Owner:      a Session, only while it has named statements.
// Home:       LOOP
// Invariants: an unconfirmed name is one whose Parse has not been answered; it goes when that Parse fails or
// is skipped.
//             Each Reply with `names_statement` in the upstream's queue stands for one unconfirmed name, in
//             order.
// Bounds:     kNamesMax names.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "upstream/statement.h"

namespace penstock::session {

class ClientStatements {
 public:
  static constexpr std::size_t kNamesMax = 100'000;

  // Null: no such name.
  upstream::StatementPtr find(std::string_view name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? nullptr : found->second;
  }
  void add(std::string_view name, upstream::StatementPtr statement) {
    if (names_.emplace(name, std::move(statement)).second) unconfirmed_.emplace_back(name);
  }
  bool remove(std::string_view name) {
    const auto found = names_.find(name);
    if (found == names_.end()) return false;
    names_.erase(found);
    return true;
  }
  // A Close on its way: the name is gone at once, but comes back if the Close is skipped because of an
  // earlier failure.
  void close(std::string_view name) {
    const auto found = names_.find(name);
    closing_.emplace_back(name, found == names_.end() ? nullptr : found->second);
    if (found != names_.end()) names_.erase(found);
  }
  void confirm_one_close() {
    if (!closing_.empty()) closing_.erase(closing_.begin());
  }
  void undo_one_close() {
    if (closing_.empty()) return;
    auto [name, statement] = std::move(closing_.front());
    closing_.erase(closing_.begin());
    if (statement != nullptr) names_.emplace(std::move(name), std::move(statement));
  }
  // The oldest unconfirmed Parse has been answered with success.
  void confirm_one() {
    if (!unconfirmed_.empty()) unconfirmed_.erase(unconfirmed_.begin());
  }
  // It failed, or was skipped because of a failure.
  void drop_one() {
    if (unconfirmed_.empty()) return;
    remove(unconfirmed_.front());
    unconfirmed_.erase(unconfirmed_.begin());
  }
  // All are deallocated, but for those whose Parse comes after.
  void clear() {
    std::erase_if(names_, [&](const auto& entry) {
      return std::ranges::find(unconfirmed_, entry.first) == unconfirmed_.end();
    });
  }
  bool empty() const { return names_.empty(); }
  bool full() const { return names_.size() >= kNamesMax; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, upstream::StatementPtr, Hash, std::equal_to<>> names_;
  std::vector<std::string> unconfirmed_;  // in the order of their Parse messages
  std::vector<std::pair<std::string, upstream::StatementPtr>>
      closing_;  // in the order of their Close messages
};

}  // namespace penstock::session
