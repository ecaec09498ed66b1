#include "pgwire/frame_scanner.h"

#include <algorithm>

#include "base/assert.h"
#include "pgwire/constants.h"

namespace penstock::pgwire {

void FrameScanner::feed(base::ByteView chunk) {
  PENSTOCK_ASSERT(chunk_.empty());
  chunk_ = chunk;
}

// Moves bytes from the chunk until `wanted` are held. False: the chunk is used up first.
bool FrameScanner::take_into_held(std::size_t wanted) {
  if (held_.size() >= wanted) return true;
  const std::size_t count = std::min(wanted - held_.size(), chunk_.size());
  held_.insert(held_.end(), chunk_.begin(), chunk_.begin() + static_cast<std::ptrdiff_t>(count));
  chunk_ = chunk_.subspan(count);
  return held_.size() >= wanted;
}

FrameScanner::Event FrameScanner::next() {
  if (shown_in_use_) {
    std::vector<std::uint8_t>().swap(shown_);
    shown_in_use_ = false;
  }
  if (chunk_.empty()) return {};
  if (remaining_ > 0) {
    const auto count = std::min<std::size_t>(remaining_, chunk_.size());
    const Event event{.kind = Kind::kPart,
                      .type = type_,
                      .last = count == remaining_,
                      .in_chunk = true,
                      .bytes = chunk_.first(count)};
    remaining_ -= static_cast<std::uint32_t>(count);
    chunk_ = chunk_.subspan(count);
    return event;
  }
  return held_.empty() ? from_chunk() : continue_held();
}

// Where the messages end that begin the chunk and are all of one type; `end`: of the first.
std::size_t FrameScanner::end_of_run(std::size_t end) const {
  const std::uint8_t type = chunk_[0];
  while (chunk_.size() - end >= kHeaderBytes && chunk_[end] == type) {
    const std::uint32_t length = base::load_be32(chunk_.data() + end + 1);
    const bool is_good = length >= kLengthBytes && length <= policy_->message_bytes_max;
    if (!is_good || chunk_.size() - end <= length) break;  // next() sees to it
    end += std::size_t{length} + 1;
  }
  return end;
}

FrameScanner::Event FrameScanner::from_chunk() {
  if (chunk_.size() < kHeaderBytes) {
    take_into_held(kHeaderBytes);
    return {};
  }
  const std::uint8_t type = chunk_[0];
  const std::uint32_t length = base::load_be32(chunk_.data() + 1);
  if (length < kLengthBytes || length > policy_->message_bytes_max) {
    return {.kind = Kind::kBroken, .type = type, .total = length};
  }
  const std::uint32_t total = length + 1;
  if (chunk_.size() >= total) {
    const std::size_t end = policy_->in_runs[type] ? end_of_run(total) : total;
    const Event event{
        .kind = Kind::kMessage, .type = type, .in_chunk = true, .total = total, .bytes = chunk_.first(end)};
    chunk_ = chunk_.subspan(end);
    return event;
  }
  if (total <= policy_->whole_max[type] || chunk_.size() < std::min(policy_->prefix_bytes[type], total)) {
    take_into_held(total <= policy_->whole_max[type] ? total : policy_->prefix_bytes[type]);
    return {};
  }
  const Event event{
      .kind = Kind::kPart, .type = type, .first = true, .in_chunk = true, .total = total, .bytes = chunk_};
  type_ = type;
  remaining_ = total - static_cast<std::uint32_t>(chunk_.size());
  chunk_ = {};
  return event;
}

FrameScanner::Event FrameScanner::continue_held() {
  if (!take_into_held(kHeaderBytes)) return {};
  const std::uint8_t type = held_[0];
  const std::uint32_t length = base::load_be32(held_.data() + 1);
  if (length < kLengthBytes || length > policy_->message_bytes_max) {
    return {.kind = Kind::kBroken, .type = type, .total = length};
  }
  const std::uint32_t total = length + 1;
  const std::uint32_t wanted = total <= policy_->whole_max[type]
                                   ? total
                                   : std::min(std::max<std::uint32_t>(policy_->prefix_bytes[type], 5), total);
  if (!take_into_held(wanted)) return {};
  return show_held(total);
}

FrameScanner::Event FrameScanner::show_held(std::uint32_t total) {
  shown_.swap(held_);
  held_.clear();
  shown_in_use_ = true;
  type_ = shown_[0];
  remaining_ = total - static_cast<std::uint32_t>(shown_.size());
  return {.kind = remaining_ == 0 ? Kind::kMessage : Kind::kPart,
          .type = type_,
          .first = true,
          .last = remaining_ == 0,
          .in_chunk = false,
          .total = total,
          .bytes = shown_};
}

}  // namespace penstock::pgwire
