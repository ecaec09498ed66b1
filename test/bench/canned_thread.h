// CannedThread serves its share of the connections to the canned server: one epoll loop, one send per
// wake-up.
//
// Owner:      main(), by unique_ptr.
// Home:       LOOP, but for stop(), cancel() and terminate() (SYNC: the mailbox's mutex).
// Invariants: 1. While a connection has unsent bytes, nothing more is read from it.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "canned_host.h"
#include "canned_session.h"
#include "endpoint.h"

namespace penstock::bench {

class CannedThread final : public CannedHost {
 public:
  // `peers` is the list of all threads; a backend's pid modulo its size says whose it is.
  CannedThread(const CannedConfig& config, std::vector<std::unique_ptr<CannedThread>>& peers,
               const std::vector<Descriptor>& listeners);
  ~CannedThread();

  void run();  // until stop()
  void stop();

  const CannedConfig& config() const override { return config_; }
  CannedStats& stats() override { return stats_; }
  // From any thread while run() runs.
  CannedStats ask_stats();
  base::ByteWriter& out() override { return out_; }
  std::uint64_t now_ns() override;
  void cancel(std::uint32_t pid, std::uint32_t secret) override;
  void terminate(std::uint32_t pid) override;
  std::string& previous_token() override { return previous_token_; }

 private:
  struct Connection {
    Connection(CannedHost& host, int descriptor, std::uint32_t pid_, std::uint32_t secret)
        : fd(descriptor), pid(pid_), session(host, pid_, secret) {}
    Descriptor fd;
    std::uint32_t pid;
    CannedSession session;
    std::string unsent;
    std::uint32_t armed = 0;  // epoll events asked for
  };
  struct Order {
    enum class Kind { kCancel, kTerminate, kStats, kStop } kind;
    std::uint32_t pid = 0;
    std::uint32_t secret = 0;
    std::promise<CannedStats>* stats = nullptr;  // kStats
  };
  using Due = std::pair<std::uint64_t, std::uint32_t>;  // when, whose pid

  void post(Order order);
  void run_orders();
  CannedStats stats_now() const;
  void run_due();
  int timeout_ms();
  void accept_from(int listener);
  void on_event(Connection& connection, std::uint32_t events);
  void on_readable(Connection& connection);
  // Sends what out() holds and what was unsent; arms for whatever is needed next; closes when it is over.
  void settle(Connection& connection);
  bool send_all(Connection& connection);
  void close_connection(Connection& connection);

  const CannedConfig& config_;
  std::vector<std::unique_ptr<CannedThread>>& peers_;
  std::uint32_t next_pid_;
  Descriptor epoll_;
  Descriptor wake_;
  std::unordered_map<std::uint32_t, std::unique_ptr<Connection>> connections_;  // by pid
  std::vector<std::unique_ptr<Connection>> dead_;  // closed in this turn; events may still name them
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  base::ByteWriter out_;
  std::string previous_token_;
  CannedStats stats_;
  std::uint64_t segments_closed_ = 0;  // of connections that are gone
  std::vector<char> scratch_;

  std::mutex mailbox_mutex_;
  std::vector<Order> mailbox_;  // guarded by mailbox_mutex_
  bool stopping_ = false;
};

}  // namespace penstock::bench
