// Session: our side of one client: log-in, then relaying between the client and whatever upstream it has.
//
//   state        event                      next
//   kLogin       log-in done                kIdle, kMoving, or gone
//   kMoving      greeting sent              gone; goes on as kIdle on another worker (placement.h)
//   kIdle        first message is here      kWaiting
//   kWaiting     upstream granted           kActive
//                refused, timeout           gone (the client is told why)
//                cancel                     kRefusing
//   kActive      nothing outstanding and I  kIdle (transaction mode: the upstream goes back)
//   kRefusing    Sync or Query answered     kIdle
//   any          client or upstream ends    gone
//
// Owner:      the Worker's list; destroyed at the end of the turn in which it ended.
// Home:       LOOP
// Invariants: 1. It has an upstream exactly in kActive; then settings_ and the upstream's are the same set.
//             2. It has an exchange in all states but kLogin and kIdle; in kIdle when there is something in it.
//             3. A client's bytes go to its own upstream only; an upstream's bytes to the client that asked.
// Waits:      every state but kLogin, which has its own, ends at the times that are configured (session_time.cc).
// Bounds:     each direction's unsent bytes: io::kUnsentHigh and one receive buffer.
// See:        docs/internals/relay.md
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/task.h"
#include "pool/pool.h"
#include "session/client_statements.h"
#include "session/exchange.h"
#include "session/identity.h"
#include "session/pass_through.h"
#include "session/session_home.h"
#include "session/traveller.h"

namespace penstock::session {

// How the client came in.
struct Entrance {
  std::optional<model::PoolMode> pool_mode;  // forced by the listener
};

class Login;

class Session final : private io::StreamSink, private upstream::UpstreamUser, private pool::Waiter {
 public:
  Session(SessionHome& home, std::uint64_t id);
  ~Session();
  Session(const Session&) = delete;

  std::uint64_t id() const { return id_; }
  void start(io::StreamPtr client, Entrance entrance);
  // Instead of start(): it has logged in on another worker.
  void arrive(Traveller& traveller);

  // Another connection asks to cancel what runs; `done` when it has been seen to.
  void cancel(std::move_only_function<void()> done);
  // Ends the session with 57P01: when its transaction is over, or now.
  void drain();
  void end_now(const base::Error& why);
  // Its tenant has changed or gone.
  const Identity& identity() const { return *identity_; }
  const pool::Pool* pool() const { return pool_.get(); }
  bool logged_in() const { return state_ != State::kLogin; }
  // For people who look: "idle", "waiting", "active", …
  std::string_view state_word() const;
  std::string address() const;

  // An error's text for our log: what a server said is told apart from what we say ourselves.
  static std::string text_for_log(const base::Error& error);

 private:
  friend class Login;
  static constexpr std::string_view kAllSettings = "*";
  enum class State : std::uint8_t { kLogin, kMoving, kIdle, kWaiting, kActive, kRefusing, kGone };

  // --- life (session.cc) ---
  void login_done();
  void begin();
  void become_idle();
  void need_exchange();
  void move_to(unsigned worker);
  void depart();
  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error* error) override;
  void on_drained() override;
  void on_granted(upstream::Upstream& upstream) override;
  void on_refused(const base::Error& error) override;
  void correct_greeting(upstream::Upstream& upstream);
  void hold(io::Chunk bytes);
  void resume_client();
  void resume_client_if_room();
  bool first_message_is_here() const;
  bool is_asking() const {
    return exchange_ != nullptr && !exchange_->held.empty() && first_message_is_here();
  }
  base::TimePoint may_part_at() const;
  void part();
  bool is_in_message() const;
  void want_upstream();
  void let_go();
  void tell_and_end(const base::Error& error);
  void client_terminated();
  void end(std::string_view reason);
  void go_on_cancelling();
  bool is_querying() const;
  bool is_in_transaction() const;  // a query on its own is one, too
  base::TimePoint next_deadline() const;
  void plan_timer();
  void on_timer();
  base::TimePoint quiet_since() const;
  void send_heartbeat();

  void count(telemetry::PoolCount what, std::uint64_t number = 1) {
    pool_->counters().counts[what].add(number);
  }
  std::chrono::milliseconds slow_limit() const;
  SlowWatch* slow_watch();
  void count_rows(base::ByteView body);
  void note_if_slow();
  void count_answer(const pgwire::FrameScanner::Event& event, const upstream::Upstream::Tracked& tracked);

