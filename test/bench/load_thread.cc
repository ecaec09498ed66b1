#include "load_thread.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace penstock::bench {

namespace {

constexpr std::uint64_t kTurnMaxNs = 10'000'000;  // how late a change of phase may be noticed
constexpr std::uint64_t kRetryNs = 100'000'000;   // before connecting again after a failure
constexpr std::size_t kSessionsMax = 10'000;
constexpr std::size_t kScratchBytes = 256 * 1024;
constexpr std::uint64_t kPiecesPerSecond = 10;  // of a slow reader

}  // namespace

LoadThread::LoadThread(const LoadOptions& options, std::uint32_t first_client, unsigned clients, double rate)
    : options_(options),
      interval_ns_(rate > 0 ? static_cast<std::uint64_t>(1e9 / rate) : 0),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      scram_keys_(options.password),
      scratch_(kScratchBytes) {
  clients_.reserve(clients);
  for (unsigned i = 0; i < clients; ++i) clients_.emplace_back(*this, first_client + i);
  for (LoadClient& client : clients_) off_.push_back(&client);
  if (!options.tls) return;
  tls_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_mode(tls_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                   SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(tls_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_app_data(tls_.get(), this);
  SSL_CTX_sess_set_new_cb(tls_.get(), [](SSL* ssl, SSL_SESSION* session) {
    auto* self = static_cast<LoadThread*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    if (!self->options_.tls_resume || self->tls_sessions_.size() >= kSessionsMax) return 0;
    self->tls_sessions_.emplace_back(session);
    return 1;
  });
}

SslSessionPtr LoadThread::take_tls_session() {
  if (tls_sessions_.empty()) return nullptr;
  SslSessionPtr session = std::move(tls_sessions_.back());
  tls_sessions_.pop_back();
  return session;
}

LoadThread::~LoadThread() {
  clients_.clear();
}

void LoadThread::read_clock() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  now_ns_ = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

void LoadThread::run() {
  std::array<epoll_event, 512> events;
  while (phase_ != Phase::kStop) {
    read_clock();
    if (const Phase wanted = wanted_.load(); wanted != phase_) change_phase(wanted);
    connect_some();
    ask_what_is_due();
    wake_rested();
    const timespec wait = patience();
    const int count = epoll_pwait2(epoll_.get(), events.data(), events.size(), &wait, nullptr);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      on_event(*static_cast<LoadClient*>(event.data.ptr), event.events);
    }
  }
  for (LoadClient& client : clients_) {
    if (client.busy()) ++totals_.unanswered;
    client.finish();
  }
}

timespec LoadThread::patience() const {
  std::uint64_t wait_ns = kTurnMaxNs;
  if (asking() && interval_ns_ != 0 && !idle_.empty()) {
    wait_ns = next_due_ns_ <= now_ns_ ? 0 : std::min(wait_ns, next_due_ns_ - now_ns_);
  }
  return {0, static_cast<long>(wait_ns)};
}

void LoadThread::change_phase(Phase phase) {
  (phase_ == Phase::kMeasure ? measured_ : outside_).add(std::exchange(totals_, {}));
  phase_ = phase;
  if (phase == Phase::kWarm) {
    segments_before_ = segments_in();
    next_due_ns_ = now_ns_;
    if (interval_ns_ == 0) {
      for (LoadClient* client : std::exchange(idle_, {})) ask(*client, now_ns_);
    }
  }
  if (phase == Phase::kDrain) measured_.segments_in = segments_in() - segments_before_;
  if (phase == Phase::kDrain && interval_ns_ != 0 && next_due_ns_ < now_ns_) {
    measured_.overdue = (now_ns_ - next_due_ns_) / interval_ns_;
  }
}

LoadTotals LoadThread::result() {
  LoadTotals result = measured_;
  outside_.add(std::exchange(totals_, {}));
  result.queries_outside = outside_.queries;
  result.unanswered = outside_.unanswered;
  result.greeting.merge(outside_.greeting);
  for (const auto& [code, count] : outside_.errors) result.errors[code] += count;
  result.violations += outside_.violations;
  for (const std::string& what : outside_.first_violations) result.first_violations.push_back(what);
  return result;
}

void LoadThread::connect_some() {
  if (now_ns_ < retry_at_ns_ || phase_ >= Phase::kDrain) return;
  while (!off_.empty() && connecting_ < options_.connecting_max) {
    LoadClient& client = *off_.front();
    if (client.connect() < 0) {
      ++totals_.errors[std::string("connect: ") + std::strerror(errno)];
      ++failures_;
      retry_at_ns_ = now_ns_ + kRetryNs;
      return;
    }
    off_.pop_front();
    ++connecting_;
    watch(client, EPOLL_CTL_ADD, true);
  }
}

void LoadThread::ask_what_is_due() {
  if (!asking() || interval_ns_ == 0) return;
  while (!idle_.empty() && next_due_ns_ <= now_ns_) {
    LoadClient& client = *idle_.front();
    idle_.pop_front();
    ask(client, next_due_ns_);
    next_due_ns_ += interval_ns_ * options_.pipeline;
  }
}

void LoadThread::ask(LoadClient& client, std::uint64_t due_ns) {
  if (options_.mode == LoadMode::kLogin) {  // nothing to ask: it comes again
    client.finish();
    --ready_;
    off_.push_back(&client);
    return;
  }
  ++outstanding_;
  client.ask(due_ns);
  if (client.connection().has_unsent()) watch(client, EPOLL_CTL_MOD, true);
}

void LoadThread::watch(LoadClient& client, int operation, bool writing) {
  epoll_event event{};
  event.events = EPOLLIN | (writing ? std::uint32_t{EPOLLOUT} : 0U);
  event.data.ptr = &client;
  epoll_ctl(epoll_.get(), operation, client.connection().fd(), &event);
}

void LoadThread::on_event(LoadClient& client, std::uint32_t events) {
  LoadConnection& connection = client.connection();
  if (!connection.is_open()) return;
  read_clock();
  if ((events & EPOLLOUT) != 0) {
    client.on_writable();
    if (connection.is_open() && !connection.has_unsent()) watch(client, EPOLL_CTL_MOD, false);
  }
  while ((events & ~std::uint32_t{EPOLLOUT}) != 0 && connection.is_open()) {
    if (client.in_handshake()) {
      client.go_on_with_handshake();
      if (client.in_handshake()) return;
      continue;
    }
    // Before TLS begins, the answer is one byte; what follows it belongs to the handshake.
    const bool one_byte = options_.tls && !connection.has_tls();
    const bool slowly = options_.read_rate != 0 && client.busy();
    const std::size_t most = slowly ? options_.read_rate / kPiecesPerSecond : scratch_.size();
    const ssize_t got = connection.receive(scratch_.data(), one_byte ? 1 : std::min(most, scratch_.size()));
    if (got < 0) return client.lose(client.logged_in() ? "connection lost" : "connection lost in login");
    if (got == 0) break;
    totals_.bytes_in += static_cast<std::uint64_t>(got);
    client.on_bytes({scratch_.data(), static_cast<std::size_t>(got)});
    if (slowly && connection.is_open()) return rest(client);
    if (!connection.has_tls() && !client.in_handshake()) break;
  }
  if (connection.is_open() && connection.has_unsent()) watch(client, EPOLL_CTL_MOD, true);
}

void LoadThread::rest(LoadClient& client) {
  epoll_event nothing{};
  nothing.data.ptr = &client;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.connection().fd(), &nothing);
  resting_.emplace_back(now_ns_ + 1'000'000'000 / kPiecesPerSecond, &client);
}

void LoadThread::wake_rested() {
  while (!resting_.empty() && resting_.front().first <= now_ns_) {
    LoadClient& client = *resting_.front().second;
    resting_.pop_front();
    if (client.connection().is_open()) watch(client, EPOLL_CTL_MOD, client.connection().has_unsent());
  }
}

std::uint64_t LoadThread::segments_in() const {
  std::uint64_t total = 0;
  if (!options_.segments) return total;
  for (const LoadClient& client : clients_) total += client.connection().segments_in();
  return total;
}

void LoadThread::on_ready(LoadClient& client) {
  --connecting_;
  ++ready_;
  if (asking() && interval_ns_ == 0) {
    ask(client, now_ns_);
  } else {
    idle_.push_back(&client);
  }
}

void LoadThread::on_answered(LoadClient& client) {
  --outstanding_;
  if (options_.mode == LoadMode::kConnect) {
    client.finish();
    --ready_;
    off_.push_back(&client);
  } else if (asking() && interval_ns_ == 0) {
    ask(client, now_ns_);
  } else {
    idle_.push_back(&client);
  }
}

void LoadThread::on_lost(LoadClient& client, bool was_ready, bool was_busy) {
  ++failures_;
  if (!was_ready) {
    --connecting_;
    retry_at_ns_ = now_ns_ + kRetryNs;
  } else {
    --ready_;
    was_busy ? static_cast<void>(--outstanding_) : static_cast<void>(std::erase(idle_, &client));
  }
  off_.push_back(&client);
}

}  // namespace penstock::bench
