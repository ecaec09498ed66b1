// SimBackend is one connection of a simulated Postgres: start-up, log-in, queries, COPY, cancel, as the
// manual says.
//
// Messages are handled one by one; while a statement "runs" (a timer) or the peer does not read, the rest
// waits.
//
// Owner:      SimPostgres.
// Home:       LOOP
// Invariants: every statement is told to the checkers before its answer leaves.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "auth/scram_server.h"
#include "io/loop.h"
#include "support/sim_sql.h"
#include "support/wire.h"

namespace penstock::sim {

class SimPostgres;

class SimBackend final : public io::StreamSink {
 public:
  SimBackend(SimPostgres& server, std::uint32_t pid, io::StreamPtr stream);
  ~SimBackend();
  void start() { stream_->set_sink(*this); }

  void terminate();
  void cancel(const std::string& key);
  void on_notify(std::uint32_t from_pid, const std::string& channel, const std::string& payload);

  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error* error) override;
  void on_drained() override { pump(); }

 private:
  enum class State : std::uint8_t { kStartup, kPassword, kReady, kCopyIn, kGone };
  struct Prepared {
    Sql sql;
  };
  struct Portal {
    Sql sql;
    std::string parameter;
    int rows_sent = 0;
  };
  // A statement under way that may take several turns.
  struct Running {
    Sql sql;
    std::optional<Token> token;
    std::string prefix;  // of the rows' values
    int rows_left = 0;   // until the statement ends
    int next_row = 1;
    int first_row = 1;
    int limit = 0;  // Execute: rows at most; 0: all
    bool portal_suspends = false;
    bool describe = false;  // simple query: RowDescription first
  };

  void pump();
  void handle(const Message& message);
  void on_startup(const Message& message);
  void on_password(const Message& message);
  void begin_login();
  void greet();
  void refuse(std::string_view sqlstate, std::string_view text);

  void on_query(const std::string& text);
  void next_of_query();
  void on_parse(Fields fields);
  void on_bind(Fields fields);
  void on_describe(Fields fields);
  void on_execute(Fields fields);
  void on_close(Fields fields);
  void on_sync();
  void begin_copy_in(const Running& running);
  void on_copy(const Message& message);

  void execute(Running running);
  void execute_at_once(const Running& running);
  void set_setting(const Sql& sql);
  void begin_transaction();
  void end_transaction(bool commit);
  void continue_rows();
  void finish_rows();
  void error(std::string_view sqlstate, std::string_view text);
  void ready();
  void die();
  void sleep(base::Duration time);
  void on_awake();
  void protocol_violation(const std::string& what);

  void send(std::string_view bytes) { out_ += bytes; }
  void flush();

  SimPostgres& server_;
  const std::uint32_t pid_;
  const std::string key_;
  io::StreamPtr stream_;
  Splitter splitter_{true};
  std::string out_;
  State state_ = State::kStartup;
  bool counted_ = false;  // by the limits
  std::string limit_name_;
  std::unique_ptr<auth::ScramServer> scram_;

  char transaction_ = 'I';
  bool extended_open_ = false;  // messages since the last Sync
  bool skipping_ = false;       // to Sync, after an error
  bool executed_ = false;       // something since the last Sync
  bool in_query_ = false;       // a simple Query's statements
  std::vector<Sql> query_;
  std::size_t query_at_ = 0;
  std::map<std::string, Prepared> prepared_;
  std::map<std::string, Portal> portals_;
  std::map<std::string, std::string> settings_;
  std::string startup_application_name_;
  std::map<std::string, std::string> settings_at_begin_;
  std::set<std::string> channels_;
  std::string pending_notifications_;
  std::optional<Running> copying_in_;
  int copied_ = 0;

  std::optional<Running> running_;
  bool sleeping_ = false;
  bool cancelled_ = false;
  io::Timer timer_ = io::Timer::calling<&SimBackend::on_awake>(this);
};

}  // namespace penstock::sim
