// The server's half of the relay: what of an upstream's answers the client gets to see, and when the upstream
// is free.
#include <algorithm>

#include "pgwire/constants.h"
#include "session/session.h"
#include "telemetry/log.h"

namespace penstock::session {

namespace reply = pgwire::reply;
using Event = pgwire::FrameScanner::Event;
using EventKind = pgwire::FrameScanner::Kind;
using upstream::Reply;

void Session::on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) {
  if (!pool_->is_metered()) return relay_answer(upstream, bytes);
  // Before: a client that is to wait does not get another upstream for its next request.
  owe(0, bytes.view().size());
  relay_answer(upstream, bytes);
  hold_back();
}

void Session::relay_answer(upstream::Upstream& upstream, const io::Chunk& bytes) {
  PassThrough run(*client_, bytes);
  count(telemetry::PoolCount::kBytesToClients, bytes.view().size());
  if (exchange_->slow_watch != nullptr) exchange_->slow_watch->bytes += bytes.view().size();
  upstream.scanner.feed(bytes.view());
  bool ready = false;
  for (Event event = upstream.scanner.next(); event.kind != EventKind::kMore;
       event = upstream.scanner.next()) {
    const bool surplus = upstream.replies.empty() && upstream.status == pgwire::kStatusIdle &&
                         identity_->mode != model::PoolMode::kSession && !pinned_;
    if (event.kind == EventKind::kBroken || !on_server_event(event, run)) {
      run.flush();
      // Answers that nobody has asked for: they reach nobody, and the connection goes; this client has all it
      // asked for.
      upstream.broken = true;
      if (surplus) return let_go();
      return tell_and_end({.sqlstate = base::kProtocolViolation,
                           .message = "the server sent something that is not valid in the Postgres protocol",
                           .detail = "Message type " + std::to_string(event.type) + "."});
    }
    if (state_ != State::kActive) return run.forget();
    ready |= event.type == reply::kReadyForQuery;
  }
  run.flush();
  if (client_->unsent() > io::kUnsentHigh && !upstream_paused_) {
    upstream_paused_ = true;
    upstream.stream().pause_receiving();
    client_->want_drained();
  }
  if (!ready) {
    if (upstream.replies.empty() && upstream.in_batch) await_client();
    return resume_client_if_room();
  }
  go_on_cancelling();
  on_ready();
}

// False: the server has left the protocol.
bool Session::on_server_event(const Event& event, PassThrough& run) {
  if (event.kind == EventKind::kPart && !event.first) {
    if (exchange_->server_part_visible) run.pass(event);
    if (event.last) answer_ours(run);
    return true;
  }
  upstream::Upstream& upstream = *upstream_;
  answer_ours(run);
  const bool names = !upstream.replies.empty() && upstream.replies.front().names_statement;
  const bool was_unnamed = !upstream.replies.empty() && upstream.replies.front().is_unnamed;
  const bool is_taken = !upstream.replies.empty() && upstream.replies.front().is_taken;
  std::string taken_name;
  if (event.type == reply::kErrorResponse) taken_name = note_failed_names();
  const auto tracked = upstream.track(event, home_.settings_table);
  if (!tracked) return false;
  if (event.type == reply::kParseComplete && names) statements_->confirm_one();
  if (event.type == reply::kParseComplete && is_taken) {
    exchange_->taken_names.erase(exchange_->taken_names.begin());
  }
  const bool is_done =
      event.type == reply::kParseComplete || event.type == reply::kCloseComplete || tracked->ready;
  if (was_unnamed && is_done) {
    --exchange_->unnamed_pending;
    exchange_->unnamed_before.reset();
  }
  if (event.type == reply::kCommandComplete && tracked->visible) {
    note_command(tracked->tag);
    if (exchange_->slow_watch != nullptr) count_rows(event.body());
  }
  if (tracked->failed) {
    run.flush();
    upstream.broken = true;
    tell_and_end(
        {.sqlstate = base::kInvalidParameterValue,
         .message = "the server refused a setting of this session",
         .hint = "See the server's log; a value that was accepted before may no longer be allowed."});
    return true;
  }
  if (tracked->ready && identity_->mode == model::PoolMode::kStatement &&
      upstream.status != pgwire::kStatusIdle) {
    run.flush();
    upstream.broken = true;
    tell_and_end({.sqlstate = base::kFeatureNotSupported,
                  .message = "transaction blocks not allowed in statement pooling mode"});
    return true;
  }
  if (tracked->ready && tracked->visible && (exchange_->reset_done || !exchange_->resets.empty()) &&
      restore_start_settings())
    return true;
  if (tracked->visible) count_answer(event, *tracked);
  if (event.type == reply::kErrorResponse) exchange_->reset_undone = true;
  exchange_->server_part_visible = tracked->visible;
  if (!taken_name.empty()) {
    say_name_is_taken(taken_name, event, run);
  } else if (tracked->visible) {
    run.pass(event);
  }
  if (tracked->ready) settings_ = upstream.settings;
  // Now: the server may have nothing more to say.
  if (event.kind == EventKind::kMessage || event.last) answer_ours(run);
  return true;
}

