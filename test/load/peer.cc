#include "peer.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace penstock::load {

namespace {

constexpr auto kSlowPause = std::chrono::milliseconds(20);
constexpr auto kCancelPatience = std::chrono::seconds(30);

}  // namespace

Task<Outcome> Peer::connect_to(const bench::Endpoint& target) {
  fd_.reset(bench::start_connect(target));
  if (fd_.get() < 0) co_return Outcome::kLost;
  const bool writable = co_await loop_.wait(fd_.get(), EPOLLOUT, loop_.now() + plan_.stuck_after);
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (writable && error == 0) co_return Outcome::kGood;
  fd_.reset();
  co_return Outcome::kLost;
}

Task<Outcome> Peer::open(const bench::Endpoint& target, const Parameters& parameters) {
  ++tally_.connects;
  inbox_.clear();
  received_.clear();
  sqlstate_.clear();
  slow_bytes_ = 0;
  status_ = '?';
  if (co_await connect_to(target) != Outcome::kGood) {
    ++tally_.connects_failed;
    co_return Outcome::kLost;
  }
  base::ByteWriter out;
  {
    bench::MessageWriter startup(out);
    startup->be32(3 << 16);
    for (const auto& [name, value] :
         {std::pair<std::string_view, std::string_view>{"user", plan_.user}, {"database", plan_.database}}) {
      startup->cstring(name);
      startup->cstring(value);
    }
    for (const auto& [name, value] : parameters) {
      startup->cstring(name);
      startup->cstring(value);
      settle_setting(name, value);
    }
    startup->u8(0);
  }
  Outcome outcome = co_await send(base::as_text(out.view()));
  if (outcome == Outcome::kGood) outcome = co_await log_in();
  if (outcome != Outcome::kGood) {
    ++tally_.connects_failed;
    drop(false);
  }
  co_return outcome;
}

Task<Outcome> Peer::log_in() {
  while (true) {
    std::optional<Received> message = co_await next();
    if (!message) co_return timed_out_ ? complain("no answer to the login") : Outcome::kLost;
    if (message->type == 'R') {
      const Outcome outcome = co_await answer_authentication(std::move(message->body));
      if (outcome != Outcome::kGood) co_return outcome;
    } else if (message->type == 'K') {
      key_data_ = message->body;
    } else if (message->type == 'E') {
      co_return on_login_error(message->body);
    } else if (message->type == 'Z') {
      status_ = message->body.at(0);
      co_return status_ == 'I' ? Outcome::kGood : complain("a fresh connection is in a transaction");
    } else {
      co_return complain(fmt::format("message '{}' during login", message->type));
    }
  }
}

Outcome Peer::on_login_error(std::string_view body) {
  const bench::ServerSays says = bench::read_error(body);
  sqlstate_ = says.sqlstate;
  ++tally_.errors["login " + sqlstate_];
  if (plan_.tolerated.contains(sqlstate_)) return Outcome::kLost;
  return complain(fmt::format("login refused: {} {}", says.sqlstate, says.message));
}

Task<Outcome> Peer::answer_authentication(std::string body) {
  bench::Fields fields(body);
  const std::uint32_t kind = fields.be32();
  base::ByteWriter out;
  if (kind == 0) co_return Outcome::kGood;
  if (kind == 3 || kind == 5) {
    bench::MessageWriter(out, 'p')->cstring(
        kind == 3 ? plan_.password : bench::md5_answer(plan_.user, plan_.password, fields.take(4)));
  } else if (kind == 10) {
    scram_ = std::make_unique<bench::ScramClient>();
    const std::string first = scram_->first(fmt::format("load{}x{}", plan_.seed, tally_.connects));
    bench::MessageWriter message(out, 'p');
    message->cstring("SCRAM-SHA-256");
    message->be32(static_cast<std::uint32_t>(first.size()));
    message->raw(first);
  } else if (kind == 11) {
    const auto answer = scram_ ? scram_->final(fields.rest(), keys_) : std::nullopt;
    if (!answer) co_return complain("SCRAM makes no sense");
    bench::MessageWriter(out, 'p')->raw(*answer);
  } else {
    const bool genuine = kind == 12 && scram_ && scram_->server_is_genuine(fields.rest());
    co_return genuine ? Outcome::kGood : complain("the server could not prove who it is");
  }
  co_return co_await send(base::as_text(out.view()));
}

Task<Outcome> Peer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!is_open()) co_return Outcome::kLost;
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      const bool writable = co_await loop_.wait(fd_.get(), EPOLLOUT, loop_.now() + plan_.stuck_after);
      if (!writable) co_return complain("nobody takes what we send");
    } else {
      // Whatever the other end said before it went is still to be read.
      co_return Outcome::kGood;
    }
  }
  co_return Outcome::kGood;
}

