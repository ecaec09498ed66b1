// Endpoint: "127.0.0.1:5432" or "/tmp/x/.s.PGSQL.5432", and the plain sockets the benchmark programs open on
// it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::bench {

class Endpoint {
 public:
  // IPv4 address and port, or the path of a Unix socket (begins with '/' or, abstract, with '@').
  static std::optional<Endpoint> parse(std::string_view text);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  bool is_unix() const { return storage_.ss_family == AF_UNIX; }
  const std::string& text() const { return text_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
  std::string text_;
};

// Owns one descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Non-blocking, listening; ends the program with a message when that fails (a benchmark without it is
// nothing).
Descriptor listen_on(const Endpoint& endpoint);
// Non-blocking, TCP_NODELAY. From 127.0.0.x when `source` is not 0 (its last three bytes); `receive_buffer` is
// SO_RCVBUF unless it is 0. -1 with errno on
// failure; may still be connecting when it returns.
int start_connect(const Endpoint& endpoint, std::uint32_t source = 0, int receive_buffer = 0);
void set_no_delay(int fd);
// TCP segments with data that this socket has received; 0 when it is not TCP.
std::uint64_t data_segments_in(int fd);
// As many open files as the system allows; returns how many that is.
std::uint64_t raise_file_limit();

[[noreturn]] void die(const std::string& what);
[[noreturn]] void die_errno(const std::string& what);

}  // namespace penstock::bench
