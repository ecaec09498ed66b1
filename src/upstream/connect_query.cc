#include "upstream/connect_query.h"

#include <fmt/format.h>

#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"
#include "upstream/message_reader.h"

namespace penstock::upstream {

namespace {

// The query as it runs: where it is given up, it does not go on at the server.
class Running {
 public:
  Running(DialTools tools, std::shared_ptr<const DialPlan> plan, CancelTarget target)
      : tools_(tools), plan_(std::move(plan)), target_(std::move(target)) {}
  Running(const Running&) = delete;
  ~Running() {
    if (!is_over_) cancel_unattended(tools_, std::move(plan_), std::move(target_));
  }
  void is_over() { is_over_ = true; }

 private:
  DialTools tools_;
  std::shared_ptr<const DialPlan> plan_;
  CancelTarget target_;
  bool is_over_ = false;
};

base::Error failed(const pgwire::Message& message) {
  auto error = pgwire::parse_error(message.body);
  if (!error) return std::move(error.error());
  error->error.message = "connect_query failed: " + error->error.message;
  return std::move(error->error);
}

base::Error refused(std::string_view why) {
  return {.sqlstate = base::kFeatureNotSupported, .message = fmt::format("connect_query must not {}", why)};
}

base::Error not_answered(base::Error error, const DialPlan& plan) {
  if (error.message != kTimeoutExpired) return error;
  return {.sqlstate = base::kQueryCanceled,
          .message = fmt::format("connect_query took longer than {} ms (timeouts.upstream_login)",
                                 plan.login_timeout / std::chrono::milliseconds(1))};
}

// What the server says to it. True: it is done.
base::Result<bool> take(const pgwire::Message& message, base::ByteWriter& reported) {
  namespace reply = pgwire::reply;
  switch (message.type) {
    case reply::kErrorResponse:
      return base::fail(failed(message));
    case reply::kCopyInResponse:
    case reply::kCopyOutResponse:
    case reply::kCopyBothResponse:
      return base::fail(refused("copy data (COPY … FROM STDIN, TO STDOUT)"));
    case reply::kParameterStatus: {
      const auto status = pgwire::parse_parameter_status(message.body);
      if (!status) return base::fail(status.error());
      pgwire::parameter_status(reported, status->name, status->value);
      return false;
    }
    case reply::kReadyForQuery:
      if (message.body.size() == 1 && message.body[0] == pgwire::kStatusIdle) return true;
      return base::fail(refused("leave a transaction open"));
    default:
      return false;
  }
}

}  // namespace

io::Task<base::Result<LoggedIn>> run_connect_query(DialTools tools, std::shared_ptr<const DialPlan> plan,
                                                   LoggedIn logged_in, std::string sql) {
  const base::TimePoint deadline = tools.loop.now() + plan->login_timeout;
  Running running(tools, plan, cancel_target(logged_in));
  pgwire::MessageAssembler::Limits limits;
  limits.message_bytes_max = 1 << 20;
  MessageReader reader(std::move(logged_in.stream), limits, std::exchange(logged_in.received, {}));
  base::ByteWriter query;
  pgwire::query(query, sql);
  reader.write(query);
  base::ByteWriter reported;
  for (;;) {
    const auto message = co_await reader.message(deadline);
    if (!message) co_return base::fail(not_answered(message.error(), *plan));
    const auto done = take(*message, reported);
    if (!done || *done) running.is_over();
    if (!done) co_return base::fail(done.error());
    if (*done) break;
  }
  // What it has set comes after what the server said at log-in, as if the server had just reported it.
  if (!reported.view().empty()) logged_in.received.push_back(io::Chunk::copy_of(reported.view()));
  logged_in.stream = reader.release(logged_in.received);
  co_return logged_in;
}

}  // namespace penstock::upstream
