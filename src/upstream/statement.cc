#include "upstream/statement.h"

namespace penstock::upstream {

Statement::Statement(std::string its_name, std::string its_definition, std::uint64_t its_meaning)
    : name(std::move(its_name)),
      definition(std::move(its_definition)),
      meaning(its_meaning),
      kind(pgwire::classify_simple(text()).kind) {}

StatementPtr StatementTable::intern(base::ByteView definition, std::uint64_t meaning) {
  std::string key(base::as_text(definition));
  key.append(reinterpret_cast<const char*>(&meaning), sizeof(meaning));
  return statements_.find_or_make(key, [&] {
    const std::uint64_t number = next_number_.fetch_add(1, std::memory_order_relaxed);
    return std::make_shared<const Statement>("penstock_" + std::to_string(number),
                                             std::string(base::as_text(definition)), meaning);
  });
}

std::optional<std::int64_t> PreparedSet::prepared_at(const Statement& statement) const {
  const auto found = entries_.find(statement.name);
  return found == entries_.end() ? std::nullopt : std::optional(found->second->prepared_at);
}

void PreparedSet::touch(const Statement& statement) {
  const auto found = entries_.find(statement.name);
  if (found != entries_.end()) order_.splice(order_.begin(), order_, found->second);
}

void PreparedSet::insert(StatementPtr statement, std::int64_t now) {
  const auto found = entries_.find(statement->name);
  if (found != entries_.end()) {
    found->second->prepared_at = now;
    order_.splice(order_.begin(), order_, found->second);
    return;
  }
  order_.push_front({.statement = std::move(statement), .prepared_at = now});
  entries_.emplace(order_.front().statement->name, order_.begin());
}

void PreparedSet::erase(const Statement& statement) {
  const auto found = entries_.find(statement.name);
  if (found == entries_.end()) return;
  const auto position = found->second;
  entries_.erase(found);
  order_.erase(position);
}

void PreparedSet::doubt_all() {
  for (Entry& entry : order_) entry.prepared_at = 0;
}

void PreparedSet::clear() {
  entries_.clear();
  order_.clear();
}

StatementPtr PreparedSet::evict(std::size_t capacity) {
  if (order_.size() <= capacity) return nullptr;
  StatementPtr last = order_.back().statement;
  entries_.erase(last->name);
  order_.pop_back();
  return last;
}

}  // namespace penstock::upstream
