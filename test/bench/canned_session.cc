#include "canned_session.h"

#include <algorithm>
#include <utility>

namespace penstock::bench {

void write_error(base::ByteWriter& out, std::string_view severity, std::string_view sqlstate,
                 std::string_view message) {
  MessageWriter error(out, 'E');
  error->u8('S');
  error->cstring(severity);
  error->u8('V');
  error->cstring(severity);
  error->u8('C');
  error->cstring(sqlstate);
  error->u8('M');
  error->cstring(message);
  error->u8(0);
}

void CannedSession::receive(std::string_view fresh) {
  while (login_.expects_startup()) {
    const auto body = inbox_.take_startup(fresh);
    fresh = {};
    if (inbox_.broken()) closing_ = true;
    if (!body) return;
    login_.on_startup(*body);
    closing_ |= login_.failed();
  }
  inbox_.feed(fresh, [this](const Message& message) { return on_message(message); });
  if (inbox_.broken()) closing_ = true;
  if (busy()) advance();
}

void CannedSession::advance() {
  while (finish_work() && inbox_.kept() > 0 && !closing_) {
    inbox_.feed({}, [this](const Message& message) { return on_message(message); });
    if (!busy()) return;
  }
}

bool CannedSession::finish_work() {
  if (wait_until_ns_ != 0) {
    if (!cancelled_ && host_.now_ns() < wait_until_ns_) return false;
    wait_until_ns_ = 0;
    waited_ = true;
  }
  if (stream_ && !produce()) return false;
  if (!pending_sql_.empty() && !copying_in_) run_simple(std::exchange(pending_sql_, {}));
  return wait_until_ns_ == 0 && !stream_;
}

void CannedSession::cancel(std::uint32_t secret) {
  if (!login_.secret_is(secret)) return;
  ++host_.stats().cancels;
  if (wait_until_ns_ == 0) return;
  cancelled_ = true;
  advance();
}

void CannedSession::terminate() {
  write_error(host_.out(), "FATAL", "57P01", "terminating connection due to administrator command");
  closing_ = true;
}

Inbox::Verdict CannedSession::on_message(const Message& message) {
  using enum Inbox::Verdict;
  if (closing_) return kTaken;
  if (busy()) return kHold;
  if (!login_.done()) {
    login_.on_password(message.type == 'p' ? message.body : std::string_view());
    closing_ |= login_.failed();
    return kTaken;
  }
  if (message.type == 'X') {
    closing_ = true;
    return kTaken;
  }
  if (copying_in_ && (message.type == 'd' || message.type == 'c' || message.type == 'f')) {
    on_copy_message(message);
    return kTaken;
  }
  if (message.type == 'S') {
    on_sync();
    return kTaken;
  }
  if (skip_to_sync_) return kTaken;
  return message.type == 'Q' ? on_query(message) : on_extended(message);
}

// --- simple query ---

Inbox::Verdict CannedSession::on_query(const Message& message) {
  const std::string_view sql = Fields(message.body).cstring();
  ++host_.stats().queries;
  unnamed_statement_.reset();
  simple_answered_ = false;
  run_simple(sql);
  return Inbox::Verdict::kTaken;
}

void CannedSession::run_simple(std::string_view sql) {
  while (!sql.empty()) {
    std::string_view rest = sql;
    const std::string_view text = take_statement(rest);
    if (parse_sql(text).verb != Verb::kEmpty) {
      simple_answered_ = true;
      if (!run_statement(text)) {
        if (wait_until_ns_ == 0) return ready();
        pending_sql_ = sql;  // the same statement again, when its time has come
        return;
      }
      if (stream_ || copying_in_) {
        pending_sql_ = rest.empty() ? ";" : rest;  // at the least, a ReadyForQuery is still to come
        return;
      }
    }
    sql = rest;
  }
  if (!simple_answered_) write_bare(host_.out(), 'I');
  ready();
}

bool CannedSession::run_statement(std::string_view text) {
  const Plan plan = parse_sql(text);
  switch (readiness(plan)) {
    case Readiness::kLater:
      return false;
    case Readiness::kCancelled:
      fail("57014", "canceling statement due to user request");
      return false;
    case Readiness::kNow:
      break;
  }
  if (plan.verb == Verb::kCopyIn && status_ != 'E') {
    MessageWriter message(host_.out(), 'G');
    message->u8(0);
    message->be16(1);
    message->be16(0);
    copying_in_ = true;
    copied_lines_ = 0;
    return true;
  }
  return execute(plan, {}, true);
}

void CannedSession::on_copy_message(const Message& message) {
  if (message.type == 'd') {
    copied_lines_ += static_cast<std::uint64_t>(std::ranges::count(message.body, '\n'));
    return;
  }
  copying_in_ = false;
  if (message.type == 'c') {
    complete("COPY " + std::to_string(copied_lines_));
    run_simple(std::exchange(pending_sql_, {}));
  } else {
    fail("57014", "COPY from stdin failed");
    pending_sql_.clear();
    ready();
  }
}

// --- answers ---

CannedSession::Readiness CannedSession::readiness(const Plan& plan) {
  if (std::exchange(cancelled_, false)) {
    waited_ = false;
    return Readiness::kCancelled;
  }
  if (std::exchange(waited_, false)) return Readiness::kNow;
  std::uint64_t delay_ns = plan.verb == Verb::kSelect ? host_.config().delay_ns : 0;
  for (std::size_t i = 0; i < plan.column_count; ++i) {
    if (plan.columns[i].kind == Expression::Kind::kSleep) {
      delay_ns += static_cast<std::uint64_t>(plan.columns[i].seconds * 1e9);
    }
  }
  if (delay_ns == 0) return Readiness::kNow;
  wait_until_ns_ = host_.now_ns() + delay_ns;
  return Readiness::kLater;
}

bool CannedSession::execute(const Plan& plan, Values parameters, bool describe) {
  if (status_ == 'E' && plan.verb != Verb::kRollback && plan.verb != Verb::kCommit) {
    fail("25P02", "current transaction is aborted, commands ignored until end of transaction block");
    return false;
  }
  switch (plan.verb) {
    case Verb::kUnknown:
    case Verb::kCopyIn:  // only as a simple query
      fail("42601", "syntax error: the canned server does not know this statement");
      return false;
    case Verb::kExecute:
      return execute_prepared(plan, describe);
    case Verb::kSelect:
    case Verb::kCopyOut:
    case Verb::kShow:
      for (std::size_t i = 0; i < plan.column_count; ++i) {
        if (plan.columns[i].kind == Expression::Kind::kDivision) {
          fail("22012", "division by zero");
          return false;
        }
      }
      if (describe) describe_rows(plan);
      send_rows(plan, parameters, plan.rows);
      return true;
    case Verb::kSet:
      settings_.set(host_.out(), plan.name, plan.value);
      break;
    case Verb::kReset:
      plan.name.empty() ? settings_.reset_all(host_.out()) : settings_.reset(host_.out(), plan.name);
      break;
    case Verb::kDiscard:
      discard_all();
      break;
    case Verb::kDeallocate:
      if (plan.name.empty()) {
        statements_.clear();
      } else if (const auto at = statements_.find(plan.name); at != statements_.end()) {
        statements_.erase(at);
      } else {
        fail("26000", "prepared statement \"" + std::string(plan.name) + "\" does not exist");
        return false;
      }
      break;
    case Verb::kPrepare:
      store_statement(plan.name, plan.value);
      break;
    case Verb::kBegin:
    case Verb::kCommit:
    case Verb::kRollback:
      execute_transaction(plan);
      return true;
    case Verb::kOther:
    case Verb::kEmpty:
      break;
  }
  if (plan.verb == Verb::kEmpty) {
    write_bare(host_.out(), 'I');
  } else {
    complete(plan.tag);
  }
  return true;
}

bool CannedSession::execute_prepared(const Plan& plan, bool describe) {
  const StatementPtr statement = find_statement(plan.name);
  if (!statement) {
    ++host_.stats().unknown_statements;
    fail("26000", "prepared statement \"" + std::string(plan.name) + "\" does not exist");
    return false;
  }
  std::vector<std::string> values;
  for (std::size_t i = 0; i < plan.column_count; ++i) values.push_back(value_of(plan.columns[i], {}));
  if (statement->plan.verb == Verb::kExecute || values.size() < statement->plan.parameter_count) {
    fail("42601", "wrong number of parameters for a prepared statement");
    return false;
  }
  return execute(statement->plan, values, describe);
}

void CannedSession::execute_transaction(const Plan& plan) {
  if (plan.verb == Verb::kBegin) {
    status_ = 'T';
    complete(plan.tag);
  } else {
    complete(std::exchange(status_, 'I') == 'E' ? "ROLLBACK" : plan.tag);
    portals_.clear();
  }
}

void CannedSession::discard_all() {
  statements_.clear();
  portals_.clear();
  unnamed_statement_.reset();
  settings_.reset_all(host_.out());
}

std::string CannedSession::value_of(const Expression& expression, Values parameters) {
  using Kind = Expression::Kind;
  switch (expression.kind) {
    case Kind::kParameter:
      return expression.parameter <= parameters.size() ? parameters[expression.parameter - 1] : std::string();
    case Kind::kSetting:
      return std::string(settings_.get(expression.text));
    case Kind::kBackendPid:
      return std::to_string(pid_);
    case Kind::kTerminate: {
      const std::string pid(expression.parameter > 0 ? parameters[expression.parameter - 1]
                                                     : expression.text);
      host_.terminate(static_cast<std::uint32_t>(std::strtoul(pid.c_str(), nullptr, 10)));
      return "t";
    }
    case Kind::kText:
      return std::string(expression.text);
    case Kind::kSleep:
    case Kind::kDivision:
      break;
  }
  return {};
}

std::string CannedSession::corrupted(std::string value) {
  const CannedConfig& config = host_.config();
  if (config.corruption == Corruption::kNone || value.empty()) return value;
  const bool due = ++host_.stats().answers % config.corrupt_every == 0;
  if (due && config.corruption == Corruption::kFlipByte) {
    value.back() ^= 1;
    ++host_.stats().corrupted;
  } else if (config.corruption == Corruption::kSwapTokens) {
    std::string& previous = host_.previous_token();
    std::swap(previous, value);  // keep ours for later …
    if (!due || value.empty()) return previous;
    ++host_.stats().corrupted;  // … and hand out the one from before
  }
  return value;
}

void CannedSession::complete(std::string_view tag) {
  MessageWriter(host_.out(), 'C')->cstring(tag);
}

void CannedSession::ready() {
  MessageWriter(host_.out(), 'Z')->u8(static_cast<std::uint8_t>(status_));
}

void CannedSession::fail(std::string_view sqlstate, std::string_view message) {
  ++host_.stats().errors;
  write_error(host_.out(), "ERROR", sqlstate, message);
  if (status_ == 'T') status_ = 'E';
}

}  // namespace penstock::bench
