#include "session/pool_query.h"

#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"

namespace penstock::session {

using upstream::Reply;

PoolQuery::~PoolQuery() {
  if (upstream_ != nullptr) pool_.bury(*upstream_);
}

bool PoolQuery::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  io::Loop& loop = pool_.home().tools.loop;
  loop.timers().arm(timer_, deadline_);
  pool_.check_out(*this, pool_.settings_at_login());
  suspended_ = !result_.has_value();
  return suspended_;
}

void PoolQuery::on_granted(upstream::Upstream& upstream) {
  upstream_ = &upstream;
  upstream.set_user(*this);
  // What clients have SET must not change what our statement means.
  upstream.adopt_settings(upstream.settings_at_login);
  base::ByteWriter out;
  const std::optional<std::string_view> value = parameter_;
  pgwire::parse(out, "", sql_);
  pgwire::bind_text(out, "", "", {&value, 1});
  pgwire::execute(out, "");
  pgwire::sync(out);
  upstream.unnamed_of = 0;
  for (const Reply::Kind kind :
       {Reply::Kind::kParse, Reply::Kind::kBind, Reply::Kind::kExecute, Reply::Kind::kSync}) {
    upstream.replies.push({.kind = kind, .visible = false});
  }
  upstream.stream().write(out.view());
}

void PoolQuery::on_refused(const base::Error& error) {
  settle(base::fail(error));
}

void PoolQuery::take(upstream::Upstream& upstream, const pgwire::FrameScanner::Event& event) {
  const bool whole = event.kind == pgwire::FrameScanner::Kind::kMessage;
  const auto tracked = event.kind == pgwire::FrameScanner::Kind::kBroken
                           ? base::Result<upstream::Upstream::Tracked>(base::fail(base::Error{}))
                           : upstream.track(event, pool_.home().settings);
  if (!tracked || tracked->failed) {
    upstream.broken = true;
    error_ =
        base::Error{.sqlstate = base::kProtocolViolation, .message = "the server sent an invalid message"};
  } else if (whole && event.type == pgwire::reply::kErrorResponse) {
    if (auto error = pgwire::parse_error(event.body())) error_ = std::move(error->error);
  } else if (event.type == pgwire::reply::kDataRow) {
    take_row(event);
  }
}

// A row may come in pieces.
void PoolQuery::take_row(const pgwire::FrameScanner::Event& event) {
  const bool whole = event.kind == pgwire::FrameScanner::Kind::kMessage;
  if (whole || event.first) {
    row_.clear();
    row_fits_ = rows_.size() < kRowsMax && event.total <= kRowBytesMax;
  }
  if (!row_fits_) return;
  row_.insert(row_.end(), event.bytes.begin(), event.bytes.end());
  if (!whole && !event.last) return;
  const auto values = pgwire::parse_data_row(base::ByteView(row_).subspan(pgwire::kHeaderBytes));
  if (!values) return;
  Row& row = rows_.emplace_back();
  for (const auto& value : *values)
    row.push_back(value.has_value() ? std::optional(std::string(*value)) : std::nullopt);
}

void PoolQuery::on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) {
  upstream.scanner.feed(bytes.view());
  for (auto event = upstream.scanner.next();
       event.kind != pgwire::FrameScanner::Kind::kMore && !upstream.broken; event = upstream.scanner.next()) {
    take(upstream, event);
  }
  if (!upstream.replies.empty() && !upstream.broken) return;
  pool_.release(*std::exchange(upstream_, nullptr), false);
  if (error_.has_value()) return settle(base::fail(std::move(*error_)));
  settle(std::move(rows_));
}

void PoolQuery::on_upstream_end(upstream::Upstream& upstream, const base::Error*) {
  upstream_ = nullptr;
  pool_.bury(upstream);
  settle(base::fail(error_.value_or(base::Error{.sqlstate = base::kConnectionFailure,
                                                .message = "server closed the connection unexpectedly"})));
}

void PoolQuery::on_deadline() {
  stop_waiting();
  if (upstream_ != nullptr) pool_.bury(*std::exchange(upstream_, nullptr));
  settle(base::fail(base::kTooManyConnections, "no server connection became free in time"));
}

void PoolQuery::settle(base::Result<std::vector<Row>> result) {
  timer_.cancel();
  result_.emplace(std::move(result));
  if (suspended_) caller_.resume();
}

}  // namespace penstock::session
