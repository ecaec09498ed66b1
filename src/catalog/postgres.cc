#include "catalog/postgres.h"

#include <fmt/format.h>
#include <poll.h>  // HOUSE(syscall): libpq's socket is waited for outside any loop, with a deadline

#include <algorithm>
#include <cerrno>
#include <vector>

namespace penstock::catalog {

namespace {

constexpr const char* kUnreachable =
    "Its address stands in the setting server.catalog; tenants stay as they were until it answers.";

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using ConnectionOptions = std::unique_ptr<PQconninfoOption, FreeOptions>;

std::string value_of(const PQconninfoOption* options, std::string_view keyword) {
  for (; options != nullptr && options->keyword != nullptr; ++options) {
    if (options->keyword == keyword && options->val != nullptr) return options->val;
  }
  return {};
}

// What libpq understands of the URL, without its defaults.
base::Result<ConnectionOptions> parse_url(const std::string& url) {
  char* text = nullptr;
  ConnectionOptions options(PQconninfoParse(url.c_str(), &text));
  PQfreemem(text);  // it may repeat a part of the password
  if (options != nullptr) return options;
  return base::fail(
      base::kConfigFileError, "server.catalog is no valid connection URL of Postgres", {},
      "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with every special character in user and "
      "password as % and two hexadecimal digits.");
}

std::string name_of(const PQconninfoOption* options) {
  const auto or_else = [](const std::string& value, const char* otherwise) {
    return value.empty() ? std::string(otherwise) : value;
  };
  return fmt::format("{}:{}/{}", or_else(value_of(options, "host"), "localhost"),
                     or_else(value_of(options, "port"), "5432"),
                     or_else(value_of(options, "dbname"), value_of(options, "user").c_str()));
}

// The last line is the reason, the ones before name the host again.
std::string words_of(const char* message) {
  std::string text = message == nullptr ? "" : message;
  while (text.ends_with('\n')) text.pop_back();
  std::ranges::replace(text, '\n', ' ');
  return text;
}

}  // namespace

bool is_postgres_url(std::string_view text) {
  return text.starts_with("postgres://") || text.starts_with("postgresql://");
}

base::Error PostgresConnection::failure(std::string_view what) const {
  const std::string words = connection_ == nullptr ? "" : words_of(PQerrorMessage(connection_.get()));
  return {.sqlstate = base::kConnectionFailure,
          .message = fmt::format("catalog database \"{}\" {}", name_, what),
          .detail = words.empty() ? "" : fmt::format("libpq says: {}", words),
          .hint = kUnreachable,
          .where = name_};
}

base::Error PostgresConnection::failure_of(const PGresult& result) const {
  const auto field = [&](int code) {
    const char* text = PQresultErrorField(&result, code);
    return std::string(text == nullptr ? "" : text);
  };
  if (field(PG_DIAG_SQLSTATE).empty()) return failure("has closed the connection");
  if (base::SqlState(field(PG_DIAG_SQLSTATE)) == base::SqlState("55P03")) {  // lock_not_available
    return {
        .sqlstate = base::kIoError,
        .message = fmt::format("catalog database \"{}\" is locked by another process", name_),
        .detail = fmt::format("Postgres says: {}.", field(PG_DIAG_MESSAGE_PRIMARY)),
        .hint = "Try again; if it stays so, look in pg_stat_activity for a transaction that does not end.",
        .where = name_};
  }
  return {
      .sqlstate = base::SqlState(field(PG_DIAG_SQLSTATE)),
      .message = fmt::format("catalog database \"{}\" refuses: {}", name_, field(PG_DIAG_MESSAGE_PRIMARY)),
      .detail = field(PG_DIAG_MESSAGE_DETAIL),
      .hint = field(PG_DIAG_MESSAGE_HINT),
      .where = name_};
}

base::Status PostgresConnection::wait_for(short events, Deadline deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entries[] = {{.fd = PQsocket(connection_.get()), .events = events, .revents = 0},
                        {.fd = options_.stop_event, .events = POLLIN, .revents = 0}};
    const int count = ::poll(entries, 2, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (count < 0 && errno == EINTR) continue;
    if (entries[1].revents != 0) return base::fail(base::kAdminShutdown, "the server is stopping");
    if (count == 0) return base::fail(failure("did not answer in time"));
    return {};
  }
}

base::Result<PostgresConnection> PostgresConnection::connect(const Options& options) {
  PostgresConnection connection;
  connection.options_ = options;
  if (const base::Status status = connection.establish(); !status) return base::fail(status.error());
  // A server that runs longer than we wait must not keep locks.
  const base::Status status = connection.run_script(fmt::format(
      "SET search_path = penstock, pg_catalog; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; "
      "SET TimeZone = 'UTC'; SET statement_timeout = {0}; SET lock_timeout = {0}; "
      "SET idle_in_transaction_session_timeout = {1}",
      options.patience.count(), 2 * options.patience.count()));
  if (!status) return base::fail(status.error());
  return connection;
}

base::Status PostgresConnection::establish() {
  const base::Result<ConnectionOptions> parsed = parse_url(options_.url);
  if (!parsed) return base::fail(parsed.error());
  name_ = name_of(parsed->get());
  std::vector<const char*> names = {"fallback_application_name", "keepalives_idle", "tcp_user_timeout"};
  std::vector<const char*> values = {"penstock", "30", "15000"};
  for (const PQconninfoOption* option = parsed->get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    names.push_back(option->keyword);
    values.push_back(option->val);
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  connection_.reset(PQconnectStartParams(names.data(), values.data(), 0));
  if (connection_ == nullptr) return base::fail(base::kOutOfMemory, "out of memory");
  PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);  // stderr is not ours to fill
  const Deadline until = deadline();
  while (PQstatus(connection_.get()) != CONNECTION_BAD) {
    const PostgresPollingStatusType next = PQconnectPoll(connection_.get());
    if (next == PGRES_POLLING_FAILED) break;
    if (next == PGRES_POLLING_OK) return {};
    if (base::Status status = wait_for(next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until); !status) {
      close();
      return status;
    }
  }
  base::Error error = failure("cannot be connected to");
  // Before there is a connection libpq gives no SQLSTATE.
  if (PQconnectionNeedsPassword(connection_.get()) != 0 || PQconnectionUsedPassword(connection_.get()) != 0) {
    if (error.detail.contains("password")) error.sqlstate = base::kInvalidPassword;
  }
  close();
  return base::fail(std::move(error));
}

base::Result<PostgresConnection::ResultPtr> PostgresConnection::finish_statement(Deadline deadline) {
  ResultPtr last;
  while (true) {
    const int unsent = PQflush(connection_.get());
    if (unsent < 0) return base::fail(failure("has closed the connection"));
    if (unsent == 0 && PQisBusy(connection_.get()) == 0) {
      ResultPtr result(PQgetResult(connection_.get()));
      if (result == nullptr) return last;
      // The first error counts; what comes after it is its consequence.
      const bool had_error = last != nullptr && PQresultStatus(last.get()) == PGRES_FATAL_ERROR;
      if (!had_error) last = std::move(result);
      continue;
    }
    if (base::Status status = wait_for(unsent == 0 ? POLLIN : POLLIN | POLLOUT, deadline); !status) {
      return base::fail(status.error());
    }
    if (PQconsumeInput(connection_.get()) == 0) return base::fail(failure("has closed the connection"));
  }
}

base::Result<Database::Rows> PostgresConnection::query(std::string_view sql, Parameters parameters) {
  if (!is_usable()) return base::fail(failure("is not connected"));
  std::vector<std::string> texts;
  for (const std::string_view parameter : parameters) texts.emplace_back(parameter);
  std::vector<const char*> values;
  for (const std::string& text : texts) values.push_back(text.c_str());
  if (PQsendQueryParams(connection_.get(), std::string(sql).c_str(), static_cast<int>(values.size()), nullptr,
                        values.data(), nullptr, nullptr, 0) == 0) {
    return base::fail(failure("cannot be asked"));
  }
  const base::Result<ResultPtr> result = finish_statement(deadline());
  if (!result) {
    close();  // what it was doing is not known: never used again
    return base::fail(result.error());
  }
  if (*result == nullptr || PQresultStatus(result->get()) == PGRES_FATAL_ERROR ||
      PQresultStatus(result->get()) == PGRES_BAD_RESPONSE) {
    return base::fail(*result == nullptr ? failure("has closed the connection") : failure_of(**result));
  }
  Rows rows(static_cast<std::size_t>(PQntuples(result->get())));
  for (int i = 0; i < PQntuples(result->get()); ++i) {
    for (int column = 0; column < PQnfields(result->get()); ++column) {
      rows[static_cast<std::size_t>(i)].emplace_back(
          PQgetvalue(result->get(), i, column),
          static_cast<std::size_t>(PQgetlength(result->get(), i, column)));
    }
  }
  return rows;
}

base::Status PostgresConnection::run_script(std::string_view script) {
  if (!is_usable()) return base::fail(failure("is not connected"));
  if (PQsendQuery(connection_.get(), std::string(script).c_str()) == 0) {
    return base::fail(failure("cannot be asked"));
  }
  const base::Result<ResultPtr> result = finish_statement(deadline());
  if (!result) {
    close();
    return base::fail(result.error());
  }
  if (*result == nullptr) return base::fail(failure("has closed the connection"));
  if (PQresultStatus(result->get()) == PGRES_FATAL_ERROR) return base::fail(failure_of(**result));
  return {};
}

base::Status PostgresConnection::begin(Kind kind) {
  if (kind == Kind::kRead) return run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  // All writers meet at this row, so what one reads stays true until it commits.
  const base::Status status =
      run_script("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT version FROM catalog FOR UPDATE");
  if (!status) rollback();  // the transaction is open, and aborted, when the row could not be locked
  return status;
}

base::Status PostgresConnection::commit() {
  base::Status status = run("COMMIT");
  if (!status && status.error().sqlstate == base::kConnectionFailure) {
    status.error().sqlstate = base::kTransactionResolutionUnknown;
    status.error().detail +=
        " The connection was lost while a change was committed: look whether it is there.";
  }
  return status;
}

void PostgresConnection::rollback() {
  if (is_usable() && PQtransactionStatus(connection_.get()) != PQTRANS_IDLE) (void)run("ROLLBACK");
}

bool PostgresConnection::is_alive() {
  while (is_usable()) {
    pollfd entry{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 0) <= 0) return true;
    if (PQconsumeInput(connection_.get()) == 0) close();
  }
  return false;
}

bool PostgresConnection::take_notifications() {
  bool any = false;
  while (PGnotify* notification = PQnotifies(connection_.get())) {
    PQfreemem(notification);
    any = true;
  }
  return any;
}

base::Result<PostgresConnection::Awaited> PostgresConnection::wait(std::chrono::milliseconds timeout) {
  if (!is_usable()) return base::fail(failure("is not connected"));
  if (take_notifications()) return Awaited::kNotification;  // came with the answer to a query
  const Deadline until = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const base::Status status = wait_for(POLLIN, until);
    if (!status && status.error().sqlstate == base::kAdminShutdown) return Awaited::kStop;
    if (!status) return Awaited::kTimeout;
    if (PQconsumeInput(connection_.get()) == 0) {
      const base::Error error = failure("has closed the connection");
      close();
      return base::fail(error);
    }
    if (take_notifications()) return Awaited::kNotification;
  }
}

}  // namespace penstock::catalog
