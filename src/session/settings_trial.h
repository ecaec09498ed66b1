// SettingsTrial asks a server what a client's start-up parameters come to, before the client is let in.
//
// "TimeZone=utc" is reported as "UTC", and "TimeZone=nowhere" is an error that the client must see now, not
// with its first query. It also waits for the first upstream of a cold pool, whose own error the client gets
// when there is none.
//
// Owner:      the log-in's coroutine, by value.
// Home:       LOOP
// Waits:      for an upstream and its answer, or the deadline.
// Errors:     the server's own, for the log-in or for a setting.
#pragma once

#include <coroutine>
#include <optional>

#include "pool/pool.h"

namespace penstock::session {

class SettingsTrial final : private pool::Waiter, private upstream::UpstreamUser {
 public:
  // `requested`: start-up parameters that can be set, in the client's order.
  SettingsTrial(pool::Pool& pool, const pgwire::Parameters& requested, base::TimePoint deadline);
  SettingsTrial(const SettingsTrial&) = delete;
  ~SettingsTrial();

  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> caller);
  // The settings of a session that has asked for them.
  base::Result<upstream::SettingsPtr> await_resume() { return std::move(*result_); }

 private:
  void on_granted(upstream::Upstream& upstream) override;
  void on_refused(const base::Error& error) override;
  void on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) override;
  void on_upstream_end(upstream::Upstream& upstream, const base::Error* error) override;
  void on_deadline();
  void settle(base::Result<upstream::SettingsPtr> result);

  pool::Pool& pool_;
  const pgwire::Parameters& requested_;
  base::TimePoint deadline_;
  upstream::Upstream* upstream_ = nullptr;
  std::optional<base::Error> error_;
  std::optional<base::Result<upstream::SettingsPtr>> result_;
  std::coroutine_handle<> caller_;
  bool suspended_ = false;
  io::Timer timer_ = io::Timer::calling<&SettingsTrial::on_deadline>(this);
};

}  // namespace penstock::session
