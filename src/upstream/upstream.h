// Upstream: one connection of ours to Postgres, logged in, and everything we know about the session behind
// it.
//
// Owner:      the Pool it belongs to, always; a Session borrows it between check-out and release.
// Home:       LOOP
// Invariants: 1. At any time it has one user: the pool (idle), a session, or the janitor that cleans up after
//                one.
//             2. It is given to a session only when `replies` is empty, `status` is 'I' and no cancel is
//                under way.
//             3. `settings`, `prepared` and `unnamed` are what the server has, or the connection is closed.
// Errors:     any doubt about the server's state closes it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/intrusive_list.h"
#include "io/address.h"
#include "io/stream.h"
#include "pgwire/backend.h"
#include "pgwire/command_tag.h"
#include "pgwire/frame_scanner.h"
#include "upstream/reply_queue.h"
#include "upstream/settings.h"
#include "upstream/statement.h"

namespace penstock::upstream {

// Whoever an upstream works for at the moment.
class UpstreamUser {
 public:
  virtual void on_upstream_data(class Upstream& upstream, io::Chunk bytes) = 0;
  // The connection is gone; the upstream must be given back to its pool for burial.
  virtual void on_upstream_end(class Upstream& upstream, const base::Error* error) = 0;
  virtual void on_upstream_drained(class Upstream& upstream) { (void)upstream; }

 protected:
  ~UpstreamUser() = default;
};

// What a server said of itself at log-in: ParameterStatus, in order.
using ServerParameters = std::vector<std::pair<std::string, std::string>>;

// What a log-in to Postgres yields.
struct LoggedIn {
  io::StreamPtr stream;
  std::vector<io::Chunk> received;  // behind the first ReadyForQuery
  io::Address address;              // where cancel requests go
  std::string host;                 // as configured, for the server's certificate
  std::uint32_t process_id = 0;
  std::string cancel_key;
  ServerParameters parameters;
  std::string tls;  // "TLSv1.3/…" or empty
  bool by_other_credential = false;
};

class Upstream final : private io::StreamSink, public base::ListHook<Upstream> {
 public:
  Upstream(std::uint64_t id, LoggedIn logged_in, SettingsPtr settings_at_login,
           std::shared_ptr<Schema> schema);
  // Out of this loop, for another worker; only when clean and idle.
  io::StreamPtr take_stream() { return std::move(stream_); }
  void return_stream(io::StreamPtr stream);
  ~Upstream() = default;

  void set_user(UpstreamUser& user);
  UpstreamUser* user() const { return user_; }

  // Takes note of a message (or part of one) from the server: pops what it answers, keeps status, settings
  // and prepared statements true. Entries that are ours (Reply::is_ours) must not be at the front.
  struct Tracked {
    bool visible = true;                                  // the client is to hear it
    bool ready = false;                                   // a ReadyForQuery
    bool failed = false;                                  // an answer to something of our own was an error
    pgwire::CommandTag tag = pgwire::CommandTag::kOther;  // of a CommandComplete
  };
  base::Result<Tracked> track(const pgwire::FrameScanner::Event& event, SettingsTable& settings_table);
  enum class Prepared : std::uint8_t { kNo, kOutdated, kYes };
  // Whether a Bind may use it as it is. `afresh`: for a client that prepares it now and must not be bothered
  // by tables that have changed before. kOutdated: the server must be told to close it first.
  Prepared is_prepared(const Statement& statement, bool afresh) const;
  // Queues a statement of our own, whose answers are swallowed.
  void send_query(std::string_view sql);
  // The same with the pool's reset_query: a RESET in it is one of everything.
  void send_cleaning(std::string_view sql);
  // Makes the server's session have `wanted`; what must be sent for it goes ahead of everything written
  // later.
  void adopt_settings(const SettingsPtr& wanted);
  // To be called before what gives the server the unnamed statement of `session`, or takes away that of others.
  void replace_unnamed(std::uint64_t session);
  // A Sync goes to the server.
  void end_batch();
  // A CopyDone or CopyFail does.
  void end_copy();

  io::Stream& stream() { return *stream_; }
  bool ended() const { return ended_; }
  // Nothing outstanding, no transaction, nothing in doubt.
  bool clean() const {
    return replies.empty() && status == 'I' && !in_batch && !skipping && !copy_in && !ended_ && !broken;
  }

  const std::uint64_t id;
  const io::Address address;
  const std::string host;
  const std::uint32_t process_id;
  const std::string cancel_key;
  const std::string tls;

  pgwire::FrameScanner scanner;
  ReplyQueue replies;
  char status = 'I';
  bool copy_in = false;   // the server reads CopyData
  bool in_batch = false;  // extended-protocol messages have been sent and no Sync behind them
  bool skipping = false;  // an error was reported: the server ignores everything up to the next Sync
  // Syncs that the server reads, and ignores, with the CopyData: unless the COPY fails before. Then they are answered.
  std::size_t ignored_syncs = 0;
  bool was_reset = false;          // since connect_query was run
  bool broken = false;             // state in doubt: close instead of reuse
  bool close_when_free = false;    // lifetime over, host changed, reconnect asked
  unsigned cancels_under_way = 0;  // it must not change hands before these are answered
  SettingsPtr settings;
  SettingsPtr settings_at_login;
  PreparedSet prepared;
  std::uint64_t unnamed_of = 0;    // whose unnamed statement the server has; 0: nobody's, or in doubt
  bool unnamed_is_certain = true;  // what made it so cannot be skipped because of an error before it
  base::TimePoint created_at;
  base::TimePoint released_at;

 private:
  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error* error) override;
  void on_drained() override;
  void drop_failed_batch();
  void begin_copy();
  void note_error(base::ByteView body);
  pgwire::CommandTag note_command(base::ByteView body, bool cleans, SettingsTable& settings_table);
  std::int64_t now_ns() const;

  const std::shared_ptr<Schema> schema_;
  std::int64_t schema_changed_at_ = 0;  // in the transaction under way, by this session itself
  io::StreamPtr stream_;
  UpstreamUser* user_ = nullptr;
  std::vector<io::Chunk> early_;  // received before the first user came
  bool ended_ = false;
};

}  // namespace penstock::upstream
