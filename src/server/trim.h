// TrimPolicy decides when memory that clients have left behind is given back to the system.
//
// The allocator keeps freed memory for reuse. After a mass leave that would be for ever; but clients that only
// reconnect should find it still there.
//
// Owner: the Server. Home: the control thread (pure).
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace penstock::server {

class TrimPolicy {
 public:
  // So many clients must have left, and the rest have stayed away for so long.
  static constexpr int kLeftAtLeast = 500;
  static constexpr base::Duration kPatience = std::chrono::seconds(10);

  // To be called now and then with the number of clients; true: trim now.
  bool should_trim(base::TimePoint now, int clients) {
    peak_ = std::max(peak_, clients);
    const bool many_left = peak_ - clients >= std::max(kLeftAtLeast, peak_ / 4);
    if (!many_left) {
      low_since_ = base::kNever;
      return false;
    }
    low_since_ = std::min(low_since_, now);
    if (now - low_since_ < kPatience) return false;
    peak_ = clients;
    low_since_ = base::kNever;
    return true;
  }

 private:
  int peak_ = 0;
  base::TimePoint low_since_ = base::kNever;
};

}  // namespace penstock::server
