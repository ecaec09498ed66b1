// ClientStatements: the names one client has given to prepared statements.
//
// Owner:      a Session, only while it has named statements.
// Home:       LOOP
// Invariants: a Parse, Close or DEALLOCATE counts as soon as it is sent, and is undone when it fails or is skipped.
//             Each Reply with `names_statement` in the upstream's queue stands for one of these, in order.
// Bounds:     kNamesMax names.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

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
    if (names_.emplace(name, std::move(statement)).second) pending_.push_back({.name = std::string(name)});
  }
  bool remove(std::string_view name) {
    const auto found = names_.find(name);
    if (found == names_.end()) return false;
    names_.erase(found);
    return true;
  }
  // The name is there, and stands for another statement from now on.
  void replace(std::string_view name, upstream::StatementPtr statement) {
    names_.find(name)->second = std::move(statement);
  }
  // A Close or DEALLOCATE on its way: the name is gone at once, but comes back if that is skipped or refused because
  // of an earlier failure.
  void close(std::string_view name) {
    pending_.push_back({.name = std::string(name), .closes = true, .before = find(name)});
    remove(name);
  }
  // The oldest Parse or Close has been answered with success.
  void confirm_one() {
    if (!pending_.empty()) pending_.pop_front();
  }
  // The `count` oldest failed, or were skipped because of a failure: as if they had never been sent.
  void undo(std::size_t count) {
    count = std::min(count, pending_.size());
    for (std::size_t i = count; i-- > 0;) {
      Pending& undone = pending_[i];
      if (!undone.closes) {
        remove(undone.name);
      } else if (undone.before != nullptr) {
        give_back(std::move(undone), count);
      }
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  // All are deallocated, but for those whose Parse comes after.
  void clear() {
    std::unordered_set<std::string_view> given;
    for (Pending& pending : pending_) {
      if (!pending.closes) {
        given.insert(pending.name);
      } else if (!given.contains(pending.name)) {
        pending.before.reset();
      }
    }
    std::erase_if(names_, [&](const auto& entry) { return !given.contains(entry.first); });
  }
  bool empty() const { return names_.empty(); }
  bool full() const { return names_.size() >= kNamesMax; }

 private:
  // A Parse or Close that has not been answered.
  struct Pending {
    std::string name;
    bool closes = false;
    upstream::StatementPtr before = nullptr;  // of a Close: what the name stood for
  };
  // What an undone Close had taken is there again, or what the next Close of the name, from `next` on, takes instead.
  void give_back(Pending undone, std::size_t next) {
    const auto later =
        std::find_if(pending_.begin() + static_cast<std::ptrdiff_t>(next), pending_.end(),
                     [&](const Pending& pending) { return pending.closes && pending.name == undone.name; });
    if (later == pending_.end()) {
      names_.emplace(std::move(undone.name), std::move(undone.before));
    } else if (later->before == nullptr) {
      later->before = std::move(undone.before);
    }
  }

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, upstream::StatementPtr, Hash, std::equal_to<>> names_;
  std::deque<Pending> pending_;  // in the order of the messages
};

}  // namespace penstock::session
