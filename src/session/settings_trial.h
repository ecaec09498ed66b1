// SettingsTrial asks a server what a client's start-up parameters come to, before the client is let in.
//
// "TimeZone=utc" is reported as "UTC", and "TimeZone=nowhere" is an error that the client must see now, not
// with its first query. It also waits for the first upstream of a cold pool, whose own error the client gets
// when there is none.
//
// Owner:      the log-in's coroutine, by value.
// Home:       LOOP
// Waits:      for an upstream, its answer, or their deadlines; a client that leaves has the waiting ended.
// Errors:     the server's own, for the log-in or for a setting; without a message when the client has left.
#pragma once

#include <coroutine>
#include <optional>

#include "pool/pool.h"
#include "upstream/message_reader.h"

namespace penstock::session {

class SettingsTrial final : private pool::Waiter, private upstream::UpstreamUser {
 public:
  struct Options {
    base::TimePoint deadline = base::kNever;    // of all of it; with `answer_within`: of the waiting
    base::Duration answer_within{0};            // for a server that was had to answer
    upstream::MessageReader* client = nullptr;  // for whom it is
  };
  // `requested`: start-up parameters that can be set, in the client's order.
  SettingsTrial(pool::Pool& pool, const pgwire::Parameters& requested, Options options);
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
  void on_client_gone();
  void settle(base::Result<upstream::SettingsPtr> result);

  pool::Pool& pool_;
  const pgwire::Parameters& requested_;
  Options options_;
  upstream::Upstream* upstream_ = nullptr;
  std::optional<base::Error> error_;
  std::optional<base::Result<upstream::SettingsPtr>> result_;
  std::coroutine_handle<> caller_;
  bool suspended_ = false;
  io::Timer timer_ = io::Timer::calling<&SettingsTrial::on_deadline>(this);
};

}  // namespace penstock::session
