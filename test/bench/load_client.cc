#include "load_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "token.h"

namespace penstock::bench {

int LoadClient::connect() {
  const LoadOptions& options = host_.options();
  const std::uint32_t source = options.sources == 0 ? 0 : options.first_source + number_ % options.sources;
  const int fd = start_connect(options.target, source, options.receive_buffer);
  if (fd < 0) return -1;
  connection_.open(fd);
  inbox_.clear();
  state_ = State::kConnecting;
  announced_ = false;
  opened_ns_ = host_.now_ns();
  return fd;
}

void LoadClient::on_writable() {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(connection_.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lose("connect failed");
    if (host_.options().tls) {
      base::ByteWriter request;
      MessageWriter(request)->be32(80877103);
      connection_.send(base::as_text(request.view()));
      state_ = State::kTlsAnswer;
    } else {
      begin_login();
    }
    return;
  }
  if (connection_.flush() == LoadConnection::Progress::kFailed) return lose("connection lost");
  if (copy_left_ > 0) send_copy();
}

void LoadClient::go_on_with_handshake() {
  const auto progress = connection_.has_tls()
                            ? connection_.handshake()
                            : connection_.start_tls(host_.tls(), host_.take_tls_session().get());
  if (progress == LoadConnection::Progress::kFailed) return lose("TLS handshake failed");
  if (progress != LoadConnection::Progress::kDone) return;
  if (connection_.is_resumed()) ++host_.totals().resumed;
  begin_login();
}

void LoadClient::begin_login() {
  const LoadOptions& options = host_.options();
  base::ByteWriter& out = host_.out();
  out.clear();
  write_startup(out, named(options.user), named(options.database), "loadgen");
  connection_.send(base::as_text(out.view()));
  state_ = State::kLogin;
}

std::string LoadClient::named(const std::string& pattern) const {
  const std::size_t at = pattern.find("{}");
  if (at == std::string::npos) return pattern;
  const std::uint32_t name = (number_ + serial_) % host_.options().names;
  return pattern.substr(0, at) + std::to_string(name) + pattern.substr(at + 2);
}

void LoadClient::lose(const char* why) {
  if (state_ == State::kOff) return;
  ++host_.totals().errors[why];
  const bool was_busy = busy();
  connection_.close();
  scram_.reset();
  state_ = State::kOff;
  copy_left_ = 0;
  host_.on_lost(*this, announced_, was_busy);
}

void LoadClient::finish() {
  if (connection_.is_open()) connection_.send(std::string_view("X\0\0\0\4", 5));
  connection_.close();
  state_ = State::kOff;
}

void LoadClient::on_bytes(std::string_view bytes) {
  if (state_ == State::kTlsAnswer) {
    if (bytes != "S") return lose("TLS refused");
    state_ = State::kHandshake;
    return go_on_with_handshake();
  }
  inbox_.feed(bytes, [this](const Message& message) { return on_message(message); });
  if (inbox_.broken()) {
    host_.totals().violation("a length word that cannot be");
    lose("protocol violation");
  }
}

Inbox::Verdict LoadClient::on_message(const Message& message) {
  switch (message.type) {
    case 'D': {
      Fields fields(message.body);
      if (fields.be16() != 1 || fields.be32() != fields.rest().size()) {
        host_.totals().violation("a row that is not one column");
      } else {
        on_row(fields.rest());
      }
      break;
    }
    case 'd':
      on_row(message.body.substr(0, message.body.size() - message.body.ends_with('\n')));
      break;
    case 'C':
      if (state_ != State::kBusy) break;
      if (!failed_ && rows_ != (host_.options().mode == LoadMode::kCopyIn ? 0 : host_.options().rows)) {
        host_.totals().violation(
            fmt::format("client {} query {}: {} rows", number_, serial_ + answered_, rows_));
      }
      ++answered_;
      rows_ = 0;
      break;
    case 'G':
      copy_left_ = host_.options().rows;
      send_copy();
      break;
    case 'Z':
      on_ready_for_query();
      break;
    case 'E':
      on_error(message.body);
      break;
    case 'R':
      on_authentication(message.body);
      break;
    case 'T':
    case 't':
    case 'n':
    case '1':
    case '2':
    case '3':
    case 'H':
    case 'c':
    case 'S':
    case 'K':
    case 'N':
    case 'A':
    case 'v':
      break;
    default:
      host_.totals().violation(fmt::format("a message of type '{}'", message.type));
  }
  return Inbox::Verdict::kTaken;
}

void LoadClient::on_row(std::string_view value) {
  ++rows_;
  if (state_ != State::kBusy) return host_.totals().violation("a row that nobody asked for");
  const Token token(number_, serial_ + answered_);
  const bool right =
      value.size() == Token::kSize * host_.options().repeat && is_repeated(value, token.view());
  if (!right) {
    host_.totals().violation(fmt::format("asked {}, got {}", token.view(), value.substr(0, 60)));
  }
}

void LoadClient::on_error(std::string_view body) {
  const std::string_view sqlstate = read_error(body).sqlstate;
  ++host_.totals().errors[(logged_in() ? "" : "login ") + std::string(sqlstate)];
  failed_ = true;
  rows_ = 0;
}

void LoadClient::on_ready_for_query() {
  if (state_ == State::kLogin) {
    on_login_over();
  } else if (state_ == State::kPreparing) {
    if (ready_expected_ > 0) --ready_expected_;
    if (ready_expected_ == 0) {
      announce();
    }
  } else if (state_ == State::kBusy && --ready_expected_ == 0) {
    const LoadOptions& options = host_.options();
    if (!failed_ && answered_ != options.pipeline) {
      host_.totals().violation(
          fmt::format("client {}: {} answers to {} queries", number_, answered_, options.pipeline));
    }
    serial_ += options.pipeline;
    state_ = State::kIdle;
    if (!announced_) {
      greeted_ = true;
      host_.totals().greeting.record(host_.now_ns() - opened_ns_);
      announce();
    } else {
      host_.totals().latency.record(host_.now_ns() - due_ns_);
      host_.totals().queries += failed_ ? 0 : answered_;
      host_.on_answered(*this);
    }
  }
}

void LoadClient::on_login_over() {
  const std::uint64_t took_ns = host_.now_ns() - opened_ns_;
  host_.totals().login.record(took_ns);
  scram_.reset();
  if (host_.options().mode == LoadMode::kLogin) {
    host_.totals().latency.record(took_ns);
    ++host_.totals().queries;
    ++serial_;
  }
  greeted_ = !host_.options().greet;
  host_.options().mode == LoadMode::kPrepared ? prepare() : announce();
}

void LoadClient::announce() {
  state_ = State::kIdle;
  if (!greeted_) return ask(host_.now_ns());
  announced_ = true;
  host_.on_ready(*this);
}

std::string LoadClient::expression(std::string_view value) const {
  const LoadOptions& options = host_.options();
  std::string sql = options.repeat == 1 ? fmt::format("SELECT {}", value)
                                        : fmt::format("SELECT repeat({}, {})", value, options.repeat);
  if (options.rows > 1) sql += fmt::format(" FROM generate_series(1, {})", options.rows);
  return sql;
}

void LoadClient::prepare() {
  base::ByteWriter& out = host_.out();
  out.clear();
  for (unsigned i = 0; i < host_.options().statements; ++i) {
    write_parse(out, fmt::format("s{}", i), fmt::format("{} /* {} */", expression("$1::text"), i));
  }
  write_bare(out, 'S');
  ready_expected_ = 1;
  state_ = State::kPreparing;
  connection_.send(base::as_text(out.view()));
}

void LoadClient::ask(std::uint64_t due_ns) {
  base::ByteWriter& out = host_.out();
  out.clear();
  due_ns_ = host_.options().mode == LoadMode::kConnect ? opened_ns_ : due_ns;
  answered_ = 0;
  rows_ = 0;
  failed_ = false;
  state_ = State::kBusy;
  write_batch(out);
  connection_.send(base::as_text(out.view()));
}

void LoadClient::write_batch(base::ByteWriter& out) {
  const LoadOptions& options = host_.options();
  for (unsigned i = 0; i < options.pipeline; ++i) write_one(out, Token(number_, serial_ + i).view());
  const bool extended = options.mode == LoadMode::kExtended || options.mode == LoadMode::kPrepared;
  ready_expected_ = extended ? 1 : options.pipeline;
  if (extended) write_bare(out, 'S');
}

void LoadClient::write_one(base::ByteWriter& out, std::string_view token) {
  const LoadOptions& options = host_.options();
  const bool plain = options.repeat == 1 && options.rows == 1;
  switch (options.mode) {
    case LoadMode::kSimple:
    case LoadMode::kConnect:
      if (plain) {
        MessageWriter message(out, 'Q');
        message->raw("SELECT '");
        message->raw(token);
        message->cstring("'");
      } else {
        write_query(out, expression(fmt::format("'{}'", token)));
      }
      break;
    case LoadMode::kExtended:
      write_parse(out, "", plain ? "SELECT $1::text" : expression("$1::text"));
      write_bind(out, "", token);
      write_describe(out, 'P', "");
      write_execute(out);
      break;
    case LoadMode::kPrepared: {
      char name[16];
      *fmt::format_to(name, "s{}", (serial_ + token.back()) % options.statements) = '\0';
      write_bind(out, name, token);
      write_describe(out, 'P', "");
      write_execute(out);
      break;
    }
    case LoadMode::kCopyOut:
      write_query(out, fmt::format("COPY ({}) TO STDOUT", expression(fmt::format("'{}'", token))));
      break;
    case LoadMode::kCopyIn:
      write_query(out, "COPY bench_sink FROM STDIN");
      break;
    case LoadMode::kLogin:
      break;
  }
}

void LoadClient::send_copy() {
  static const std::string kBlock = [] {
    base::ByteWriter block;
    for (int i = 0; i < 512; ++i)
      MessageWriter(block, 'd')
          ->raw(
              "a line of one hundred bytes, near enough, for a table that "
              "nobody will ever read, but which is long\n");
    return std::string(base::as_text(block.view()));
  }();
  static const std::size_t kLineBytes = kBlock.size() / 512;
  while (copy_left_ > 0 && !connection_.has_unsent()) {
    const std::uint64_t lines = std::min<std::uint64_t>(copy_left_, 512);
    connection_.send(std::string_view(kBlock).substr(0, lines * kLineBytes));
    host_.totals().bytes_out += lines * kLineBytes;
    copy_left_ -= lines;
    if (copy_left_ == 0) connection_.send(std::string_view("c\0\0\0\4", 5));
  }
}

void LoadClient::on_authentication(std::string_view body) {
  const LoadOptions& options = host_.options();
  Fields fields(body);
  switch (fields.be32()) {
    case 0:
      break;
    case 3:
      send_password({}, options.password + '\0');
      break;
    case 5:
      send_password({}, md5_answer(named(options.user), options.password, fields.take(4)) + '\0');
      break;
    case 10:
      scram_ = std::make_unique<ScramClient>();
      send_password("SCRAM-SHA-256", scram_->first(fmt::format("load{}x{}", number_, opened_ns_)));
      break;
    case 11: {
      const auto answer = scram_ ? scram_->final(fields.rest(), host_.scram_keys()) : std::nullopt;
      if (!answer) return lose("SCRAM failed");
      send_password({}, *answer);
      break;
    }
    case 12:
      if (!scram_ || !scram_->server_is_genuine(fields.rest())) lose("server signature wrong");
      break;
    default:
      lose("unknown authentication method");
  }
}

void LoadClient::send_password(std::string_view mechanism, std::string_view text) {
  base::ByteWriter& out = host_.out();
  out.clear();
  {
    MessageWriter message(out, 'p');
    if (!mechanism.empty()) {
      message->cstring(mechanism);
      message->be32(static_cast<std::uint32_t>(text.size()));
    }
    message->raw(text);
  }
  connection_.send(base::as_text(out.view()));
}

}  // namespace penstock::bench
