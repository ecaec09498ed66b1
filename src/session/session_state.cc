// What a client's texts do to the session of the server, and what follows from that.
#include <algorithm>

#include "pgwire/sql_text.h"
#include "session/session.h"
#include "telemetry/log.h"

namespace penstock::session {

// What a text will do to the server's session, as far as its words tell. Settings that the server
// reports are carried over; others keep the client where it has made them.
void Session::look_for_state(std::string_view text) {
  while (!text.empty()) {
    const auto statement = pgwire::classify_simple(text);
    note_statement(statement);
    note_meaning(statement, text.substr(0, text.size() - statement.rest.size()));
    text = statement.rest;
  }
}

// The same for a text that passes in parts and is not kept: its first part, and those that follow.
void Session::look_at_long(std::string_view first) {
  exchange_->long_text = std::make_unique<pgwire::SqlWalk>();
  look_on(first, false);
}

void Session::look_on(std::string_view piece, bool last) {
  pgwire::SqlWalk& text = *exchange_->long_text;
  while (!piece.empty()) {
    piece.remove_prefix(text.feed(piece));
    if (!text.at_end()) continue;
    note_statement(text.statement());
    note_meaning(text.statement(), {});
    text.start_next();
  }
  if (!last) return;
  note_statement(text.statement());
  note_meaning(text.statement(), {});
  if (text.is_lost()) pin("long statement");
  exchange_->long_text.reset();
}

void Session::note_statement(const pgwire::SimpleStatement& statement) {
  using pgwire::StatementKind;
  switch (statement.kind) {
    case StatementKind::kSet:
      if (!exchange_->resets.empty()) note_set_again(pgwire::identifier(statement.name));
      if (pinned_ || identity_->mode == model::PoolMode::kSession) break;
      if (upstream_->settings_at_login->find(pgwire::identifier(statement.name)) == nullptr) {
        pin("SET " + std::string(statement.name));
      }
      break;
    case StatementKind::kCreateTemporary:
      pin("temporary table");
      break;
    case StatementKind::kReset:
      note_reset(pgwire::identifier(statement.name));
      break;
    case StatementKind::kDiscardAll:
      upstream_->prepared.doubt_all();
      [[fallthrough]];
    case StatementKind::kResetAll:
      note_reset(std::string(kAllSettings));
      break;
    case StatementKind::kDeallocateAll:
      upstream_->prepared.doubt_all();
      break;
    default:
      break;
  }
}

// What later texts mean may hang on this one. `text`: of the statement; empty: it is long, and not kept.
void Session::note_meaning(const pgwire::SimpleStatement& statement, std::string_view text) {
  using pgwire::StatementKind;
  Meaning& meaning = exchange_->meaning;
  switch (statement.kind) {
    case StatementKind::kSet:
    case StatementKind::kSetLocal:
    case StatementKind::kReset: {
      const std::string name = pgwire::identifier(statement.name);
      if (!upstream::decides_on_meaning(name)) return;
      if (upstream_->settings_at_login->find(name) == nullptr) meaning.add(text, id_);
      break;
    }
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kRollbackTo:
    case StatementKind::kPrepareTransaction:
      if (!meaning.changed) return;
      [[fallthrough]];
    case StatementKind::kResetAll:
    case StatementKind::kDiscardAll:
      // It may undo what was SET before, or only some of it.
      if (meaning.of_local != 0) meaning.add({}, id_);
      break;
    default:
      return;
  }
  meaning.changed = meaning.in_doubt = true;
}

// Clients share a statement only where its text means the same to them. What a pinned client has done to its server
// nobody knows, nor what holds behind a SET that the server has yet to answer.
std::uint64_t Session::meaning_of(std::string_view text) const {
  return pgwire::tells_time(text) ? id_ : meaning_here();
}

std::uint64_t Session::meaning_here() const {
  const Meaning& meaning = exchange_->meaning;
  return pinned_ || meaning.in_doubt ? id_ : upstream_->settings->meaning() ^ meaning.of_local;
}

// Many a RESET may follow before the server has answered the first: each name counts once.
void Session::note_reset(std::string name) {
  const auto is_it = [&](const auto& entry) { return upstream::same_name(entry.first, name); };
  // Any other changes nothing here, but it is known which one it was.
  if (name != kAllSettings && std::ranges::none_of(start_settings_->values(), is_it)) name.clear();
  std::erase_if(exchange_->set_again, [&](const std::string& set) {
    return name == kAllSettings || upstream::same_name(set, name);
  });
  auto& resets = exchange_->resets;
  if (std::ranges::find(resets, name) == resets.end()) resets.push_back(std::move(name));
}

void Session::note_set_again(const std::string& name) {
  const auto is_it = [&](const auto& entry) { return upstream::same_name(entry.first, name); };
  const auto same = [&](const std::string& other) { return upstream::same_name(other, name); };
  if (std::ranges::none_of(start_settings_->values(), is_it)) return;
  if (std::ranges::none_of(exchange_->set_again, same)) exchange_->set_again.push_back(name);
}

// The client has state on its upstream that cannot be carried over: it keeps it until it leaves.
void Session::pin(std::string_view reason) {
  if (pinned_ || identity_->mode == model::PoolMode::kSession) return;
  pinned_ = true;
  pool_->counters().pins[telemetry::pin_reason_of(reason)].add();
  telemetry::log::info("client.pinned", {{"client", id_}, {"server", upstream_->id}}, reason);
}

}  // namespace penstock::session
