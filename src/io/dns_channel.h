// DnsChannel looks names up with c-ares, on a thread of its own, as the system would: /etc/hosts first, then
// the name servers and search domains of /etc/resolv.conf, IPv4 and IPv6 together, sorted as getaddrinfo(3)
// does (RFC 6724). When /etc/resolv.conf changes, what is asked from then on goes to the new servers.
//
// Owner:      Resolver, by unique_ptr.
// Home:       SYNC (mutex_ guards queue_ and stopping_; everything of c-ares belongs to the thread alone)
// Invariants: 1. Every name of begin() gets one call of `done`, unless the channel is destroyed first.
//             2. The destructor returns after the thread has ended; no call of `done` comes afterwards.
// Errors:     DnsAnswer says them; while c-ares cannot start, every name is answered with kTrouble.
// Bounds:     at most kUnderWayMax names in c-ares (more would overflow its socket); the queue is the
//             caller's to bound.
#pragma once

#include <ares.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "io/dns_cache.h"

namespace penstock::io {

struct DnsChannelOptions {
  std::string servers;  // "127.0.0.1:5353,[::1]:53"; empty: those of `resolv_conf`
  std::string resolv_conf = "/etc/resolv.conf";
  std::uint16_t port = 53;  // of the servers in that file
  // How often to look whether that file is another one, when there is something to ask.
  base::Duration look_again = std::chrono::seconds(1);
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
  // A channel of c-ares: the name servers as they were when it was made.
  struct Servers;
  struct Lookup {
    Servers* servers;
    std::string name;
  };
  // Tells one state of a file from another; all zero: there is none.
  struct FileVersion {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t changed_s = 0, changed_ns = 0;
    bool operator==(const FileVersion&) const = default;
  };

  DnsChannel(const DnsChannelOptions& options, Done done, int wake_fd);
  void run();
  base::Result<std::unique_ptr<Servers>> open();
  FileVersion version_of_file() const;
  void follow_file();
  void start_lookups();
  void start(std::string name);
  void wait_and_process();
  static void on_socket_state(void* servers, ares_socket_t socket, int readable, int writable);
  static void on_result(void* lookup, int status, int timeouts, ares_addrinfo* result);

  const DnsChannelOptions options_;
  const Done done_;
  const int wake_fd_;

  std::mutex mutex_;
  std::deque<std::string> queue_;  // guarded by mutex_
  bool stopping_ = false;          // guarded by mutex_

  // The thread's own.
  std::vector<std::unique_ptr<Servers>> servers_;  // the last is asked, the others have look-ups under way
  FileVersion version_;                            // of the file that the last was made from
  base::TimePoint next_look_ = base::TimePoint::min();
  std::string broken_;  // why c-ares could not start, while there are no servers
  std::size_t under_way_ = 0;
  bool closing_ = false;

  std::thread thread_;
};

}  // namespace penstock::io
