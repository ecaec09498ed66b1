// PoolQuery runs one statement of our own over a pool and collects its rows.
//
// Owner:      a coroutine, as an awaitable on its frame.
// Home:       LOOP
// Waits:      for an upstream and its answer, or the deadline (then the upstream is closed).
// Errors:     the server's own; 08006 when the connection ends; 53300 at the deadline.
// Bounds:     kRowsMax rows of kRowBytesMax bytes each; larger ones and later ones are left out.
#pragma once

#include <coroutine>
#include <optional>
#include <string>
#include <vector>

#include "pool/pool.h"

namespace penstock::session {

using Row = std::vector<std::optional<std::string>>;

class PoolQuery final : private pool::Waiter, private upstream::UpstreamUser {
 public:
  static constexpr std::size_t kRowsMax = 16;
  static constexpr std::size_t kRowBytesMax = 64 * 1024;

  // `parameter` is $1, as text.
  PoolQuery(pool::Pool& pool, std::string_view sql, std::string_view parameter, base::TimePoint deadline)
      : pool_(pool), sql_(sql), parameter_(parameter), deadline_(deadline) {}
  PoolQuery(const PoolQuery&) = delete;
  PoolQuery& operator=(const PoolQuery&) = delete;
  ~PoolQuery();

  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> caller);
  base::Result<std::vector<Row>> await_resume() { return std::move(*result_); }

 private:
  void on_granted(upstream::Upstream& upstream) override;
  void on_refused(const base::Error& error) override;
  void on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) override;
  void on_upstream_end(upstream::Upstream& upstream, const base::Error* error) override;
  void take(upstream::Upstream& upstream, const pgwire::FrameScanner::Event& event);
  void take_row(const pgwire::FrameScanner::Event& event);
  void on_deadline();
  void settle(base::Result<std::vector<Row>> result);

  pool::Pool& pool_;
  std::string sql_;
  std::string parameter_;
  base::TimePoint deadline_;
  upstream::Upstream* upstream_ = nullptr;
  std::vector<Row> rows_;
  std::vector<std::uint8_t> row_;  // the one that is coming, header included
  bool row_fits_ = true;
  std::optional<base::Error> error_;
  std::optional<base::Result<std::vector<Row>>> result_;
  std::coroutine_handle<> caller_;
  bool suspended_ = false;
  io::Timer timer_ = io::Timer::calling<&PoolQuery::on_deadline>(this);
};

}  // namespace penstock::session
