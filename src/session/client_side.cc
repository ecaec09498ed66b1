// The client's half of the relay: what each message from the client means for the upstream it goes to.
#include "pgwire/constants.h"
#include "pgwire/frontend.h"
#include "pgwire/sql_text.h"
#include "session/session.h"

namespace penstock::session {

namespace msg = pgwire::msg;
using Event = pgwire::FrameScanner::Event;
using EventKind = pgwire::FrameScanner::Kind;
using upstream::Reply;
using upstream::Upstream;

namespace {

// The zero-terminated text at the start of `bytes`; empty optional: its end is not here.
std::optional<std::string_view> first_text(base::ByteView bytes) {
  const auto* end = static_cast<const std::uint8_t*>(std::memchr(bytes.data(), 0, bytes.size()));
  if (end == nullptr) return std::nullopt;
  return base::as_text(bytes.first(static_cast<std::size_t>(end - bytes.data())));
}

base::Error protocol_error(std::string message) {
  return {.sqlstate = base::kProtocolViolation, .message = std::move(message)};
}

}  // namespace

void Session::forward(const io::Chunk& chunk) {
  relay(chunk);
  if (!pool_->is_metered() || state_ == State::kGone) return;
  int queries = 0;
  if (exchange_ != nullptr && exchange_->requests > 0) queries = std::exchange(exchange_->requests, 0);
  owe(queries, chunk.view().size());
  hold_back();
}

void Session::relay(const io::Chunk& chunk) {
  count(telemetry::PoolCount::kBytesFromClients, chunk.view().size());
  PassThrough run(upstream_->stream(), chunk);
  exchange_->scanner.feed(chunk.view());
  for (Event event = exchange_->scanner.next(); event.kind != EventKind::kMore;
       event = exchange_->scanner.next()) {
    if (event.kind == EventKind::kBroken) {
      run.flush();
      return tell_and_end(protocol_error("invalid message length"));
    }
    if (auto status = on_client_event(event, run); !status) {
      run.flush();  // what came before it is the upstream's already, as far as its replies are expected
      return tell_and_end(status.error());
    }
    if (state_ != State::kActive) return run.forget();
  }
  run.flush();
  const bool upstream_is_full =
      upstream_->stream().unsent() > io::kUnsentHigh || upstream_->replies.size() > upstream::kReplyQueueHigh;
  // Answers of our own that it does not read.
  const bool client_is_full = client_->unsent() > io::kUnsentHigh;
  if ((upstream_is_full || client_is_full) && !client_paused_) {
    client_paused_ = true;
    client_->pause_receiving();
    (client_is_full ? *client_ : upstream_->stream()).want_drained();
  }
  // All was answered here, or only a part of a message has come.
  if (upstream_->replies.empty()) on_ready();
}

void Session::push(Reply reply) {
  const bool begins_transaction =
      upstream_->replies.empty() && upstream_->status == pgwire::kStatusIdle && !upstream_->in_batch;
  if (!reply.ends_with_ready()) {
    upstream_->in_batch = true;
  } else {
    if (reply.visible && exchange_->slow_watch != nullptr) exchange_->slow_watch->close();
    if (pool_->is_metered()) ++exchange_->requests;
  }
  if (upstream_->replies.empty()) {
    exchange_->request_since = home_.loop.now();
    // Who keeps its server may have been silent for long.
    if (begins_transaction) exchange_->transaction_since = exchange_->request_since;
    upstream_->replies.push(std::move(reply));
    return plan_timer();
  }
  upstream_->replies.push(std::move(reply));
}

// An error ends the session; a Terminate has ended it.
base::Status Session::on_client_event(const Event& event, PassThrough& run) {
  if (event.kind == EventKind::kPart && !event.first) {
    if (exchange_->slow_watch != nullptr) exchange_->slow_watch->more(base::as_text(event.bytes), event.last);
    if (exchange_->long_text != nullptr) look_on(base::as_text(event.bytes), event.last);
    if (!exchange_->dropping) run.pass(event);
    return {};
  }
  exchange_->dropping = false;
  if (upstream_->skipping && event.type != msg::kSync && event.type != msg::kTerminate) {
    // The server would read this and ignore it.
    exchange_->dropping = true;
    return {};
  }
  switch (event.type) {
    case msg::kQuery:
      on_query(event, run);
      return {};
    case msg::kParse:
      return on_parse(event, run);
    case msg::kBind:
      return on_bind(event, run);
    case msg::kDescribe:
      return on_describe(event, run);
    case msg::kClose:
      return on_close(event, run);
    case msg::kExecute:
      if (SlowWatch* watch = slow_watch()) watch->executed();
      push({.kind = Reply::Kind::kExecute});
      break;
    case msg::kSync:
      if (upstream_->copy_in) {
        ++upstream_->ignored_syncs;
      } else {
        push({.kind = Reply::Kind::kSync});
        upstream_->end_batch();
      }
      break;
    case msg::kFlush: {
      run.pass(event);
      // Answers of our own that nothing of the server's stands before are due now.
      const io::Chunk nothing;
      PassThrough to_client(*client_, nothing);
      answer_ours(to_client);
      return {};
    }
    case msg::kFunctionCall:
      push({.kind = Reply::Kind::kQuery});
      break;
    case msg::kCopyDone:
    case msg::kCopyFail:
      upstream_->end_copy();
      break;
    case msg::kCopyData:
      break;
    case msg::kTerminate:
      run.flush();
      client_terminated();
      return {};
    default:
      return std::unexpected(protocol_error("invalid frontend message type " + std::to_string(event.type)));
  }
  run.pass(event);
  return {};
}

void Session::on_query(const Event& event, PassThrough& run) {
  if (event.kind == EventKind::kMessage) {
    const auto text = pgwire::parse_query(event.body());
    if (text && statements_ != nullptr && on_deallocate(*text)) return;
    if (text) look_for_state(*text);
  } else {
    look_at_long(base::as_text(event.body()));
  }
  upstream_->unnamed_of = 0;
  // PostgreSQL 18.4 forgets to end the transaction of a batch that has a Query in it: the next command fails, whosever.
  if (upstream_->in_batch) upstream_->close_when_free = true;
  if (SlowWatch* watch = slow_watch()) {
    watch->queried(base::as_text(event.body()), event.kind == EventKind::kMessage);
  }
  push({.kind = Reply::Kind::kQuery, .is_unnamed = drop_unnamed()});
  run.pass(event);
}

// DEALLOCATE of a name that the client has prepared through the protocol: the upstream's statement is shared
// and stays.
bool Session::on_deallocate(std::string_view text) {
  const auto statement = pgwire::classify_simple(text);
  if (statement.kind != pgwire::StatementKind::kDeallocate || statement.multiple()) return false;
  // In a failed transaction it is the server that must refuse.
  if (upstream_->status == pgwire::kStatusFailed && upstream_->replies.empty()) return false;
  const std::string name = pgwire::identifier(statement.name);
  if (statements_->find(name) == nullptr) return false;
  statements_->close(name);
  push({.kind = Reply::Kind::kOurDeallocate, .names_statement = true});
  if (upstream_->replies.size() == 1) {
    const io::Chunk nothing;
    PassThrough to_client(*client_, nothing);
    answer_ours(to_client);
  }
  return true;
}

// DEALLOCATE by the extended protocol: the upstream's own statement goes, and comes back when somebody needs
// it.
bool Session::on_parse_deallocate(base::ByteView definition, PassThrough& run) {
  const auto text = first_text(definition);
  if (!text.has_value()) return false;
  const auto command = pgwire::classify_simple(*text);
  if (command.kind != pgwire::StatementKind::kDeallocate || command.multiple()) return false;
  const std::string name = pgwire::identifier(command.name);
  const upstream::StatementPtr statement = statements_->find(name);
  if (statement == nullptr) return false;
  prepare_upstream(statement, run);
  upstream_->prepared.doubt(statement);
  statements_->remove(name);
  upstream_->replace_unnamed(id_);
  unnamed_.reset();
  base::ByteWriter out;
  pgwire::parse(out, "", "DEALLOCATE \"" + statement->name + "\"");
  push({.kind = Reply::Kind::kParse});
  run.insert(out.view());
  return true;
}

base::Status Session::on_parse(const Event& event, PassThrough& run) {
  const auto name = first_text(event.body());
  if (!name.has_value()) return std::unexpected(protocol_error("invalid string in message"));
  const bool whole = event.kind == EventKind::kMessage;
  const base::ByteView definition = event.body().subspan(name->size() + 1);
  if (whole) {
    if (const auto text = first_text(definition)) look_for_state(*text);
  } else {
    look_at_long(base::as_text(definition));
  }
  const bool translated = identity_->mode != model::PoolMode::kSession;
  if (SlowWatch* watch = slow_watch()) {
    if (!translated && whole && !name->empty()) {
      watch->parsed(*name, home_.statement_table.intern(definition));
    } else {
      watch->parsed(base::as_text(definition));
    }
  }
  if (translated && whole && !name->empty()) {
    parse_named(*name, definition, event, run);
    return {};
  }
  if (translated && whole && statements_ != nullptr && on_parse_deallocate(definition, run)) return {};
  if (name->empty()) {
    upstream_->replace_unnamed(id_);
    (void)drop_unnamed();
    // A statement parsed alone may be bound in a later transaction, on another upstream; one that is bound at
    // once need not be remembered.
    const bool alone = exchange_->scanner.next_type() != msg::kBind;
    if (translated && whole && (alone || !upstream_->unnamed_is_certain))
      unnamed_ = home_.statement_table.intern(definition);
  } else if (translated) {
    // Too large to be kept here and sent to other upstreams: the client stays where its statement is.
    pin("large prepared statement");
  }
  push({.kind = Reply::Kind::kParse, .is_unnamed = name->empty()});
  run.pass(event);
  return {};
}

void Session::parse_named(std::string_view name, base::ByteView definition, const Event& event,
                          PassThrough& run) {
  if (statements_ == nullptr) statements_ = std::make_unique<ClientStatements>();
  const upstream::StatementPtr known = statements_->find(name);
  const bool refused = known != nullptr || statements_->full();
  const upstream::StatementPtr statement =
      known != nullptr ? known
                       : home_.statement_table.intern(definition, meaning_of(base::as_text(definition)));
  base::ByteWriter out;
  if (refused) {
    // The server says that the name is taken, in its own words: it has it under ours.
    prepare_upstream(statement, run);
    exchange_->taken_names.emplace_back(name);
    push({.kind = Reply::Kind::kParse, .is_taken = true});
  } else {
    statements_->add(name, statement);
    auto prepared = upstream_->is_prepared(*statement, true);
    // In a failed transaction it is the server that must refuse.
    if (prepared == Upstream::Prepared::kYes && upstream_->status != pgwire::kStatusFailed) {
      upstream_->prepared.touch(*statement);
      return push({.kind = Reply::Kind::kOurParse, .names_statement = true});
    }
    if (prepared == Upstream::Prepared::kYes) prepared = Upstream::Prepared::kOutdated;
    make_room_for(statement, prepared, out);
    push({.kind = Reply::Kind::kParse, .names_statement = true, .statement = statement});
  }
  pgwire::parse_header(out, statement->name, definition.size());
  run.insert(out.view());
  run.pass(definition, event.in_chunk);
}

// What a name of the client's stands for here. If the text has come to mean something else since, and must be parsed
// anew, it becomes another statement: those who share the old one must not find this under its name.
upstream::StatementPtr Session::find_statement(std::string_view name) {
  if (statements_ == nullptr || name.empty()) return nullptr;
  upstream::StatementPtr statement = statements_->find(name);
  if (statement == nullptr || statement->meaning == id_) return statement;
  if (statement->meaning == meaning_here()) return statement;
  if (upstream_->is_prepared(*statement, false) == Upstream::Prepared::kYes) return statement;
  statement =
      home_.statement_table.intern(base::as_bytes(statement->definition), meaning_of(statement->text()));
  statements_->replace(name, statement);
  return statement;
}

// Closes what stands in the way of preparing `statement`: an outdated one of that name, the least recently
// used one; and counts it as prepared.
void Session::make_room_for(const upstream::StatementPtr& statement, Upstream::Prepared prepared,
                            base::ByteWriter& out) {
  const auto close = [&](const upstream::StatementPtr& closed) {
    pgwire::close(out, pgwire::kStatement, closed->name);
    push({.kind = Reply::Kind::kClose, .visible = false, .statement = closed});
  };
  if (prepared == Upstream::Prepared::kOutdated) close(statement);
  upstream_->prepared.insert(statement, home_.loop.now().time_since_epoch().count());
  while (const upstream::StatementPtr evicted = upstream_->prepared.evict(pool_->config().prepared_max)) {
    close(evicted);
  }
}

// Sees to it that the upstream knows the statement when the next message arrives there.
void Session::prepare_upstream(const upstream::StatementPtr& statement, PassThrough& run) {
  const auto prepared = upstream_->is_prepared(*statement, false);
  const bool is_there = prepared == Upstream::Prepared::kYes;
  count(is_there ? telemetry::PoolCount::kPreparedHits : telemetry::PoolCount::kPreparedMisses);
  if (is_there) return upstream_->prepared.touch(*statement);
  base::ByteWriter out;
  make_room_for(statement, prepared, out);
  pgwire::parse_header(out, statement->name, statement->definition.size());
  out.raw(std::string_view(statement->definition));
  push({.kind = Reply::Kind::kParse, .visible = false, .statement = statement});
  run.insert(out.view());
}

// The same for the unnamed statement, which may have been parsed on another upstream.
void Session::prepare_unnamed(PassThrough& run) {
  if (upstream_->unnamed_of == id_) return;
  upstream_->replace_unnamed(id_);
  base::ByteWriter out;
  if (unnamed_ != nullptr) {
    pgwire::parse_header(out, "", unnamed_->definition.size());
    out.raw(std::string_view(unnamed_->definition));
    push({.kind = Reply::Kind::kParse, .visible = false});
  } else {
    // Another client's statement must not answer: without one the server says that there is none.
    pgwire::close(out, pgwire::kStatement, "");
    push({.kind = Reply::Kind::kClose, .visible = false});
  }
  run.insert(out.view());
}

// The client's message takes the unnamed statement away, unless it is skipped: then what it was before counts.
bool Session::drop_unnamed() {
  if (exchange_->unnamed_pending++ == 0) exchange_->unnamed_before = std::move(unnamed_);
  unnamed_.reset();
  return true;
}

base::Status Session::on_bind(const Event& event, PassThrough& run) {
  const std::size_t body_bytes = event.total - pgwire::kHeaderBytes;
  const auto prefix = pgwire::parse_bind_prefix(event.body(), body_bytes);
  if (!prefix || !prefix->has_value()) return std::unexpected(protocol_error("invalid Bind message"));
  const bool translated = identity_->mode != model::PoolMode::kSession;
  const upstream::StatementPtr statement = translated ? find_statement((*prefix)->statement) : nullptr;
  if (SlowWatch* watch = slow_watch()) {
    const bool is_remembered = (*prefix)->statement.empty() && unnamed_ != nullptr;
    watch->bound((*prefix)->statement, is_remembered ? unnamed_ : statement);
  }
  if (statement == nullptr) {
    if (translated && (*prefix)->statement.empty()) {
      prepare_unnamed(run);
      if (unnamed_ != nullptr && unnamed_->kind != pgwire::StatementKind::kOther)
        look_for_state(unnamed_->text());
    }
    push({.kind = Reply::Kind::kBind});
    run.pass(event);
    return {};
  }
  prepare_upstream(statement, run);
  if (statement->kind != pgwire::StatementKind::kOther) look_for_state(statement->text());
  base::ByteWriter out;
  const std::size_t offset = (*prefix)->rest_offset;
  pgwire::bind_header(out, (*prefix)->portal, statement->name, body_bytes - offset);
  push({.kind = Reply::Kind::kBind, .statement = statement});
  run.insert(out.view());
  run.pass(event.body().subspan(offset), event.in_chunk);
  return {};
}

base::Status Session::on_describe(const Event& event, PassThrough& run) {
  const auto describe = event.kind == EventKind::kMessage
                            ? pgwire::parse_describe(event.body())
                            : base::fail(protocol_error("invalid Describe message"));
  if (!describe) return std::unexpected(describe.error());
  const bool translated =
      identity_->mode != model::PoolMode::kSession && describe->kind == pgwire::kStatement;
  if (translated && describe->name.empty()) prepare_unnamed(run);
  const upstream::StatementPtr statement = translated ? find_statement(describe->name) : nullptr;
  if (statement == nullptr) {
    push({.kind = Reply::Kind::kDescribe});
    run.pass(event);
    return {};
  }
  prepare_upstream(statement, run);
  base::ByteWriter out;
  pgwire::describe(out, pgwire::kStatement, statement->name);
  push({.kind = Reply::Kind::kDescribe});
  run.insert(out.view());
  return {};
}

base::Status Session::on_close(const Event& event, PassThrough& run) {
  const auto close = event.kind == EventKind::kMessage ? pgwire::parse_close(event.body())
                                                       : base::fail(protocol_error("invalid Close message"));
  if (!close) return std::unexpected(close.error());
  const bool translated = identity_->mode != model::PoolMode::kSession && close->kind == pgwire::kStatement;
  // A pinned client may have statements that only its server knows: by PREPARE, or too large to be moved.
  const bool is_servers = pinned_ && (statements_ == nullptr || statements_->find(close->name) == nullptr);
  if (translated && !close->name.empty() && !is_servers) {
    // The upstream's statement is shared: only the client's name for it goes.
    if (statements_ != nullptr) statements_->close(close->name);
    push({.kind = Reply::Kind::kOurClose, .names_statement = statements_ != nullptr});
    return {};
  }
  const bool is_unnamed = translated && close->name.empty();
  if (is_unnamed) upstream_->unnamed_of = 0;  // there is none, or, if this is skipped, another client's
  push({.kind = Reply::Kind::kClose, .is_unnamed = is_unnamed && drop_unnamed()});
  run.pass(event);
  return {};
}

// The request that waited has been cancelled: it ends with an error, as the server would have ended it. Who has asked to
// be told at once (Flush) is.
void Session::refuse_held() {
  base::ByteWriter out;
  std::vector<io::Chunk> held;
  held.swap(exchange_->held);
  exchange_->held_bytes = 0;
  bool over = false;
  for (io::Chunk& chunk : held) {
    if (over) {
      hold(std::move(chunk));
      continue;
    }
    exchange_->scanner.feed(chunk.view());
    for (Event event = exchange_->scanner.next(); !over && event.kind != EventKind::kMore;
         event = exchange_->scanner.next()) {
      if (event.kind == EventKind::kBroken) return tell_and_end(protocol_error("invalid message length"));
      const bool last = event.kind == EventKind::kMessage || event.last;
      if (event.kind == EventKind::kMessage || event.first) {
        if (event.type == msg::kTerminate) return client_terminated();
      }
      const bool is_simple = event.type == msg::kQuery || event.type == msg::kFunctionCall;
      if (!last || (!is_simple && event.type != msg::kSync && event.type != msg::kFlush)) continue;
      if (exchange_->refusal_told && event.type != msg::kSync) continue;
      if (!std::exchange(exchange_->refusal_told, true)) {
        pgwire::error_response(
            out, {.sqlstate = base::kQueryCanceled, .message = "canceling statement due to user request"});
      }
      if (event.type == msg::kFlush) continue;
      over = true;
      exchange_->refusal_told = false;
      pgwire::ready_for_query(out, pgwire::kStatusIdle);
      // What follows is another request, and not cancelled.
      const base::ByteView rest = exchange_->scanner.take_rest();
      if (!rest.empty()) {
        hold(chunk.slice(static_cast<std::size_t>(rest.data() - chunk.data()), rest.size()));
      }
    }
  }
  client_->write(out.view());
  resume_client();
  if (!over) return plan_timer();
  become_idle();
}

}  // namespace penstock::session
