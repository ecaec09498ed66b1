// WeakTable finds objects by name for all threads, and makes them on first use.
//
// Without it each kind of thing that workers share (scopes, hubs, statements) would need a directory with a
// lock and a way to forget of its own.
//
// Owner:      the server; entries are shared by whoever uses them and die with the last of them.
// Home:       SYNC (one mutex, held for one look-up; never on the way of a query that needs nothing new)
// Invariants: while an object of a name lives, everybody who asks for that name gets that object.
// Bounds:     entries of dead objects are dropped when the table has doubled.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace penstock::base {

template <class T>
class WeakTable {
 public:
  // `make()` returns a std::shared_ptr<T>; called under the lock, when there is none of that name.
  template <class Make>
  std::shared_ptr<T> find_or_make(const std::string& name, Make make) {
    const std::lock_guard lock(mutex_);
    std::weak_ptr<T>& slot = entries_[name];
    std::shared_ptr<T> object = slot.lock();
    if (object != nullptr) return object;
    object = make();
    slot = object;
    if (entries_.size() > drop_at_) {
      std::erase_if(entries_, [](const auto& entry) { return entry.second.expired(); });
      drop_at_ = std::max(kDropAtLeast, entries_.size() * 2);
    }
    return object;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  static constexpr std::size_t kDropAtLeast = 1024;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<T>> entries_;  // guarded by mutex_
  std::size_t drop_at_ = kDropAtLeast;                         // guarded by mutex_
};

}  // namespace penstock::base
