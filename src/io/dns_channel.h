// DnsChannel looks names up with c-ares, on a thread of its own, as the system would: /etc/hosts first, then
// the name servers and search domains of /etc/resolv.conf, IPv4 and IPv6 together, sorted as getaddrinfo(3)
// does (RFC 6724).
//
// Owner:      Resolver, by unique_ptr.
// Home:       SYNC (mutex_ guards queue_ and stopping_; everything of c-ares belongs to the thread alone)
// Invariants: 1. Every name of begin() gets one call of `done`, unless the channel is destroyed first.
//             2. The destructor returns after the thread has ended; no call of `done` comes afterwards.
// Errors:     DnsAnswer says them; when c-ares cannot start, every name is answered with kTrouble.
// Bounds:     at most kUnderWayMax names in c-ares (more would overflow its socket); the queue is the
//             caller's to bound.
#pragma once

#include <ares.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/error.h"
#include "io/dns_cache.h"

namespace penstock::io {

struct DnsChannelOptions {
  std::string servers;                      // "127.0.0.1:5353,[::1]:53"; empty: those of /etc/resolv.conf
  std::chrono::milliseconds timeout{1000};  // of the first try; each further one waits twice as long
  int tries = 3;
  bool hosts_file_by_environment = false;  // tests: $CARES_HOSTS in place of /etc/hosts
};

class DnsChannel {
 public:
  using Done =
      std::function<void(const std::string& name, const DnsAnswer& answer)>;  // on the channel's thread

  // Fails when the system has no more threads or descriptors.
  static base::Result<std::unique_ptr<DnsChannel>> create(const DnsChannelOptions& options, Done done);
  ~DnsChannel();
  DnsChannel(const DnsChannel&) = delete;
  DnsChannel& operator=(const DnsChannel&) = delete;

  // Any thread; holding a lock that `done` takes is fine.
  void begin(std::string name);

 private:
  static constexpr std::size_t kUnderWayMax = 256;
  struct Lookup {
    DnsChannel* channel;
    std::string name;
  };

  DnsChannel(const DnsChannelOptions& options, Done done, int wake_fd);
  void run();
  base::Status open();
  void start_lookups();
  void start(std::string name);
  void wait_and_process();
  static void on_socket_state(void* self, ares_socket_t socket, int readable, int writable);
  static void on_result(void* lookup, int status, int timeouts, ares_addrinfo* result);

  const DnsChannelOptions options_;
  const Done done_;
  const int wake_fd_;

  std::mutex mutex_;
  std::deque<std::string> queue_;  // guarded by mutex_
  bool stopping_ = false;          // guarded by mutex_

  // The thread's own.
  ares_channel channel_ = nullptr;
  std::string broken_;                      // why c-ares could not start; empty when it did
  std::map<ares_socket_t, short> sockets_;  // events to poll for
  std::size_t under_way_ = 0;
  bool closing_ = false;

  std::thread thread_;
};

}  // namespace penstock::io