void Session::count_answer(const Event& event, const upstream::Upstream::Tracked& tracked) {
  if (event.type == reply::kErrorResponse) {
    // Severity stands first, the SQLSTATE soon behind it.
    std::string_view fields = base::as_text(event.body());
    while (!fields.empty() && fields.front() != 'C' && fields.front() != '\0') {
      fields.remove_prefix(std::min(fields.find('\0'), fields.size() - 1) + 1);
    }
    const std::string_view sqlstate = fields.empty() ? fields : fields.substr(1, 5);
    pool_->counters().errors[telemetry::error_class_of(sqlstate)].add();
  }
  if (!tracked.ready) return;
  count(telemetry::PoolCount::kQueries);
  pool_->counters().query.record(home_.loop.now() - exchange_->request_since);
  if (upstream_->status == pgwire::kStatusIdle) {
    count(telemetry::PoolCount::kTransactions);
    exchange_->transaction_since = home_.loop.now();
  }
  if (exchange_->slow_watch != nullptr) note_if_slow();
  // Of a pipeline, the server begins with the next one now.
  exchange_->request_since = home_.loop.now();
}

// State that cannot be carried to another upstream keeps the client on this one.
void Session::note_command(pgwire::CommandTag tag) {
  using pgwire::CommandTag;
  switch (tag) {
    case CommandTag::kDeallocateAll:
      if (statements_ != nullptr) statements_->clear();
      return;
    case CommandTag::kDiscardAll:
      if (statements_ != nullptr) statements_->clear();
      // What has been sent behind it may pin the client anew.
      pinned_ = pinned_ && upstream_->replies.size() > 1;
      exchange_->reset_done = true;
      exchange_->reset_undone = false;
      return;
    case CommandTag::kReset:
      exchange_->reset_done = true;
      exchange_->reset_undone = false;
      return;
    case CommandTag::kRollback:
      exchange_->reset_undone = true;
      return;
    case CommandTag::kPrepare:
      return pin("PREPARE");
    case CommandTag::kListen:
      return pin("LISTEN");
    case CommandTag::kLoad:
      return pin("LOAD");
    default:
      return;
  }
}

// The client has RESET settings: the server went back to its own defaults, but the client expects what it
// started with. True: the server is being told, and its next ReadyForQuery ends the client's request.
bool Session::restore_start_settings() {
  upstream::Upstream& upstream = *upstream_;
  if (!upstream.replies.empty()) return false;  // more requests are under way: after the last of them
  if (upstream.status == pgwire::kStatusFailed) return false;  // when it is known what comes of it
  const std::vector<std::string> names = std::exchange(exchange_->resets, {});
  const std::vector<std::string> set_again = std::exchange(exchange_->set_again, {});
  if (!std::exchange(exchange_->reset_done, false)) return false;
  // Without a name it was parsed long before.
  const bool all = names.empty() || std::ranges::find(names, kAllSettings) != names.end();
  const bool own_are_lost = pinned_ && (exchange_->reset_undone || names.empty());
  upstream::Settings::Values now = upstream.settings->values();
  upstream::Settings::Values wanted = now;
  for (const auto& [name, value] : start_settings_->values()) {
    const auto same = [&](const std::string& other) { return upstream::same_name(other, name); };
    const std::string* of_server = upstream.settings_at_login->find(name);
    if (of_server != nullptr && *of_server == value) continue;
    if (!all && std::ranges::none_of(names, same)) continue;
    if (of_server != nullptr) {
      const std::string* is = upstream.settings->find(name);
      if (is != nullptr && *is != *of_server) continue;  // set again since, or rolled back
    } else if (own_are_lost || std::ranges::any_of(set_again, same)) {
      continue;  // what the client itself has set there since it was pinned nobody else knows
    }
    // Where the server does not report it, it is as if it had never been set.
    if (of_server == nullptr) std::erase_if(now, [&](const auto& entry) { return same(entry.first); });
    std::erase_if(wanted, [&](const auto& entry) { return same(entry.first); });
    wanted.emplace_back(name, value);
  }
  const auto current = home_.settings_table.intern(std::move(now));
  const auto target = home_.settings_table.intern(std::move(wanted));
  if (current == target) return false;
  upstream.settings = current;
  upstream.adopt_settings(target);
  upstream.replies.back().ends_request = true;
  return true;
}

