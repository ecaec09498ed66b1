#include "pool/fair_share.h"

#include <algorithm>

namespace penstock::pool {

int FairShare::beyond_guarantees() const {
  int sum = 0;
  for (const Stake* stake : stakes_) sum += std::max(0, stake->beyond());
  return sum;
}

bool FairShare::has_room_for(const Stake& stake) const {
  if (places_ <= 0) return true;
  if (open_ >= places_) return false;
  return stake.beyond() < 0 || beyond_guarantees() < places_ - guaranteed_;
}

void FairShare::open(int change) {
  open_ += change;
  beyond_.store(places_ > 0 ? std::max(0, open_ - places_) : 0, std::memory_order_relaxed);
}

// Of those who have been told no lately; null: there is nobody.
Stake* FairShare::first_in_line(const Stake* but, base::TimePoint now) const {
  Stake* first = nullptr;
  for (Stake* stake : stakes_) {
    if (stake == but || !stake->wishes(now)) continue;
    if (first == nullptr || stake->goes_before(*first)) first = stake;
  }
  return first;
}

void FairShare::ask_somebody(const Stake& wisher, base::TimePoint now) {
  demand_ = true;
  Stake* richest = nullptr;
  for (Stake* stake : stakes_) {
    if (stake == &wisher || !wisher.deserves_one_of(*stake, now)) continue;
    const bool richer = richest == nullptr || stake->beyond() > richest->beyond() ||
                        (stake->beyond() == richest->beyond() && stake->changed_at_ < richest->changed_at_);
    if (richer) richest = stake;
  }
  if (richest != nullptr) richest->asked_.store(true, std::memory_order_relaxed);
}

Stake::Stake(std::shared_ptr<FairShare> share) : share_(std::move(share)) {
  const std::lock_guard lock(share_->mutex_);
  share_->stakes_.push_back(this);
}

Stake::~Stake() {
  const std::lock_guard lock(share_->mutex_);
  std::erase(share_->stakes_, this);
}

void Stake::set_terms(const Terms& terms) {
  const std::lock_guard lock(share_->mutex_);
  share_->places_ = terms.places;
  share_->guaranteed_ = terms.guaranteed_all;
  guaranteed_ = terms.guaranteed;
  share_->open(0);
}

// A user that has just given one up begins to wait then, however long its clients have waited: else it would
// take it right back.
base::TimePoint Stake::waiting_from() const {
  return std::max(*wished_since_, changed_at_);
}

bool Stake::goes_before(const Stake& other) const {
  if (beyond() != other.beyond()) return beyond() < other.beyond();
  if ((open_ == 0) != (other.open_ == 0)) return open_ == 0;
  return waiting_from() < other.waiting_from();
}

bool Stake::deserves_one_of(const Stake& other, base::TimePoint now) const {
  if (other.beyond() <= 0) return false;
  const int gap = other.beyond() - beyond();
  if (gap != 1) return gap > 1;
  if (open_ > 0 && other.open_ == 1) return false;  // nobody gives its last one to who has some
  const base::Duration patience = open_ == 0 ? FairShare::kTurn : FairShare::kLongTurn;
  return now - waiting_from() >= patience && now - other.changed_at_ >= FairShare::kTurn;
}

bool Stake::take(std::optional<base::TimePoint> since, base::TimePoint now) {
  const std::lock_guard lock(share_->mutex_);
  if (since.has_value()) {
    wished_since_ = wishes(now) ? std::min(*wished_since_, *since) : *since;
    wish_ends_ = now + FairShare::kWishLife;
  }
  bool may = share_->has_room_for(*this);
  if (may && share_->places_ > 0 && beyond() >= 0) {
    const Stake* first = share_->first_in_line(this, now);
    may = first == nullptr || (since.has_value() && !first->goes_before(*this));
  }
  if (!may) {
    if (since.has_value() && !share_->has_room_for(*this)) share_->ask_somebody(*this, now);
    return false;
  }
  wished_since_.reset();
  changed_at_ = now;
  ++open_;
  share_->open(+1);
  return true;
}

void Stake::give_back() {
  {
    const std::lock_guard lock(share_->mutex_);
    --open_;
    share_->open(-1);
  }
  line.call_next();
}

int Stake::surplus() const {
  if (share_->beyond_.load(std::memory_order_relaxed) <= 0) return 0;
  const std::lock_guard lock(share_->mutex_);
  return std::clamp(beyond(), 0, share_->beyond_.load(std::memory_order_relaxed));
}

bool Stake::yield(base::TimePoint now) {
  share_->demand_ = false;
  changed_at_ = now;
  return true;
}

bool Stake::yields_busy(base::TimePoint now) {
  const std::lock_guard lock(share_->mutex_);
  asked_.store(false, std::memory_order_relaxed);
  const Stake* wisher = share_->first_in_line(this, now);
  if (!share_->demand_ || wisher == nullptr || share_->has_room_for(*wisher)) return false;
  return wisher->deserves_one_of(*this, now) && yield(now);
}

bool Stake::yields_idle(base::TimePoint idle_since, base::TimePoint now) {
  const std::lock_guard lock(share_->mutex_);
  const Stake* wisher = share_->first_in_line(this, now);
  if (!share_->demand_ || wisher == nullptr || share_->has_room_for(*wisher)) return false;
  if (beyond() <= 0) return false;
  const bool is_spare = beyond() > wisher->beyond() || now - idle_since >= FairShare::kLongIdle;
  return is_spare && yield(now);
}

}  // namespace penstock::pool