Task<std::optional<Peer::Received>> Peer::next() {
  const std::span<char> buffer = loop_.scratch();
  timed_out_ = false;
  while (received_.empty()) {
    if (!is_open()) co_return std::nullopt;
    const std::size_t wanted = slow_bytes_ == 0 ? buffer.size() : std::min(slow_bytes_, buffer.size());
    if (slow_bytes_ != 0) (void)co_await loop_.sleep(kSlowPause);
    const ssize_t got = recv(fd_.get(), buffer.data(), wanted, 0);
    if (got < 0 && errno == EAGAIN) {
      const bool readable = co_await loop_.wait(fd_.get(), EPOLLIN, loop_.now() + plan_.stuck_after);
      timed_out_ = !readable;
      if (timed_out_) co_return std::nullopt;
      continue;
    }
    if (got <= 0) {
      fd_.reset();
      co_return std::nullopt;
    }
    tally_.bytes += static_cast<std::uint64_t>(got);
    inbox_.feed({buffer.data(), static_cast<std::size_t>(got)}, [this](const bench::Message& message) {
      ++tally_.messages;
      if (message.type == 'S') {
        on_parameter(message.body);
      } else if (message.type == 'A') {
        (void)complain("a notification that nobody listens for");
      } else if (message.type != 'N') {
        received_.push_back({message.type, std::string(message.body)});
      }
      return bench::Inbox::Verdict::kTaken;
    });
    if (inbox_.broken()) {
      (void)complain("a length word that cannot be");
      fd_.reset();
    }
  }
  Received message = std::move(received_.front());
  received_.pop_front();
  co_return message;
}

Task<Outcome> Peer::play(const Script& script) {
  const Outcome sent = co_await send(script.bytes());
  if (sent != Outcome::kGood) co_return sent;
  co_return co_await check(script);
}

Task<Outcome> Peer::check(const Script& script) {
  ++tally_.exchanges;
  Checker checker(script);
  while (checker.state() == Checker::State::kMore || checker.state() == Checker::State::kFailing) {
    std::optional<Received> message = co_await next();
    if (!message) {
      sqlstate_ = checker.sqlstate();
      if (timed_out_) co_return complain(fmt::format("no answer to {}", shown(script.bytes())));
      co_return Outcome::kLost;
    }
    checker.take(message->type, message->body);
  }
  status_ = checker.status();
  sqlstate_ = checker.sqlstate();
  captured_ = checker.captured();
  if (checker.state() == Checker::State::kFailed) co_return Outcome::kFailed;
  if (checker.state() == Checker::State::kDone && received_.empty()) co_return Outcome::kGood;
  if (checker.state() == Checker::State::kDone && received_.front().type == 'E') {
    // The server was killed right after its answer, and the pooler has passed that on although nothing was
    // asked.
    ++tally_.late_errors;
    sqlstate_ = bench::read_error(received_.front().body).sqlstate;
    fd_.reset();
    co_return Outcome::kLost;
  }
  co_return complain(checker.state() == Checker::State::kWrong
                         ? checker.complaint()
                         : fmt::format("message '{}' that nobody asked for", received_.front().type));
}

Task<Outcome> Peer::swallow(std::size_t bytes_max) {
  const std::span<char> buffer = loop_.scratch();
  while (bytes_max > 0 && is_open()) {
    const bool readable = co_await loop_.wait(fd_.get(), EPOLLIN, loop_.now() + plan_.stuck_after);
    if (!readable) co_return complain("a result that does not go on");
    const ssize_t got = recv(fd_.get(), buffer.data(), std::min(bytes_max, buffer.size()), 0);
    if (got <= 0) co_return Outcome::kLost;
    bytes_max -= static_cast<std::size_t>(got);
  }
  co_return Outcome::kGood;
}

void Peer::drop(bool hard) {
  if (hard && is_open()) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  }
  fd_.reset();
}

Task<Outcome> Peer::finish() {
  (void)co_await send(std::string_view("X\0\0\0\4", 5));
  fd_.reset();
  co_return Outcome::kGood;
}

Task<Outcome> Peer::cancel(const bench::Endpoint& target) {
  ++tally_.cancels;
  Peer messenger(loop_, plan_, tally_, keys_, name_ + " (cancel)");
  if (co_await messenger.connect_to(target) != Outcome::kGood) co_return Outcome::kLost;
  base::ByteWriter out;
  bench::write_cancel(out, key_data_);
  (void)co_await messenger.send(base::as_text(out.view()));
  // The other end closes when it has done what it could.
  (void)co_await loop_.wait(messenger.fd_.get(), EPOLLIN, loop_.now() + kCancelPatience);
  co_return Outcome::kGood;
}

void Peer::allow_setting(std::string_view name, std::string_view value) {
  settings_[std::string(name)].emplace_back(value);
}

void Peer::settle_setting(std::string_view name, std::string_view value) {
  settings_[std::string(name)] = {std::string(value)};
}

void Peer::on_parameter(std::string_view body) {
  bench::Fields fields(body);
  const std::string_view name = fields.cstring();
  const std::string_view value = fields.cstring();
  const auto known = settings_.find(name);
  if (known == settings_.end() || std::ranges::find(known->second, value) != known->second.end()) return;
  (void)complain(fmt::format("told that {} is {}, which is somebody else's", name, value));
}

Outcome Peer::complain(std::string_view what) {
  tally_.violation(fmt::format("{}: {}", name_, what));
  fd_.reset();
  return Outcome::kWrong;
}

}  // namespace penstock::load
