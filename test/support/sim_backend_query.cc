// SimBackend's statements: simple and extended protocol, transactions, settings, COPY.
#include <algorithm>
#include <utility>

#include "support/sim_backend.h"
#include "support/sim_postgres.h"

namespace penstock::sim {

namespace {

constexpr int kRowsPerTurn = 50;

bool ends_transaction(const Sql& sql) {
  return sql.kind == Sql::Kind::kCommit || sql.kind == Sql::Kind::kRollback;
}

bool returns_rows(const Sql& sql) {
  return sql.kind == Sql::Kind::kRows || sql.kind == Sql::Kind::kSleep || sql.kind == Sql::Kind::kFail ||
         sql.kind == Sql::Kind::kEcho || sql.kind == Sql::Kind::kShow;
}

std::string row_description_of(const Sql& sql) {
  if (sql.kind == Sql::Kind::kEcho) return row_description({"parameter", "tag"});
  return row_description({"value"});
}

}  // namespace

// ---------------------------------------------------------------- simple query

void SimBackend::on_query(const std::string& text) {
  if (extended_open_) {  // a Query ends an unfinished pipeline as a Sync would
    portals_.clear();
    executed_ = extended_open_ = false;
  }
  prepared_.erase("");
  query_ = parse_sql(text);
  query_at_ = 0;
  in_query_ = true;
}

void SimBackend::next_of_query() {
  if (query_at_ == query_.size()) {
    in_query_ = false;
    return ready();
  }
  const Sql sql = query_[query_at_++];
  if (sql.kind == Sql::Kind::kEmpty) return send(message('I'));
  execute({.sql = sql,
           .token = sql.token,
           .prefix = sql.token.has_value() ? sql.token->text() : "?",
           .rows_left = sql.kind == Sql::Kind::kRows ? sql.number : 1,
           .describe = true});
}

// ---------------------------------------------------------------- extended query

void SimBackend::on_parse(Fields fields) {
  const auto name = fields.text();
  const auto statements = parse_sql(fields.text());
  if (statements.size() != 1)
    return error("42601", "cannot insert multiple commands into a prepared statement");
  if (transaction_ == 'E' && !ends_transaction(statements[0]))
    return error("25P02", "current transaction is aborted");
  if (!name.empty() && prepared_.contains(name))
    return error("42P05", "prepared statement \"" + name + "\" already exists");
  prepared_[name] = {.sql = statements[0]};
  send(message('1'));
}

void SimBackend::on_bind(Fields fields) {
  const auto portal = fields.text();
  const auto name = fields.text();
  const auto prepared = prepared_.find(name);
  if (prepared == prepared_.end())
    return error("26000", "prepared statement \"" + name + "\" does not exist");
  if (transaction_ == 'E' && !ends_transaction(prepared->second.sql))
    return error("25P02", "current transaction is aborted");
  if (!portal.empty() && portals_.contains(portal))
    return error("42P03", "cursor \"" + portal + "\" already exists");
  for (auto formats = fields.be16(); formats > 0; --formats) fields.be16();
  std::string parameter;
  if (fields.be16() > 0) parameter = fields.bytes(fields.be32());
  portals_[portal] = {.sql = prepared->second.sql, .parameter = parameter};
  send(message('2'));
}

void SimBackend::on_describe(Fields fields) {
  const bool statement = fields.bytes(1) == "S";
  const auto name = fields.text();
  const Sql* sql = nullptr;
  if (statement && prepared_.contains(name)) sql = &prepared_[name].sql;
  if (!statement && portals_.contains(name)) sql = &portals_[name].sql;
  if (sql == nullptr) return error(statement ? "26000" : "34000", "\"" + name + "\" does not exist");
  if (transaction_ == 'E' && returns_rows(*sql)) return error("25P02", "current transaction is aborted");
  if (statement) send(message('t', sql->has_parameter ? be16(1) + be32(25) : be16(0)));
  send(returns_rows(*sql) ? row_description_of(*sql) : message('n'));
}

void SimBackend::on_execute(Fields fields) {
  const auto name = fields.text();
  const int limit = static_cast<int>(fields.be32());
  const auto found = portals_.find(name);
  if (found == portals_.end()) return error("34000", "portal \"" + name + "\" does not exist");
  Portal& portal = found->second;
  if (transaction_ == 'E' && !ends_transaction(portal.sql))
    return error("25P02", "current transaction is aborted");
  if (portal.sql.kind == Sql::Kind::kEmpty) return send(message('I'));
  const auto token = portal.sql.token.has_value() ? portal.sql.token : find_token(portal.parameter);
  const int rows = (portal.sql.kind == Sql::Kind::kRows ? portal.sql.number : 1) - portal.rows_sent;
  Running running{
      .sql = portal.sql,
      .token = portal.rows_sent == 0 ? token : std::nullopt,  // a portal's second part is no new request
      .prefix = token.has_value() ? token->text() : "?",
      .rows_left = limit > 0 ? std::min(rows, limit) : rows,
      .next_row = portal.rows_sent + 1,
      .first_row = portal.rows_sent + 1,
      .limit = limit,
      .portal_suspends = limit > 0 && limit <= rows};
  if (portal.sql.kind == Sql::Kind::kEcho) running.prefix = portal.parameter;
  portal.rows_sent += running.rows_left;
  execute(std::move(running));
}

void SimBackend::on_close(Fields fields) {
  const bool statement = fields.bytes(1) == "S";
  const auto name = fields.text();
  if (statement) {
    prepared_.erase(name);
  } else {
    portals_.erase(name);
  }
  send(message('3'));
}

void SimBackend::on_sync() {
  skipping_ = executed_ = extended_open_ = false;
  if (transaction_ == 'I') portals_.clear();
  ready();
}

// ---------------------------------------------------------------- statements

void SimBackend::execute(Running running) {
  auto& world = server_.world();
  if (running.token.has_value()) {
    auto& checkers = server_.checkers();
    const bool continues = transaction_ != 'I' || (in_query_ ? query_at_ > 1 : executed_);
    if (!in_query_) executed_ = true;
    checkers.isolation.executed(*running.token, pid_, continues);
    checkers.requests.executed(*running.token);
    checkers.waiters.served(*running.token, world.now());
    if (world.random().below(1'000) < server_.options().die_per_mille) return die();
    if (world.chance(server_.options().notice_percent)) {
      send(message('N', "S" + zero_ended("NOTICE") + "C" + zero_ended("00000") + "M" +
                            zero_ended("notice for " + running.token->text()) + '\0'));
    }
  }
  if (transaction_ == 'E' && !ends_transaction(running.sql))
    return error("25P02", "current transaction is aborted");
  running_ = std::move(running);
  if (running_->sql.kind == Sql::Kind::kSleep) return sleep(std::chrono::milliseconds(running_->sql.number));
  if (world.chance(20)) sleep(world.random_duration({}, server_.options().think_max));
}

// One step of what is running; called again until running_ is empty.
void SimBackend::continue_rows() {
  if (cancelled_) return error("57014", "canceling statement due to user request");
  Running& running = *running_;
  if (!returns_rows(running.sql) && running.sql.kind != Sql::Kind::kCopyOut) {
    const Running done = std::move(running);
    running_.reset();
    return execute_at_once(done);
  }
  if (running.sql.kind == Sql::Kind::kFail) return error("22012", "division by zero for " + running.prefix);
  const bool copy = running.sql.kind == Sql::Kind::kCopyOut;
  if (running.describe) {
    send(copy ? message('H', std::string(1, '\0') + be16(1) + be16(0)) : row_description_of(running.sql));
    running.describe = false;
    if (copy) running.rows_left = running.sql.number;
  }
  for (int count = 0; count < kRowsPerTurn && running.rows_left > 0; ++count, --running.rows_left) {
    const auto value = fmt::format("{}#{}", running.prefix, running.next_row++);
    if (copy) {
      send(message('d', value + "\n"));
    } else if (running.sql.kind == Sql::Kind::kEcho) {
      send(data_row({running.prefix, running.sql.value}));
    } else if (running.sql.kind == Sql::Kind::kShow) {
      send(data_row({settings_[running.sql.name]}));
    } else {
      send(data_row({value}));
    }
  }
  if (running.rows_left == 0) finish_rows();
}

void SimBackend::finish_rows() {
  const Running done = *std::exchange(running_, std::nullopt);
  if (done.portal_suspends) return send(message('s'));
  const int rows = done.next_row - done.first_row;
  if (done.sql.kind == Sql::Kind::kCopyOut) {
    send(message('c'));
    return send(message('C', zero_ended(fmt::format("COPY {}", rows))));
  }
  if (done.sql.kind == Sql::Kind::kShow) return send(message('C', zero_ended("SHOW")));
  send(message('C', zero_ended(fmt::format("SELECT {}", rows))));
}

void SimBackend::execute_at_once(const Running& running) {
  const Sql& sql = running.sql;
  std::string tag;
  switch (sql.kind) {
    case Sql::Kind::kBegin:
      begin_transaction();
      tag = "BEGIN";
      break;
    case Sql::Kind::kCommit:
      tag = transaction_ == 'E' ? "ROLLBACK" : "COMMIT";
      end_transaction(transaction_ != 'E');
      break;
    case Sql::Kind::kRollback:
      tag = "ROLLBACK";
      end_transaction(false);
      break;
    case Sql::Kind::kSet:
      set_setting(sql);
      tag = "SET";
      break;
    case Sql::Kind::kDiscard:
      prepared_.clear();
      portals_.clear();
      channels_.clear();
      set_setting({.name = "application_name", .value = startup_application_name_});
      tag = "DISCARD ALL";
      break;
    case Sql::Kind::kNotify:
      server_.notify(pid_, sql.name, sql.value);
      tag = "NOTIFY";
      break;
    case Sql::Kind::kListen:
      channels_.insert(sql.name);
      tag = "LISTEN";
      break;
    case Sql::Kind::kCopyIn:
      return begin_copy_in(running);
    default:
      server_.checkers().verdict.violate(Rule::kServerProtocol, "an unknown statement");
      return error("42601", "syntax error");
  }
  send(message('C', zero_ended(tag)));
}

void SimBackend::begin_copy_in(const Running& running) {
  send(message('G', std::string(1, '\0') + be16(1) + be16(0)));
  state_ = State::kCopyIn;
  copying_in_ = running;
  copied_ = 0;
}

void SimBackend::on_copy(const Message& received) {
  switch (received.type) {
    case 'd':
      ++copied_;
      if (find_token(received.body) != copying_in_->token) {
        server_.checkers().verdict.violate(
            Rule::kCrossTalk, fmt::format("copy data \"{}\" for {}", received.body, copying_in_->prefix));
      }
      return;
    case 'c':
      state_ = State::kReady;
      return send(message('C', zero_ended(fmt::format("COPY {}", copied_))));
    case 'f':
      state_ = State::kReady;
      return error("57014", "COPY from stdin failed: " + Fields(received.body).text());
    case 'H':
    case 'S':
      return;
    default:
      return protocol_violation(fmt::format("message '{}' during COPY", received.type));
  }
}

void SimBackend::set_setting(const Sql& sql) {
  settings_[sql.name] = sql.value;
  send(message('S', zero_ended(sql.name) + zero_ended(sql.value)));
}

void SimBackend::begin_transaction() {
  if (transaction_ == 'I') settings_at_begin_ = settings_;
  transaction_ = 'T';
}

void SimBackend::end_transaction(bool commit) {
  if (transaction_ != 'I' && !commit && settings_ != settings_at_begin_) {
    settings_ = settings_at_begin_;
    send(message('S', zero_ended("application_name") + zero_ended(settings_["application_name"])));
  }
  transaction_ = 'I';
  portals_.clear();
}

}  // namespace penstock::sim
