#include "pool/janitor.h"

#include <charconv>

#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"

namespace penstock::pool {

using upstream::Reply;

namespace {

constexpr base::Duration kCancelAgain = std::chrono::milliseconds(50);
// Without what only superusers and (from 16 on) pg_use_reserved_connections get.
constexpr std::string_view kMeasure =
    "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true), '0')::int";

}  // namespace

Janitor::Janitor(Pool& pool, upstream::Upstream& upstream, Cleaning work)
    : pool_(pool),
      upstream_(upstream),
      work_(work),
      deadline_(io::Timer::calling<&Janitor::give_up>(this)),
      again_(io::Timer::calling<&Janitor::cancel_running>(this)) {}

void Janitor::start() {
  upstream_.set_user(*this);
  upstream_.stream().resume_receiving();
  io::Loop& loop = pool_.home().tools.loop;
  started_at_ = loop.now();
  loop.timers().arm(deadline_, started_at_ + pool_.config().cleanup_timeout);
  if (!upstream_.replies.empty() || upstream_.in_batch || upstream_.skipping || upstream_.copy_in)
    interrupt();
  go_on();
}

// A request is half done: end it.
void Janitor::interrupt() {
  // What we were telling the server for the client may be cancelled with it: then nobody knows what holds there.
  for (std::size_t i = 0; !interrupted_ && i < upstream_.replies.size(); ++i) {
    const Reply& reply = upstream_.replies.at(i);
    if (reply.kind == Reply::Kind::kQuery && !reply.visible) upstream_.close_when_free = true;
  }
  interrupted_ = true;
  base::ByteWriter out;
  if (upstream_.copy_in) pgwire::copy_fail(out, "the client has gone");
  upstream_.copy_in = false;
  bool ends = false;
  for (std::size_t i = 0; i < upstream_.replies.size(); ++i) {
    upstream_.replies.at(i).visible = false;
    ends = upstream_.replies.at(i).ends_with_ready();
  }
  // Answers of our own that the client does not hear any more.
  upstream_.replies.drop(0, upstream_.replies.size(), [](const Reply& reply) { return reply.is_ours(); });
  if (!ends || upstream_.in_batch || upstream_.skipping) {
    if (!upstream_.skipping) {
      // A Sync alone would commit what has been done without one. So the batch fails: the server's log says by what.
      pgwire::execute(out, "the client has gone");
      upstream_.replies.push({.kind = Reply::Kind::kExecute, .visible = false});
    }
    pgwire::sync(out);
    upstream_.replies.push({.kind = Reply::Kind::kSync, .visible = false});
    upstream_.end_batch();
  }
  upstream_.stream().write(out.view());
  cancel_running();
}

void Janitor::cancel_running() {
  if (upstream_.cancels_under_way == 0 && !finished_) {
    ++upstream_.cancels_under_way;
    cancelling_ =
        upstream::cancel(pool_.home().tools, pool_.config().plan, upstream::cancel_target(upstream_));
    cancelling_.start([this] { pool_.cancel_answered(upstream_.id, cancelling_.take_result()); });
  }
}

// One cancel ends one statement: a pipeline may hold more of them.
void Janitor::cancel_answered() {
  if (interrupted_ && !upstream_.replies.empty() && !finished_) {
    io::Loop& loop = pool_.home().tools.loop;
    loop.timers().arm(again_, loop.now() + kCancelAgain);
  }
  go_on();
}

void Janitor::on_upstream_data(upstream::Upstream&, io::Chunk bytes) {
  upstream_.scanner.feed(bytes.view());
  for (auto event = upstream_.scanner.next(); event.kind != pgwire::FrameScanner::Kind::kMore;
       event = upstream_.scanner.next()) {
    if (event.kind == pgwire::FrameScanner::Kind::kBroken) return done(false);
    if (measuring_) take_figure(event);
    const auto tracked = upstream_.track(event, pool_.home().settings);
    if (tracked && !is_own_work_) note_left(tracked->tag);
    if (!tracked || upstream_.broken || (tracked->failed && must_succeed_)) return done(false);
    // A COPY that began after the client had gone.
    if (upstream_.copy_in) interrupt();
  }
  go_on();
}

// What the client's last commands leave on the server, although it has not waited for their answers.
void Janitor::note_left(pgwire::CommandTag tag) {
  using pgwire::CommandTag;
  if (tag == CommandTag::kLoad) upstream_.close_when_free = true;
  if (tag == CommandTag::kPrepare || tag == CommandTag::kListen || tag == CommandTag::kReset) {
    work_.reset = must_be_reset_ = true;
  }
}

void Janitor::take_figure(const pgwire::FrameScanner::Event& event) {
  if (event.type == pgwire::reply::kReadyForQuery) measuring_ = false;
  if (event.type != pgwire::reply::kDataRow || event.kind != pgwire::FrameScanner::Kind::kMessage) return;
  const auto row = pgwire::parse_data_row(event.body());
  if (!row || row->size() != 1 || !row->front().has_value()) return;
  const std::string_view text = *row->front();
  int connections = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), connections);
  if (parsed.ec == std::errc() && connections > 0) pool_.measured(connections);
}

void Janitor::on_upstream_end(upstream::Upstream&, const base::Error*) {
  done(false);
}

void Janitor::go_on() {
  if (finished_ || !upstream_.replies.empty() || upstream_.cancels_under_way > 0) return;
  again_.cancel();
  if (upstream_.status != 'I') {
    // A ROLLBACK that did not end the transaction will not do so the next time either.
    if (rolled_back_) return done(false);
    rolled_back_ = true;
    return upstream_.send_query("ROLLBACK");
  }
  is_own_work_ = true;
  if (work_.reset) {
    work_.reset = false;
    must_succeed_ = true;
    const std::string& sql = pool_.config().reset_query;
    if (sql.empty() && must_be_reset_) return done(false);
    if (!sql.empty()) return upstream_.send_cleaning(sql);
  }
  const bool is_undone = upstream_.was_reset && !pool_.config().connect_query.empty();
  if (!has_connected_ && is_undone) {
    must_succeed_ = true;
    has_connected_ = true;
    return upstream_.send_query(pool_.config().connect_query);
  }
  if (has_connected_) upstream_.was_reset = false;  // also if it resets something itself
  if (work_.measure) {
    work_.measure = false;
    must_succeed_ = false;
    measuring_ = true;
    return upstream_.send_query(kMeasure);
  }
  if (work_.check) {
    work_.check = false;
    must_succeed_ = true;
    return upstream_.send_query(pool_.config().check_query);
  }
  done(upstream_.clean());
}

void Janitor::give_up() {
  done(false);
}

void Janitor::done(bool usable) {
  if (finished_) return;
  finished_ = true;
  deadline_.cancel();
  again_.cancel();
  pool_.cleaned(upstream_, usable);
}

}  // namespace penstock::pool
