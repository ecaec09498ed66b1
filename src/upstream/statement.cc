#include "upstream/statement.h"

#include <algorithm>

namespace penstock::upstream {

StatementPtr StatementTable::intern(base::ByteView definition) {
  std::string key(base::as_text(definition));
  const std::lock_guard lock(mutex_);
  const auto found = statements_.find(key);
  if (found != statements_.end()) {
    if (StatementPtr statement = found->second.lock()) return statement;
  }
  auto statement = std::make_shared<const Statement>(
      Statement{.name = "penstock_" + std::to_string(next_number_++), .definition = key});
  statements_[std::move(key)] = statement;
  if (statements_.size() > drop_at_) drop_unused();
  return statement;
}

void StatementTable::drop_unused() {
  std::erase_if(statements_, [](const auto& entry) { return entry.second.expired(); });
  drop_at_ = std::max<std::size_t>(4096, statements_.size() * 2);
}

bool PreparedSet::touch(const Statement& statement) {
  const auto found = entries_.find(statement.name);
  if (found == entries_.end()) return false;
  order_.splice(order_.begin(), order_, found->second);
  return true;
}

void PreparedSet::insert(StatementPtr statement) {
  if (touch(*statement)) return;
  order_.push_front(std::move(statement));
  entries_.emplace(order_.front()->name, order_.begin());
}

void PreparedSet::erase(const Statement& statement) {
  const auto found = entries_.find(statement.name);
  if (found == entries_.end()) return;
  const auto position = found->second;
  entries_.erase(found);
  order_.erase(position);
}

void PreparedSet::clear() {
  entries_.clear();
  order_.clear();
}

StatementPtr PreparedSet::evict(std::size_t capacity) {
  if (order_.size() <= capacity) return nullptr;
  StatementPtr last = order_.back();
  entries_.erase(last->name);
  order_.pop_back();
  return last;
}

}  // namespace penstock::upstream