  // --- limits per second (session_pace.cc) ---
  bool admit_request();
  void owe(int queries, std::size_t bytes);
  void hold_back();
  void speed_up();
  void on_slow_timer();
  void wait_for_request();

  // --- from the client (client_side.cc) ---
  void forward(const io::Chunk& chunk);
  void relay(const io::Chunk& chunk);
  base::Status on_client_event(const pgwire::FrameScanner::Event& event, PassThrough& run);
  void on_query(const pgwire::FrameScanner::Event& event, PassThrough& run);
  bool on_deallocate(std::string_view text);
  bool on_parse_deallocate(base::ByteView definition, PassThrough& run);
  base::Status on_parse(const pgwire::FrameScanner::Event& event, PassThrough& run);
  void parse_named(std::string_view name, base::ByteView definition, const pgwire::FrameScanner::Event& event,
                   PassThrough& run);
  base::Status on_bind(const pgwire::FrameScanner::Event& event, PassThrough& run);
  base::Status on_describe(const pgwire::FrameScanner::Event& event, PassThrough& run);
  base::Status on_close(const pgwire::FrameScanner::Event& event, PassThrough& run);
  void prepare_upstream(const upstream::StatementPtr& statement, PassThrough& run);
  upstream::StatementPtr find_statement(std::string_view name);
  void make_room_for(const upstream::StatementPtr& statement, upstream::Upstream::Prepared prepared,
                     base::ByteWriter& out);
  void prepare_unnamed(PassThrough& run);
  bool drop_unnamed();
  void push(upstream::Reply reply);
  void refuse_held();

  // --- what texts do to the server's session (session_state.cc) ---
  void look_for_state(std::string_view text);
  void look_at_long(std::string_view first);
  void look_on(std::string_view piece, bool last);
  void note_statement(const pgwire::SimpleStatement& statement);
  void note_meaning(const pgwire::SimpleStatement& statement, std::string_view text);
  std::uint64_t meaning_of(std::string_view text) const;
  std::uint64_t meaning_here() const;
  void note_reset(std::string name);
  void note_set_again(const std::string& name);
  void pin(std::string_view reason);

  // --- from the server (server_side.cc) ---
  void on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) override;
  void relay_answer(upstream::Upstream& upstream, const io::Chunk& bytes);
  void on_upstream_end(upstream::Upstream& upstream, const base::Error* error) override;
  void on_upstream_drained(upstream::Upstream& upstream) override;
  bool on_server_event(const pgwire::FrameScanner::Event& event, PassThrough& run);
  void answer_ours(PassThrough& run);
  void answer_deallocate(base::ByteWriter& out);
  std::string note_failed_names();
  void note_command(pgwire::CommandTag tag);
  void say_name_is_taken(const std::string& name, const pgwire::FrameScanner::Event& event, PassThrough& run);
  bool restore_start_settings();
  void on_ready();
  void await_client();

  SessionHome& home_;
  const std::uint64_t id_;
  const pgwire::FrameScanner::Policy& policy_;
  io::StreamPtr client_;
  State state_ = State::kLogin;
  bool client_paused_ : 1 = false;
  bool upstream_paused_ : 1 = false;
  bool draining_ : 1 = false;
  bool counted_ : 1 = false;      // as one of its pool's clients
  bool slowed_ : 1 = false;       // by a limit per second of its tenant (session_pace.cc)
  bool provisional_ : 1 = false;  // greeted before any server could be asked
  bool pinned_ : 1 = false;       // keeps its upstream although its mode is not session
  std::uint8_t moving_to_ = 0;    // kMoving: the worker
  std::uint32_t cancel_id_ = 0;   // 0: not registered
  std::unique_ptr<Login> login_;  // in kLogin
  IdentityPtr identity_;
  std::shared_ptr<pool::Pool> pool_;
  upstream::Upstream* upstream_ = nullptr;
  upstream::SettingsPtr settings_;
  upstream::SettingsPtr start_settings_;  // what RESET goes back to
  std::unique_ptr<ClientStatements> statements_;
  upstream::StatementPtr unnamed_;  // the unnamed statement, if it must survive the upstream
  pool::Reservation reservation_;   // among the clients
  base::TimePoint idle_since_{};
  std::unique_ptr<Exchange> exchange_;
};

}  // namespace penstock::session
