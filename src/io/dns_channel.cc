#include "io/dns_channel.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <system_error>
#include <vector>

#include "base/assert.h"

namespace penstock::io {

namespace {

constexpr std::size_t kAddressesMax = 64;  // of one name

DnsAnswer trouble(std::string reason) {
  return {.kind = DnsAnswer::Kind::kTrouble, .reason = std::move(reason)};
}

DnsAnswer to_answer(int status, const ares_addrinfo* result) {
  if (status == ARES_ENOTFOUND) return {.kind = DnsAnswer::Kind::kNoName, .reason = "name does not exist"};
  if (status == ARES_ENODATA) return {.kind = DnsAnswer::Kind::kNoName, .reason = "name has no address"};
  if (status == ARES_EBADNAME) return {.kind = DnsAnswer::Kind::kNoName, .reason = "not a valid host name"};
  if (status != ARES_SUCCESS) return trouble(ares_strerror(status));

  DnsAnswer answer{.kind = DnsAnswer::Kind::kFound};
  int ttl = INT32_MAX;
  for (const auto* alias = result->cnames; alias != nullptr; alias = alias->next)
    ttl = std::min(ttl, alias->ttl);
  for (const auto* node = result->nodes; node != nullptr; node = node->ai_next) {
    if (answer.addresses.size() == kAddressesMax) break;
    answer.addresses.push_back(Address::from_sockaddr(node->ai_addr, node->ai_addrlen));
    ttl = std::min(ttl, node->ai_ttl);
  }
  if (answer.addresses.empty()) return {.kind = DnsAnswer::Kind::kNoName, .reason = "name has no address"};
  answer.ttl = std::chrono::seconds(std::max(ttl, 0));
  return answer;
}

// c-ares wants one global initialisation per process, before any thread uses it.
void initialize_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  PENSTOCK_ASSERT(status == ARES_SUCCESS);
}

}  // namespace

struct DnsChannel::Servers {
  explicit Servers(DnsChannel& user) : owner(user) {}
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;
  ~Servers() {
    if (channel != nullptr) ares_destroy(channel);  // every lookup under way gets its on_result from here
  }

  DnsChannel& owner;
  ares_channel channel = nullptr;
  std::map<ares_socket_t, short> sockets;  // events to poll for
  std::size_t under_way = 0;
};

base::Result<std::unique_ptr<DnsChannel>> DnsChannel::create(const DnsChannelOptions& options, Done done) {
  initialize_library();
  const int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0) return base::fail(base::errno_error(base::kInsufficientResources, "eventfd", errno));
  std::unique_ptr<DnsChannel> channel(new DnsChannel(options, std::move(done), wake_fd));
  try {
    channel->thread_ = std::thread([self = channel.get()] { self->run(); });
  } catch (const std::system_error& error) {
    return base::fail(base::kInsufficientResources, fmt::format("cannot start a thread: {}", error.what()));
  }
  return channel;
}

DnsChannel::DnsChannel(const DnsChannelOptions& options, Done done, int wake_fd)
    : options_(options), done_(std::move(done)), wake_fd_(wake_fd) {}

DnsChannel::~DnsChannel() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_fd_, 1);
  if (thread_.joinable()) thread_.join();
  close(wake_fd_);
}

void DnsChannel::begin(std::string name) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(name));
  }
  eventfd_write(wake_fd_, 1);
}

void DnsChannel::run() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    start_lookups();
    wait_and_process();
    if (servers_.size() > 1) {
      const auto last = servers_.end() - 1;
      servers_.erase(std::remove_if(servers_.begin(), last, [](auto& old) { return old->under_way == 0; }),
                     last);
    }
  }
  closing_ = true;
  servers_.clear();
}

base::Result<std::unique_ptr<DnsChannel::Servers>> DnsChannel::open() {
  auto servers = std::make_unique<Servers>(*this);
  char lookups[] = "fb";  // the hosts file, then DNS
  std::string file = options_.resolv_conf;
  ares_options options{};
  options.timeout = static_cast<int>(options_.timeout.count());
  options.tries = options_.tries;
  options.lookups = lookups;
  options.resolvconf_path = file.data();
  options.udp_port = options.tcp_port = options_.port;
  options.sock_state_cb = &DnsChannel::on_socket_state;
  options.sock_state_cb_data = servers.get();
  int status =
      ares_init_options(&servers->channel, &options,
                        ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF |
                            ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT | ARES_OPT_SOCK_STATE_CB);
  if (status == ARES_SUCCESS && !options_.servers.empty()) {
    status = ares_set_servers_ports_csv(servers->channel, options_.servers.c_str());
  }
  if (status == ARES_SUCCESS) return servers;
  return base::fail(base::kConnectionFailure, fmt::format("cannot start c-ares: {}", ares_strerror(status)));
}

