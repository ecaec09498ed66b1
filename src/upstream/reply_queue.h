// ReplyQueue: what an upstream still owes, in order, and who is to hear it.
//
// Without it nobody could tell which ParseComplete answers which Parse, when an upstream is free, and where
// in the stream an answer of our own belongs.
//
// Owner:      an Upstream, by value.
// Home:       LOOP
// Invariants: 1. Entries are in the order in which the requests were sent.
//             2. Empty means: the server will say nothing more unasked (but for notices and the like).
// Bounds:     one entry for each message of a pipeline; the session stops reading at kReplyQueueHigh.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "upstream/statement.h"

namespace penstock::upstream {

inline constexpr std::size_t kReplyQueueHigh = 64 * 1024;

struct Reply {
  enum class Kind : std::uint8_t {
    // Answered by the server:
    kQuery,     // Query, FunctionCall: anything up to ReadyForQuery
    kSync,      // ReadyForQuery
    kParse,     // ParseComplete
    kBind,      // BindComplete
    kDescribe,  // RowDescription or NoData
    kExecute,   // CommandComplete, EmptyQueryResponse, PortalSuspended
    kClose,     // CloseComplete
    // Answered by us when its turn comes; the server never heard of it:
    kOurParse,
    kOurClose,
    kOurDeallocate,  // CommandComplete and ReadyForQuery
  };
  Kind kind;
  bool visible = true;             // the client asked for it (else: we did, and swallow the answer)
  bool ends_request = false;       // not visible itself, but its ReadyForQuery and ParameterStatus are
  bool cleans = false;             // kQuery of ours: the pool's reset_query
  std::uint16_t copies_ended = 0;  // so many CopyDone or CopyFail were sent behind it too early to be known
  bool is_unnamed = false;         // kParse, kClose, kQuery: of the client, changes the unnamed statement
  bool is_taken = false;           // kParse: of a name that the client has given already: it must be refused
  bool names_statement = false;    // kParse, kOur…: it gives or takes a name of the client
  StatementPtr statement = nullptr;  // kParse: prepared by it; kBind: bound; kClose: of our own, closed

  bool is_ours() const { return kind >= Kind::kOurParse; }
  bool ends_with_ready() const {
    return kind == Kind::kQuery || kind == Kind::kSync || kind == Kind::kOurDeallocate;
  }
};

class ReplyQueue {
 public:
  bool empty() const { return first_ == entries_.size(); }
  std::size_t size() const { return entries_.size() - first_; }
  Reply& front() { return entries_[first_]; }
  Reply& back() { return entries_.back(); }
  Reply& at(std::size_t index) { return entries_[first_ + index]; }
  void push(Reply reply) {
    changes_ += changes_statements(reply) ? 1 : 0;
    entries_.push_back(std::move(reply));
  }
  void pop() {
    changes_ -= changes_statements(entries_[first_]) ? 1 : 0;
    entries_[first_].statement.reset();
    ++first_;
    if (first_ == entries_.size()) {
      clear();
    } else if (first_ > kCompactAt && first_ * 2 > entries_.size()) {
      // A client that always has something outstanding must not make it grow.
      entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }
  // Drops those of the entries [from, to) that are `unwanted`; gives their number.
  template <typename Unwanted>
  std::size_t drop(std::size_t from, std::size_t to, Unwanted unwanted) {
    const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(first_);
    const auto end = begin + static_cast<std::ptrdiff_t>(to);
    const auto kept = std::remove_if(begin + static_cast<std::ptrdiff_t>(from), end, [&](const Reply& reply) {
      if (!unwanted(reply)) return false;
      changes_ -= changes_statements(reply) ? 1 : 0;
      return true;
    });
    const auto count = static_cast<std::size_t>(end - kept);
    entries_.erase(kept, end);
    return count;
  }
  // Whether a Parse or Close of our own for `statement` is under way in a batch before the current one:
  // should that batch fail, it will be skipped.
  bool may_be_skipped(const Statement& statement, bool visible) const {
    if (changes_ == 0) return false;
    bool earlier = false;
    for (std::size_t i = entries_.size(); i-- > first_;) {
      const Reply& reply = entries_[i];
      earlier |= reply.ends_with_ready();
      if ((visible || !reply.visible) && reply.statement.get() == &statement && changes_statements(reply))
        return earlier;
    }
    return false;
  }

 private:
  static constexpr std::size_t kCompactAt = 1024;
  static bool changes_statements(const Reply& reply) {
    return reply.statement != nullptr &&
           (reply.kind == Reply::Kind::kParse || reply.kind == Reply::Kind::kClose);
  }
  void clear() {
    entries_.clear();
    first_ = 0;
  }

  std::vector<Reply> entries_;
  std::size_t changes_ = 0;  // entries that change what the server has prepared
  std::size_t first_ = 0;
};

}  // namespace penstock::upstream
