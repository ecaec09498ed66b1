#include "upstream/upstream.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/loop.h"
#include "pgwire/command_tag.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"

namespace penstock::upstream {

namespace {

// What the relay must see whole in the server's stream; all else may pass in parts.
const pgwire::FrameScanner::Policy& server_policy() {
  static const pgwire::FrameScanner::Policy policy = [] {
    namespace reply = pgwire::reply;
    pgwire::FrameScanner::Policy rules;
    for (const std::uint8_t type :
         {reply::kParseComplete, reply::kBindComplete, reply::kCloseComplete, reply::kReadyForQuery,
          reply::kNoData, reply::kEmptyQueryResponse, reply::kPortalSuspended}) {
      rules.whole_max[type] = 64;
    }
    for (const std::uint8_t type : {reply::kDataRow, reply::kCopyData}) rules.in_runs[type] = true;
    rules.whole_max[reply::kCommandComplete] = 1024;
    rules.whole_max[reply::kParameterStatus] = 64 * 1024;
    rules.whole_max[reply::kErrorResponse] = 16 * 1024;
    return rules;
  }();
  return policy;
}

}  // namespace

Upstream::Upstream(std::uint64_t number, LoggedIn logged_in, SettingsPtr login_settings,
                   std::shared_ptr<Schema> schema)
    : id(number),
      address(logged_in.address),
      host(std::move(logged_in.host)),
      process_id(logged_in.process_id),
      cancel_key(std::move(logged_in.cancel_key)),
      tls(std::move(logged_in.tls)),
      scanner(server_policy()),
      settings(login_settings),
      settings_at_login(std::move(login_settings)),
      created_at(logged_in.stream->loop().now()),
      released_at(created_at),
      schema_(std::move(schema)),
      stream_(std::move(logged_in.stream)),
      early_(std::move(logged_in.received)) {}

void Upstream::set_user(UpstreamUser& user) {
  const bool first = user_ == nullptr;
  user_ = &user;
  if (!first) return;
  for (io::Chunk& chunk : std::exchange(early_, {})) user_->on_upstream_data(*this, std::move(chunk));
  stream_->set_sink(*this);
}

void Upstream::return_stream(io::StreamPtr stream) {
  stream_ = std::move(stream);
  stream_->set_sink(*this);
}

void Upstream::on_data(io::Chunk bytes) {
  user_->on_upstream_data(*this, std::move(bytes));
}

void Upstream::on_end(const base::Error* error) {
  ended_ = true;
  user_->on_upstream_end(*this, error);
}

std::int64_t Upstream::now_ns() const {
  return stream_->loop().now().time_since_epoch().count();
}

void Upstream::on_drained() {
  user_->on_upstream_drained(*this);
}

void Upstream::send_query(std::string_view sql) {
  base::ByteWriter out;
  pgwire::query(out, sql);
  stream_->write(out.view());
  replies.push({.kind = Reply::Kind::kQuery, .visible = false});
  unnamed_of = 0;
}

void Upstream::send_cleaning(std::string_view sql) {
  send_query(sql);
  replies.back().cleans = true;
}

void Upstream::replace_unnamed(std::uint64_t session) {
  if (replies.empty()) {
    unnamed_is_certain = true;
  } else if (unnamed_of != session) {
    unnamed_is_certain = false;
  }
  unnamed_of = session;
}

void Upstream::end_batch() {
  skipping = in_batch = false;
  // Should the batch fail, the server still has another client's.
  if (!unnamed_is_certain) unnamed_of = 0;
}

void Upstream::adopt_settings(const SettingsPtr& wanted) {
  if (settings == wanted) return;
  const std::string sql = difference_sql(*settings, *wanted);
  const std::string* encoding = wanted->find("client_encoding");
  const std::string* present = settings->find("client_encoding");
  settings = wanted;
  const bool is_ascii = std::ranges::all_of(sql, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  // The server reads a text as a whole in the encoding that holds when it arrives.
  if (!is_ascii && encoding != nullptr && (present == nullptr || *present != *encoding)) {
    send_query(set_sql("client_encoding", *encoding));
  }
  if (!sql.empty()) send_query(sql);
}

// The server has reported an error and ignores everything up to the next Sync: nothing before that is
// answered.
void Upstream::drop_failed_batch() {
  bool unnamed_is_old = false;  // it may still have the unnamed statement of somebody else
  while (!replies.empty() && replies.front().kind != Reply::Kind::kSync) {
    const Reply& reply = replies.front();
    // A Close that was not done leaves it where it is; a Parse may have failed because it is there.
    const bool doubtful = reply.kind == Reply::Kind::kParse || reply.kind == Reply::Kind::kClose;
    if (doubtful && reply.statement != nullptr) prepared.doubt(reply.statement);
    unnamed_is_old |= doubtful && reply.statement == nullptr;
    replies.pop();
  }
  skipping = replies.empty();
  for (std::size_t i = 0; i < replies.size(); ++i) {
    // One in a later batch will take its place.
    if (replies.at(i).kind == Reply::Kind::kParse && replies.at(i).statement == nullptr)
      unnamed_is_old = false;
  }
  if (unnamed_is_old) unnamed_of = 0;
}

// What an error says about the connection and its statements.
void Upstream::note_error(base::ByteView body) {
  const auto error = pgwire::parse_error(body);
  if (!error) return;
  if (error->severity == "FATAL" || error->severity == "PANIC") broken = true;
  // A client on a direct connection prepares the statement anew under another name; ours stands for all
  // clients and must be prepared anew under the same one.
  const bool plan_is_stale = error->error.sqlstate == base::kFeatureNotSupported &&
                             error->error.message.starts_with("cached plan must not change result type");
  const bool bound =
      !replies.empty() && replies.front().kind == Reply::Kind::kBind && replies.front().statement != nullptr;
  // Somebody has deallocated it under our name.
  if (bound && error->error.sqlstate == base::kUndefinedPreparedStatement) {
    prepared.doubt(replies.front().statement);
  }
  if (plan_is_stale && bound) {
    const StatementPtr& statement = replies.front().statement;
    prepared.doubt(statement);
    // The tables have changed without our knowledge: neither will it fit anywhere else.
    statement->outdated_until.store(now_ns(), std::memory_order_relaxed);
    schema_->changed_at.store(now_ns(), std::memory_order_relaxed);
  }
}

Upstream::Prepared Upstream::is_prepared(const Statement& statement, bool afresh) const {
  if (replies.may_be_skipped(statement, afresh)) return Prepared::kOutdated;
  const auto at = prepared.prepared_at(statement);
  if (!at.has_value()) return Prepared::kNo;
  std::int64_t outdated = statement.outdated_until.load(std::memory_order_relaxed);
  if (afresh) {
    outdated = std::max({outdated, schema_changed_at_, schema_->changed_at.load(std::memory_order_relaxed)});
  }
  return *at > outdated ? Prepared::kYes : Prepared::kOutdated;
}

// The client ends a COPY: that under way, or one that is still to begin (a text may hold several).
void Upstream::end_copy() {
  if (!std::exchange(copy_in, false) && !replies.empty()) ++replies.back().copies_ended;
}

// The server reads CopyData. Syncs before the CopyDone or CopyFail it reads with them, and ignores them.
void Upstream::begin_copy() {
  std::size_t last = 0;  // the entry behind which the end was sent
  while (last < replies.size() && replies.at(last).copies_ended == 0) ++last;
  copy_in = last == replies.size();
  if (!copy_in) --replies.at(last).copies_ended;
  const auto is_sync = [](const Reply& reply) { return reply.kind == Reply::Kind::kSync; };
  const std::size_t ignored = replies.drop(1, std::min(last + 1, replies.size()), is_sync);
  ignored_syncs += ignored;
  if (ignored == 0 || replies.front().kind != Reply::Kind::kExecute) return;
  // Then the batch is not over, whatever was meant to end it.
  bool sync_follows = false;
  for (std::size_t i = 1; i < replies.size(); ++i) sync_follows |= is_sync(replies.at(i));
  if (!sync_follows) in_batch = true;
}

pgwire::CommandTag Upstream::note_command(base::ByteView body, bool cleans, SettingsTable& settings_table) {
  const auto text = pgwire::parse_command_complete(body);
  const pgwire::CommandTag tag = text ? pgwire::classify_tag(*text) : pgwire::CommandTag::kOther;
  was_reset |= tag == pgwire::CommandTag::kReset || tag == pgwire::CommandTag::kDiscardAll;
  const bool our_reset = tag == pgwire::CommandTag::kReset && cleans;
  if (tag == pgwire::CommandTag::kDiscardAll || our_reset) {
    // What the server reports it reports; settings it does not report are back at their start.
    Settings::Values reported;
    for (const auto& entry : settings->values()) {
      if (settings_at_login->find(entry.first) != nullptr) reported.push_back(entry);
    }
    settings = settings_table.intern(std::move(reported));
    unnamed_of = 0;
  }
  if (tag == pgwire::CommandTag::kSchemaChange) schema_changed_at_ = now_ns();
  if (tag == pgwire::CommandTag::kDiscardAll || tag == pgwire::CommandTag::kDeallocateAll) {
    prepared.clear();
    // What has been sent behind it is prepared, or closed, after it.
    for (std::size_t i = 0; i < replies.size(); ++i) {
      const Reply& reply = replies.at(i);
      if (reply.statement == nullptr) continue;
      if (reply.kind == Reply::Kind::kParse) prepared.insert(reply.statement, now_ns());
      if (reply.kind == Reply::Kind::kClose) prepared.erase(*reply.statement);
    }
  }
  return tag;
}

base::Result<Upstream::Tracked> Upstream::track(const pgwire::FrameScanner::Event& event,
                                                SettingsTable& settings_table) {
  namespace reply = pgwire::reply;
  using Kind = Reply::Kind;
  const bool whole = event.kind == pgwire::FrameScanner::Kind::kMessage;
  const bool known = !replies.empty();
  const Kind head = known ? replies.front().kind : Kind::kSync;
  const bool cleans = known && replies.front().cleans;
  Tracked result{.visible = !known || replies.front().visible};
  const auto unexpected = [&]() -> base::Result<Tracked> {
    broken = true;
    return base::fail(base::kProtocolViolation,
                      fmt::format("unexpected message type 0x{:02X} from the server", event.type));
  };
  const auto answers = [&](Kind kind) -> base::Result<Tracked> {
    if (!known || head != kind) return unexpected();
    replies.pop();
    return result;
  };
  if (!whole && !event.first) return result;  // the rest of a long message
  switch (event.type) {
    case reply::kDataRow:
    case reply::kCopyData:
    case reply::kRowDescription:
    case reply::kParameterDescription:
    case reply::kFunctionCallResponse:
      if (!known) return unexpected();
      if (event.type == reply::kRowDescription && head == Kind::kDescribe) replies.pop();
      return result;
    case reply::kReadyForQuery: {
      // A COPY has failed before its Sync was read: that is answered after all.
      const bool is_late = !known && ignored_syncs > 0;
      if (!is_late && (!known || !replies.front().ends_with_ready())) return unexpected();
      const auto state = pgwire::parse_ready_for_query(event.body());
      if (!state) return unexpected();
      if (is_late) {
        --ignored_syncs;
        end_batch();
      } else {
        result.visible |= replies.front().ends_request;
        replies.pop();
      }
      status = *state;
      copy_in = false;
      if (schema_changed_at_ != 0 && status == pgwire::kStatusIdle) {
        // Others see the change from now on.
        schema_->changed_at.store(now_ns(), std::memory_order_relaxed);
        schema_changed_at_ = 0;
      }
      result.ready = true;
      return result;
    }
    case reply::kCommandComplete:
      if (!known || (head != Kind::kQuery && head != Kind::kExecute)) return unexpected();
      copy_in = false;
      ignored_syncs = 0;
      if (head == Kind::kExecute) replies.pop();
      if (whole) result.tag = note_command(event.body(), cleans, settings_table);
      return result;
    case reply::kEmptyQueryResponse:
    case reply::kPortalSuspended:
      if (!known || (head != Kind::kQuery && head != Kind::kExecute)) return unexpected();
      if (head == Kind::kExecute) replies.pop();
      return result;
    case reply::kParseComplete: {
      return answers(Kind::kParse);
    }
    case reply::kBindComplete:
      return answers(Kind::kBind);
    case reply::kCloseComplete:
      return answers(Kind::kClose);
    case reply::kNoData:
      return answers(Kind::kDescribe);
    case reply::kErrorResponse:
      copy_in = false;
      if (ignored_syncs > 0) close_when_free = true;  // nobody knows how many of them will be answered
      if (whole) note_error(event.body());
      // Fatal, or without a request: it says why the server is about to close the connection, and the client
      // should know.
      if (!known || broken) {
        broken = true;
        return Tracked{};
      }
      if (head == Kind::kQuery) {
        result.failed = !result.visible;
        return result;
      }
      result.visible = true;  // also when it answers a Parse of our own: the client's Bind has failed by it
      if (head != Kind::kSync) drop_failed_batch();
      return result;
    case reply::kParameterStatus: {
      const auto parameter = pgwire::parse_parameter_status(event.body());
      if (!parameter) return unexpected();
      if (!is_read_only(parameter->name)) {
        settings = settings_table.with(settings, parameter->name, parameter->value);
      }
      result.visible |= known && replies.front().ends_request;
      return result;
    }
    case reply::kCopyInResponse:
    case reply::kCopyBothResponse:
      if (!known) return unexpected();
      begin_copy();
      return result;
    case reply::kCopyOutResponse:
    case reply::kCopyDone:
      if (!known) return unexpected();
      return result;
    case reply::kNotificationResponse:
      result.visible = true;  // it answers nothing: whoever listens is to hear it whatever runs
      return result;
    case reply::kNoticeResponse:
      return result;
    default:
      return unexpected();
  }
}

}  // namespace penstock::upstream
