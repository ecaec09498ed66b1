// CannedSession is one connection to the canned server: it speaks Postgres's protocol and answers without a
// database.
//
// What it is strict about is what a pooler may get wrong: a Bind of a statement that was never parsed on this
// connection is an error 26000, transaction status is kept, errors skip to Sync, settings are reported when
// they change.
//
// Owner:      its connection in CannedThread, by value.
// Home:       LOOP
// Invariants: 1. While busy() (an answer is delayed, or being streamed) no further message is looked at.
// Waits:      wait_until_ns() says until when; advance() goes on.
// Errors:     to the client, as Postgres would; wants_close() afterwards where Postgres would close.
// Bounds:     an answer in memory is at most kStreamAbove plus one piece of kPieceBytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "canned_host.h"
#include "canned_login.h"
#include "canned_settings.h"
#include "canned_sql.h"
#include "wire.h"

namespace penstock::bench {

// Rows too many or too long to be written at once: each is head, `units` times unit, foot.
struct RowStream {
  std::string head;
  std::string unit;
  std::string foot;
  std::uint64_t units = 0;
  std::uint64_t rows = 0;
  std::uint64_t units_done = 0;
  std::string tail;  // after the last row
};

class CannedSession {
 public:
  CannedSession(CannedHost& host, std::uint32_t pid, std::uint32_t secret)
      : host_(host), login_(host, settings_, pid, secret), pid_(pid) {}

  // Answers go to host.out().
  void receive(std::string_view fresh);
  // Goes on after a wait, or when what was written has been sent.
  void advance();
  void cancel(std::uint32_t secret);
  void terminate();

  bool wants_close() const { return closing_; }
  // A streamed answer has more to come: call advance() when the socket takes more.
  bool has_more() const { return stream_.has_value(); }
  std::uint64_t wait_until_ns() const { return wait_until_ns_; }  // 0: not waiting
  std::size_t kept() const { return inbox_.kept(); }

 private:
  static constexpr std::size_t kStreamAbove = 64 * 1024;
  static constexpr std::size_t kPieceBytes = 256 * 1024;

  struct Statement {
    std::string text;
    Plan plan;  // views into text
  };
  using StatementPtr = std::shared_ptr<const Statement>;
  struct Portal {
    StatementPtr statement;
    std::vector<std::string> parameters;
    std::uint64_t rows_sent = 0;
  };
  using Values = std::span<const std::string>;
  enum class Readiness { kNow, kLater, kCancelled };

  bool busy() const {
    return wait_until_ns_ != 0 || stream_.has_value() || (!pending_sql_.empty() && !copying_in_);
  }
  Inbox::Verdict on_message(const Message& message);
  // Streams and runs what is pending; false while something has to be waited for.
  bool finish_work();

  // --- simple query ---
  Inbox::Verdict on_query(const Message& message);
  void run_simple(std::string_view sql);
  bool run_statement(std::string_view text);  // false: stop here, an error was sent or the rest has to wait
  void on_copy_message(const Message& message);

  // --- extended query ---
  Inbox::Verdict on_extended(const Message& message);
  void on_parse(Fields fields);
  void on_bind(Fields fields);
  void on_describe(Fields fields);
  Inbox::Verdict on_execute(Fields fields);
  void on_close(Fields fields);
  void on_sync();
  void store_statement(std::string_view name, std::string_view text);
  StatementPtr find_statement(std::string_view name);
  Portal* find_portal(std::string_view name);

  // --- answers ---
  // Whether the answer to this plan is due now, after its delay, or never because it was cancelled.
  Readiness readiness(const Plan& plan);
  // Everything that is neither a COPY nor a statement within a statement; false when an error was sent.
  bool execute(const Plan& plan, Values parameters, bool describe);
  bool execute_prepared(const Plan& plan, bool describe);
  void execute_transaction(const Plan& plan);
  void discard_all();
  void send_rows(const Plan& plan, Values parameters, std::uint64_t rows);
  void write_row(base::ByteWriter& out, const Plan& plan, Values parameters);
  std::string value_of(const Expression& expression, Values parameters);
  std::string corrupted(std::string value);
  bool produce();
  void describe_rows(const Plan& plan);
  void complete(std::string_view tag);
  void complete_rows(const Plan& plan, std::uint64_t rows);
  void ready();
  void fail(std::string_view sqlstate, std::string_view message);

  CannedHost& host_;
  CannedSettings settings_;
  CannedLogin login_;
  std::uint32_t pid_;
  Inbox inbox_;
  char status_ = 'I';
  bool closing_ = false;
  bool skip_to_sync_ = false;
  bool copying_in_ = false;
  std::uint64_t copied_lines_ = 0;
  bool waited_ = false;  // the delay of the message at hand is over
  bool cancelled_ = false;
  std::uint64_t wait_until_ns_ = 0;
  std::string pending_sql_;       // statements of a simple query that are still to run
  bool simple_answered_ = false;  // the simple query at hand held at least one statement
  std::optional<RowStream> stream_;
  StatementPtr unnamed_statement_;
  Portal unnamed_portal_;
  std::map<std::string, StatementPtr, std::less<>> statements_;
  std::map<std::string, Portal, std::less<>> portals_;
};

// ErrorResponse of the given severity ("ERROR", "FATAL").
void write_error(base::ByteWriter& out, std::string_view severity, std::string_view sqlstate,
                 std::string_view message);

}  // namespace penstock::bench
