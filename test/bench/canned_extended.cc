// The part of CannedSession that speaks the extended query protocol.
#include <utility>

#include "canned_session.h"

namespace penstock::bench {

Inbox::Verdict CannedSession::on_extended(const Message& message) {
  const Fields fields(message.body);
  switch (message.type) {
    case 'P':
      on_parse(fields);
      break;
    case 'B':
      on_bind(fields);
      break;
    case 'D':
      on_describe(fields);
      break;
    case 'E': {
      const Inbox::Verdict verdict = on_execute(fields);
      if (verdict == Inbox::Verdict::kHold) return verdict;
      break;
    }
    case 'C':
      on_close(fields);
      break;
    case 'H':
      return Inbox::Verdict::kTaken;
    default:
      fail("08P01", "the canned server does not know this message");
      skip_to_sync_ = true;
  }
  return Inbox::Verdict::kTaken;
}

void CannedSession::store_statement(std::string_view name, std::string_view text) {
  auto statement = std::make_shared<Statement>();
  statement->text = text;
  statement->plan = parse_sql(statement->text);
  if (name.empty()) {
    unnamed_statement_ = std::move(statement);
  } else {
    statements_.insert_or_assign(std::string(name), std::move(statement));
  }
}

CannedSession::StatementPtr CannedSession::find_statement(std::string_view name) {
  if (name.empty()) return unnamed_statement_;
  const auto at = statements_.find(name);
  return at == statements_.end() ? nullptr : at->second;
}

CannedSession::Portal* CannedSession::find_portal(std::string_view name) {
  if (name.empty()) return unnamed_portal_.statement ? &unnamed_portal_ : nullptr;
  const auto at = portals_.find(name);
  return at == portals_.end() ? nullptr : &at->second;
}

void CannedSession::on_parse(Fields fields) {
  ++host_.stats().parses;
  const std::string_view name = fields.cstring();
  const std::string_view text = fields.cstring();
  skip_to_sync_ = true;  // unless all goes well
  if (!name.empty() && statements_.contains(name)) {
    return fail("42P05", "prepared statement \"" + std::string(name) + "\" already exists");
  }
  const Verb verb = parse_sql(text).verb;
  if (verb == Verb::kUnknown)
    return fail("42601", "syntax error: the canned server does not know this statement");
  if (status_ == 'E' && verb != Verb::kRollback && verb != Verb::kCommit) {
    return fail("25P02", "current transaction is aborted, commands ignored until end of transaction block");
  }
  store_statement(name, text);
  write_bare(host_.out(), '1');
  skip_to_sync_ = false;
}

void CannedSession::on_bind(Fields fields) {
  ++host_.stats().binds;
  const std::string_view portal_name = fields.cstring();
  const std::string_view statement_name = fields.cstring();
  StatementPtr statement = find_statement(statement_name);
  if (!statement) {
    ++host_.stats().unknown_statements;
    skip_to_sync_ = true;
    return fail("26000", statement_name.empty()
                             ? "unnamed prepared statement does not exist"
                             : "prepared statement \"" + std::string(statement_name) + "\" does not exist");
  }
  Portal& portal = portal_name.empty() ? unnamed_portal_ : portals_[std::string(portal_name)];
  const std::uint16_t formats = fields.be16();
  (void)fields.take(formats * 2UL);
  const std::uint16_t count = fields.be16();
  portal.parameters.resize(count);
  for (std::string& parameter : portal.parameters) {
    const std::uint32_t size = fields.be32();
    parameter.assign(size == 0xffffffffU ? std::string_view() : fields.take(size));
  }
  if (fields.failed() || count < statement->plan.parameter_count) {
    skip_to_sync_ = true;
    return fail("08P01", "bind message supplies the wrong number of parameters");
  }
  portal.statement = std::move(statement);
  portal.rows_sent = 0;
  write_bare(host_.out(), '2');
}

void CannedSession::on_describe(Fields fields) {
  const bool of_statement = fields.u8() == 'S';
  const std::string_view name = fields.cstring();
  const Portal* portal = of_statement ? nullptr : find_portal(name);
  StatementPtr statement = of_statement        ? find_statement(name)
                           : portal == nullptr ? nullptr
                                               : portal->statement;
  if (!statement) {
    skip_to_sync_ = true;
    if (of_statement) ++host_.stats().unknown_statements;
    return fail(of_statement ? "26000" : "34000", "\"" + std::string(name) + "\" does not exist");
  }
  if (of_statement) {
    MessageWriter message(host_.out(), 't');
    message->be16(statement->plan.parameter_count);
    for (unsigned i = 0; i < statement->plan.parameter_count; ++i) message->be32(25);
  }
  if (statement->plan.returns_rows() && statement->plan.column_count > 0) {
    describe_rows(statement->plan);
  } else {
    write_bare(host_.out(), 'n');
  }
}

Inbox::Verdict CannedSession::on_execute(Fields fields) {
  using enum Inbox::Verdict;
  Portal* portal = find_portal(fields.cstring());
  const std::uint32_t rows_max = fields.be32();
  if (portal == nullptr) {
    skip_to_sync_ = true;
    fail("34000", "portal does not exist");
    return kTaken;
  }
  const Plan& plan = portal->statement->plan;
  switch (readiness(plan)) {
    case Readiness::kLater:
      return kHold;
    case Readiness::kCancelled:
      skip_to_sync_ = true;
      fail("57014", "canceling statement due to user request");
      return kTaken;
    case Readiness::kNow:
      break;
  }
  ++host_.stats().executes;
  if (rows_max > 0 && plan.verb == Verb::kSelect && status_ != 'E' &&
      plan.rows > portal->rows_sent + rows_max) {
    for (std::uint32_t i = 0; i < rows_max; ++i) write_row(host_.out(), plan, portal->parameters);
    portal->rows_sent += rows_max;
    write_bare(host_.out(), 's');
    return kTaken;
  }
  if (portal->rows_sent > 0) {
    const std::uint64_t rest = plan.rows - std::exchange(portal->rows_sent, 0);
    for (std::uint64_t i = 0; i < rest; ++i) write_row(host_.out(), plan, portal->parameters);
    complete_rows(plan, rest);
    return kTaken;
  }
  const StatementPtr keep = portal->statement;  // DISCARD ALL drops portals, this one too
  if (!execute(keep->plan, portal->parameters, keep->plan.verb == Verb::kCopyOut)) skip_to_sync_ = true;
  return kTaken;
}

void CannedSession::on_close(Fields fields) {
  const bool of_statement = fields.u8() == 'S';
  const std::string_view name = fields.cstring();
  if (of_statement) {
    if (const auto at = statements_.find(name); at != statements_.end()) statements_.erase(at);
    if (name.empty()) unnamed_statement_.reset();
  } else if (const auto at = portals_.find(name); at != portals_.end()) {
    portals_.erase(at);
  }
  write_bare(host_.out(), '3');
}

void CannedSession::on_sync() {
  ++host_.stats().syncs;
  skip_to_sync_ = false;
  if (status_ == 'I') {
    portals_.clear();
    unnamed_portal_.statement.reset();
  }
  ready();
}

}  // namespace penstock::bench