DnsChannel::FileVersion DnsChannel::version_of_file() const {
  struct stat found{};
  if (stat(options_.resolv_conf.c_str(), &found) != 0) return {};
  return {.device = found.st_dev,
          .inode = found.st_ino,
          .size = static_cast<std::uint64_t>(found.st_size),
          .changed_s = found.st_mtim.tv_sec,
          .changed_ns = found.st_mtim.tv_nsec};
}

// c-ares reads the file once, and a network that comes up later, or a VPN, writes another one.
void DnsChannel::follow_file() {
  const base::TimePoint now = std::chrono::steady_clock::now();
  if (now < next_look_) return;
  next_look_ = now + options_.look_again;
  const FileVersion version = version_of_file();  // before it is read: what comes later is seen the next time
  if (!servers_.empty() && version == version_) return;
  auto opened = open();
  if (!opened) {
    broken_ = opened.error().message;  // those from before go on
    return;
  }
  servers_.push_back(*std::move(opened));
  version_ = version;
}

void DnsChannel::start_lookups() {
  while (under_way_ < kUnderWayMax) {
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) return;
      name = std::move(queue_.front());
      queue_.pop_front();
    }
    follow_file();
    start(std::move(name));
  }
}

void DnsChannel::start(std::string name) {
  if (servers_.empty()) return done_(name, trouble(broken_));
  Servers& servers = *servers_.back();
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  if (options_.hosts_file_by_environment) hints.ai_flags |= ARES_AI_ENVHOSTS;
  auto* lookup = new Lookup{&servers, std::move(name)};
  ++under_way_;
  ++servers.under_way;
  ares_getaddrinfo(servers.channel, lookup->name.c_str(), nullptr, &hints, &DnsChannel::on_result, lookup);
}

void DnsChannel::on_result(void* argument, int status, int /*timeouts*/, ares_addrinfo* result) {
  const std::unique_ptr<Lookup> lookup(static_cast<Lookup*>(argument));
  const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(result, &ares_freeaddrinfo);
  DnsChannel& self = lookup->servers->owner;
  --self.under_way_;
  --lookup->servers->under_way;
  if (!self.closing_) self.done_(lookup->name, to_answer(status, result));
}

void DnsChannel::on_socket_state(void* argument, ares_socket_t socket, int readable, int writable) {
  auto& servers = *static_cast<Servers*>(argument);
  const auto events = static_cast<short>((readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0));
  if (events == 0) {
    servers.sockets.erase(socket);
  } else {
    servers.sockets[socket] = events;
  }
}

void DnsChannel::wait_and_process() {
  std::vector<pollfd> polled{{.fd = wake_fd_, .events = POLLIN, .revents = 0}};
  std::vector<ares_channel> channels{nullptr};  // whose socket that is
  int timeout_ms = -1;
  for (const auto& servers : servers_) {
    for (const auto& [socket, events] : servers->sockets) {
      polled.push_back({.fd = socket, .events = events, .revents = 0});
      channels.push_back(servers->channel);
    }
    timeval space{};
    if (const auto* wait = ares_timeout(servers->channel, nullptr, &space); wait != nullptr) {
      const int wait_ms = static_cast<int>(wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000);
      timeout_ms = timeout_ms < 0 ? wait_ms : std::min(timeout_ms, wait_ms);
    }
  }
  if (poll(polled.data(), polled.size(), timeout_ms) < 0) return;  // EINTR

  eventfd_t count;
  if (polled[0].revents != 0) eventfd_read(wake_fd_, &count);
  for (std::size_t i = 1; i < polled.size(); ++i) {
    // A call below may have closed the sockets after it, and even opened others with the same numbers:
    // harmless, they do not block.
    const auto happened = polled[i].revents;
    const bool read = (happened & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool write = (happened & (POLLOUT | POLLERR)) != 0;
    if (read || write) {
      ares_process_fd(channels[i], read ? polled[i].fd : ARES_SOCKET_BAD,
                      write ? polled[i].fd : ARES_SOCKET_BAD);
    }
  }
  for (const auto& servers : servers_)
    ares_process_fd(servers->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // timeouts
}

}  // namespace penstock::io
