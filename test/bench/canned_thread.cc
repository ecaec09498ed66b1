#include "canned_thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/random.h"

namespace penstock::bench {

namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kKeptMax =
    1024 * 1024;  // read no more from a client that sends while its answer is delayed
constexpr std::uint32_t kFirstPid = 1000;

// The low bit of an event's pointer-sized datum tells descriptors of the thread's own from connections.
constexpr std::uint64_t kOwn = 1;

}  // namespace

CannedThread::CannedThread(const CannedConfig& config, std::vector<std::unique_ptr<CannedThread>>& peers,
                           const std::vector<Descriptor>& listeners)
    : config_(config),
      peers_(peers),
      next_pid_(kFirstPid + static_cast<std::uint32_t>(peers.size())),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      scratch_(kReadBytes) {
  const auto watch = [this](int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (static_cast<std::uint64_t>(fd) << 1) | kOwn;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) die_errno("epoll_ctl");
  };
  for (const Descriptor& listener : listeners) watch(listener.get(), EPOLLIN | EPOLLEXCLUSIVE);
  watch(wake_.get(), EPOLLIN);
}

CannedThread::~CannedThread() = default;

std::uint64_t CannedThread::now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

void CannedThread::run() {
  std::array<epoll_event, 256> events;
  while (!stopping_) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms());
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if ((event.data.u64 & kOwn) == 0) {
        on_event(*static_cast<Connection*>(event.data.ptr), event.events);
      } else if (const int fd = static_cast<int>(event.data.u64 >> 1); fd == wake_.get()) {
        run_orders();
      } else {
        accept_from(fd);
      }
    }
    run_due();
    dead_.clear();
  }
}

void CannedThread::accept_from(int listener) {
  while (true) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    set_no_delay(fd);
    const std::uint32_t pid = next_pid_;
    next_pid_ += static_cast<std::uint32_t>(peers_.size());
    base::SystemRandom random;
    auto connection =
        std::make_unique<Connection>(*this, fd, pid, static_cast<std::uint32_t>(random.next_u64()));
    epoll_event event{};
    event.events = connection->armed = EPOLLIN;
    event.data.ptr = connection.get();
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    connections_.emplace(pid, std::move(connection));
    ++stats_.connections;
  }
}

void CannedThread::on_event(Connection& connection, std::uint32_t events) {
  if (connection.fd.get() < 0) return;
  if ((events & EPOLLOUT) != 0) {
    settle(connection);
  } else {
    on_readable(connection);
  }
}

void CannedThread::on_readable(Connection& connection) {
  const ssize_t got = read(connection.fd.get(), scratch_.data(), scratch_.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return close_connection(connection);
  connection.session.receive({scratch_.data(), static_cast<std::size_t>(got)});
  settle(connection);
}

void CannedThread::settle(Connection& connection) {
  CannedSession& session = connection.session;
  bool sent = send_all(connection);
  while (sent && session.has_more()) {
    session.advance();
    sent = send_all(connection);
  }
  if (connection.fd.get() < 0 || (sent && session.wants_close())) return close_connection(connection);
  if (session.wait_until_ns() != 0) due_.emplace(session.wait_until_ns(), connection.pid);

  const std::uint32_t wanted = !sent ? EPOLLOUT : session.kept() > kKeptMax ? 0U : std::uint32_t{EPOLLIN};
  if (wanted == connection.armed) return;
  epoll_event event{};
  event.events = connection.armed = wanted;
  event.data.ptr = &connection;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
}

bool CannedThread::send_all(Connection& connection) {
  if (!connection.unsent.empty()) {
    const ssize_t sent =
        send(connection.fd.get(), connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) connection.fd.reset();
    if (sent > 0) connection.unsent.erase(0, static_cast<std::size_t>(sent));
  }
  std::string_view fresh = base::as_text(out_.view());
  if (connection.unsent.empty() && !fresh.empty() && connection.fd.get() >= 0) {
    const ssize_t sent = send(connection.fd.get(), fresh.data(), fresh.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) connection.fd.reset();
    if (sent > 0) fresh.remove_prefix(static_cast<std::size_t>(sent));
  }
  connection.unsent.append(fresh);
  out_.clear();
  return connection.unsent.empty();
}

void CannedThread::close_connection(Connection& connection) {
  segments_closed_ += data_segments_in(connection.fd.get());
  connection.fd.reset();
  const auto at = connections_.find(connection.pid);
  if (at == connections_.end()) return;
  dead_.push_back(std::move(at->second));
  connections_.erase(at);
}

int CannedThread::timeout_ms() {
  if (due_.empty()) return -1;
  const std::uint64_t now = now_ns();
  const std::uint64_t when = due_.top().first;
  return when <= now ? 0 : static_cast<int>(std::min<std::uint64_t>((when - now) / 1'000'000 + 1, 1000));
}

void CannedThread::run_due() {
  while (!due_.empty() && due_.top().first <= now_ns()) {
    const std::uint32_t pid = due_.top().second;
    due_.pop();
    const auto at = connections_.find(pid);
    if (at == connections_.end()) continue;
    at->second->session.advance();
    settle(*at->second);
  }
}

void CannedThread::post(Order order) {
  {
    const std::lock_guard lock(mailbox_mutex_);
    mailbox_.push_back(order);
  }
  eventfd_write(wake_.get(), 1);
}

void CannedThread::run_orders() {
  eventfd_t ignored = 0;
  eventfd_read(wake_.get(), &ignored);
  std::vector<Order> orders;
  {
    const std::lock_guard lock(mailbox_mutex_);
    orders.swap(mailbox_);
  }
  for (const Order& order : orders) {
    if (order.kind == Order::Kind::kStop) {
      stopping_ = true;
      continue;
    }
    if (order.kind == Order::Kind::kStats) {
      order.stats->set_value(stats_now());
      continue;
    }
    const auto at = connections_.find(order.pid);
    if (at == connections_.end()) continue;
    order.kind == Order::Kind::kCancel ? at->second->session.cancel(order.secret)
                                       : at->second->session.terminate();
    settle(*at->second);
  }
}

CannedStats CannedThread::stats_now() const {
  CannedStats stats = stats_;
  stats.segments_in = segments_closed_;
  for (const auto& [pid, connection] : connections_)
    stats.segments_in += data_segments_in(connection->fd.get());
  return stats;
}

CannedStats CannedThread::ask_stats() {
  std::promise<CannedStats> answer;
  post({.kind = Order::Kind::kStats, .stats = &answer});
  return answer.get_future().get();
}

void CannedThread::stop() {
  post({Order::Kind::kStop});
}

void CannedThread::cancel(std::uint32_t pid, std::uint32_t secret) {
  if (pid >= kFirstPid) peers_[(pid - kFirstPid) % peers_.size()]->post({Order::Kind::kCancel, pid, secret});
}

void CannedThread::terminate(std::uint32_t pid) {
  if (pid >= kFirstPid) peers_[(pid - kFirstPid) % peers_.size()]->post({Order::Kind::kTerminate, pid, 0});
}

}  // namespace penstock::bench