// The server has refused a Parse under our name: the client gave it another one.
void Session::say_name_is_taken(const std::string& name, const Event& event, PassThrough& run) {
  auto error = pgwire::parse_error(event.body());
  const bool rename = error && error->error.sqlstate == base::kDuplicatePreparedStatement;
  if (!rename) return run.pass(event);
  error->error.message = "prepared statement \"" + name + "\" already exists";
  base::ByteWriter out;
  pgwire::error_response(out, error->error, error->severity);
  run.insert(out.view());
}

// Answers of our own whose turn has come.
void Session::answer_ours(PassThrough& run) {
  upstream::ReplyQueue& replies = upstream_->replies;
  if (replies.empty() || !replies.front().is_ours()) return;
  base::ByteWriter out;
  while (!replies.empty() && replies.front().is_ours()) {
    const Reply& ours = replies.front();
    switch (ours.kind) {
      case Reply::Kind::kOurParse:
        if (ours.names_statement) statements_->confirm_one();
        pgwire::parse_complete(out);
        break;
      case Reply::Kind::kOurClose:
        if (ours.names_statement) statements_->confirm_one();
        pgwire::close_complete(out);
        break;
      default:
        answer_deallocate(out);
        break;
    }
    replies.pop();
  }
  run.insert(out.view());
}

void Session::answer_deallocate(base::ByteWriter& out) {
  if (exchange_->slow_watch != nullptr) (void)exchange_->slow_watch->answered();
  if (upstream_->status == pgwire::kStatusFailed) {
    // What was sent before it has failed meanwhile.
    statements_->undo(1);
    pgwire::error_response(
        out, {.sqlstate = base::kInFailedTransaction,
              .message = "current transaction is aborted, commands ignored until end of transaction block"});
  } else {
    statements_->confirm_one();
    pgwire::command_complete(out, "DEALLOCATE");
  }
  pgwire::ready_for_query(out, upstream_->status);
}

// An error in a batch: the names given in the rest of the batch were never given. Returns the name that the client
// has given twice, if that is the error.
std::string Session::note_failed_names() {
  upstream::ReplyQueue& replies = upstream_->replies;
  if (replies.empty() || replies.front().kind == Reply::Kind::kQuery) return {};
  std::size_t skipped = 0;
  std::ptrdiff_t taken = 0;
  int unnamed = 0;
  for (std::size_t i = 0; i < replies.size() && replies.at(i).kind != Reply::Kind::kSync; ++i) {
    if (replies.at(i).names_statement) ++skipped;
    if (replies.at(i).is_taken) ++taken;
    if (replies.at(i).is_unnamed) ++unnamed;
  }
  if (skipped > 0) statements_->undo(skipped);
  auto& names = exchange_->taken_names;
  std::string taken_name = replies.front().is_taken ? names.front() : std::string();
  names.erase(names.begin(), names.begin() + taken);
  if (unnamed == 0) return taken_name;
  // A Parse that fails leaves no unnamed statement; one that is skipped leaves what was there.
  const bool has_failed = replies.front().is_unnamed && replies.front().kind == Reply::Kind::kParse;
  exchange_->unnamed_pending -= unnamed;
  if (exchange_->unnamed_pending == 0) unnamed_ = has_failed ? nullptr : exchange_->unnamed_before;
  return taken_name;
}

// The server is ready and all has been passed on.
void Session::on_ready() {
  upstream::Upstream& upstream = *upstream_;
  // A message that has been sent on in part is the server's until its end.
  if (!upstream.replies.empty() || upstream.in_batch || is_in_message()) {
    if (upstream.replies.empty()) await_client();
    return resume_client_if_room();
  }
  resume_client();
  exchange_->meaning.in_doubt = false;
  if (upstream.status == pgwire::kStatusIdle) {
    exchange_->meaning = {};
    exchange_->transaction_since = home_.loop.now();
    const bool keeps = identity_->mode == model::PoolMode::kSession || pinned_;
    if (!keeps || draining_) return let_go();
  }
  await_client();
}

// The server has nothing to do before the client goes on.
void Session::await_client() {
  exchange_->idle_transaction_since = home_.loop.now();
  plan_timer();
}

void Session::on_upstream_end(upstream::Upstream& upstream, const base::Error* error) {
  telemetry::log::warning(
      "server.lost", {{"client", id_}, {"server", upstream.id}},
      error == nullptr ? "the server closed the connection" : std::string_view(error->message));
  // It has said why itself, and the client has heard it.
  if (upstream.broken) return end("the server closed the connection");
  tell_and_end(
      {.sqlstate = base::kConnectionFailure,
       .message = "server closed the connection unexpectedly",
       .detail =
           "This probably means the server terminated abnormally before or while processing the request."});
}

void Session::on_upstream_drained(upstream::Upstream&) {
  resume_client_if_room();
}

}  // namespace penstock::session
