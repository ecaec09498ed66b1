#include "pool/room_line.h"

#include <algorithm>
#include <utility>

namespace penstock::pool {

bool RoomLine::Ticket::Earlier::operator()(const Ticket* one, const Ticket* other) const {
  return one->since_ != other->since_ ? one->since_ < other->since_ : std::less<>()(one, other);
}

bool RoomLine::Ticket::stand(RoomLine& line, base::TimePoint since) {
  const bool is_new = line_ != &line;
  if (is_new) leave();
  const std::lock_guard lock(line.mutex_);
  if (!is_new) line.tickets_.erase(this);
  line_ = &line;
  since_ = since;
  const bool may_have_missed_it = is_new || is_called_;
  is_called_ = is_promised_ = false;
  line.tickets_.insert(this);
  line.publish();
  return may_have_missed_it;
}

void RoomLine::Ticket::take_place() {
  if (line_ == nullptr) return;
  const std::lock_guard lock(line_->mutex_);
  is_called_ = false;
}

void RoomLine::Ticket::leave() {
  if (line_ == nullptr) return;
  RoomLine& line = *std::exchange(line_, nullptr);
  bool in_vain = false;
  {
    const std::lock_guard lock(line.mutex_);
    in_vain = is_called_;
    line.tickets_.erase(this);
    line.publish();
  }
  if (in_vain) line.call_next();
}

// A place is given back before size_ is read, and size_ is written before a pool that has just joined looks for
// room once more: one of the two sees the other.
void RoomLine::publish() {
  const auto first =
      std::ranges::find_if(tickets_, [](const Ticket* ticket) { return !ticket->is_promised_; });
  unpromised_since_.store(first == tickets_.end() ? kNobody : (*first)->since_.time_since_epoch().count(),
                          std::memory_order_relaxed);
  size_.store(tickets_.size());
}

bool RoomLine::lets(const Ticket& ticket, std::optional<base::TimePoint> since) const {
  if (size_.load() == 0) return true;
  if (!since.has_value()) return false;
  const std::lock_guard lock(mutex_);
  if (tickets_.empty()) return true;
  const Ticket* first = *tickets_.begin();
  return first == &ticket || *since < first->since_ || (ticket.line_ == this && ticket.is_called_);
}

bool RoomLine::is_first(const Ticket& ticket) const {
  const std::lock_guard lock(mutex_);
  return !tickets_.empty() && *tickets_.begin() == &ticket;
}

bool RoomLine::claims(const void* pool, std::optional<base::TimePoint> oldest) {
  const base::TimePoint before = oldest.has_value() ? *oldest - kTurn : base::TimePoint::max();
  if (unpromised_since_.load(std::memory_order_relaxed) >= before.time_since_epoch().count()) return false;
  const std::lock_guard lock(mutex_);
  const auto next = std::ranges::find_if(
      tickets_, [&](const Ticket* ticket) { return !ticket->is_promised_ && ticket->pool_ != pool; });
  if (next == tickets_.end() || (*next)->since_ >= before) return false;
  (*next)->is_promised_ = true;
  publish();
  return true;
}

void RoomLine::call_next() {
  if (size_.load() == 0) return;
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    const auto next =
        std::ranges::find_if(tickets_, [](const Ticket* ticket) { return !ticket->is_called_; });
    if (next == tickets_.end()) return;
    (*next)->is_called_ = (*next)->is_promised_ = true;
    publish();
    call = (*next)->call_;
  }
  call();
}

}  // namespace penstock::pool
