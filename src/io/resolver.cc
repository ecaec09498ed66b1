#include "io/resolver.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/intrusive_list.h"

namespace penstock::io {

namespace {

using Addresses = std::vector<Address>;

constexpr std::size_t kNameBytesMax = 253;  // RFC 1035 without the length bytes

base::Error untranslatable(std::string_view name, std::string_view reason) {
  return {.sqlstate = base::kConnectionFailure,
          .message = fmt::format("could not translate host name \"{}\" to address: {}", name, reason)};
}

Address with_port(const Address& address, std::uint16_t port) {
  sockaddr_storage storage{};
  std::memcpy(&storage, address.data(), address.size());
  // Both families keep the port in the same place.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), address.size());
}

base::Result<Addresses> only(base::Result<Address> address) {
  if (!address) return base::fail(address.error());
  return Addresses{*std::move(address)};
}

bool is_directory(std::string_view host) {
  return host.starts_with('/') || host.starts_with('@');
}

bool may_be_a_name(std::string_view host) {
  if (host.empty() || host.size() > kNameBytesMax) return false;
  return host.find_first_of(std::string_view(" \t\r\n/\0", 6)) == std::string_view::npos;
}

// Names differ neither by case nor by the final dot's absence; the dot only stops the search domains, so it
// stays.
std::string normalized(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

}  // namespace

// What the resolver, its channel's thread and the requests share; dies with the last of them.
struct Resolver::Shared {
  explicit Shared(const ResolverOptions& resolver_options)
      : options(resolver_options), cache(resolver_options.cache) {}

  using Waiting = base::List<Request, Shared>;

  base::Status ask(const std::string& name, Request& request, base::TimePoint deadline);
  DnsAnswer give_up(const std::string& name);
  base::Status begin_lookup(const std::string& name);
  void on_answer(const std::string& name, const DnsAnswer& answer);
  void end();

  const ResolverOptions options;
  std::mutex mutex;  // guards all below, and the list hooks of requests
  DnsCache cache;
  std::unordered_map<std::string, Waiting> waiting;
  std::unique_ptr<DnsChannel> channel;
  Counts counts;
};

class Resolver::Request final : public Resolving, public base::ListHook<Resolver::Shared> {
 public:
  Request(std::shared_ptr<Shared> shared, std::string_view host, std::uint16_t port, Loop& loop,
          ResolveDone done)
      : shared_(std::move(shared)), host_(host), port_(port), loop_(loop), done_(std::move(done)) {}
  ~Request() override {
    *alive_ = nullptr;
    leave();
  }

  void arm(base::TimePoint deadline) { loop_.timers().arm(timer_, deadline); }

  // Any thread that knows this request to be alive.
  void post(base::Result<Addresses> result) {
    loop_.post([alive = alive_, result = std::move(result)]() mutable {
      if (*alive != nullptr) (*alive)->finish(std::move(result));
    });
  }
  void post(const DnsAnswer& answer) { post(result_of(answer)); }

 private:
  void leave() {
    const std::lock_guard lock(shared_->mutex);
    if (is_linked()) unlink();
  }
  base::Result<Addresses> result_of(const DnsAnswer& answer) const {
    if (answer.kind != DnsAnswer::Kind::kFound) return base::fail(untranslatable(host_, answer.reason));
    Addresses addresses;
    for (const Address& address : answer.addresses) addresses.push_back(with_port(address, port_));
    return addresses;
  }
  void on_deadline() {
    leave();
    finish(result_of(shared_->give_up(normalized(host_))));
  }
  void finish(base::Result<Addresses> result) {
    timer_.cancel();
    if (!done_) return;
    auto done = std::move(done_);
    done_ = nullptr;
    done(std::move(result));  // may destroy this
  }

  const std::shared_ptr<Shared> shared_;
  const std::string host_;
  const std::uint16_t port_;
  Loop& loop_;
  ResolveDone done_;
  Timer timer_ = Timer::calling<&Request::on_deadline>(this);
  // Nulled on the loop's thread and read there only: tells a posted answer that nobody wants it any more.
  const std::shared_ptr<Request*> alive_ = std::make_shared<Request*>(this);
};

base::Status Resolver::Shared::ask(const std::string& name, Request& request, base::TimePoint deadline) {
  const std::lock_guard lock(mutex);
  const base::TimePoint now = std::chrono::steady_clock::now();
  if (const auto* known = cache.find(name, now); known != nullptr) {
    ++counts.hits;
    request.post(*known);
    return {};
  }
  if (cache.may_serve_stale(name, now)) deadline = std::min(deadline, now + options.stale_patience);
  request.arm(deadline);
  if (const auto found = waiting.find(name); found != waiting.end()) {
    ++counts.joined;
    found->second.push_back(request);
    return {};
  }
  if (waiting.size() >= options.names_max) {
    ++counts.refused;
    return base::fail(base::kInsufficientResources, "too many host names are being looked up");
  }
  if (const auto begun = begin_lookup(name); !begun) return begun;
  waiting[name].push_back(request);
  return {};
}

// What to tell somebody who cannot wait longer. An older address serves those who come next as well, until the answer
// does come.
DnsAnswer Resolver::Shared::give_up(const std::string& name) {
  const std::lock_guard lock(mutex);
  return cache.store(name, {.kind = DnsAnswer::Kind::kTrouble, .reason = "timed out"},
                     std::chrono::steady_clock::now());
}

base::Status Resolver::Shared::begin_lookup(const std::string& name) {
  if (channel == nullptr) {
    auto created = DnsChannel::create(
        options.channel, [this](const std::string& of, const DnsAnswer& answer) { on_answer(of, answer); });
    if (!created) return base::fail(created.error());
    channel = *std::move(created);
  }
  ++counts.lookups;
  channel->begin(name);
  return {};
}

void Resolver::Shared::on_answer(const std::string& name, const DnsAnswer& answer) {
  const std::lock_guard lock(mutex);
  const DnsAnswer& result = cache.store(name, answer, std::chrono::steady_clock::now());
  const auto found = waiting.find(name);
  if (found == waiting.end()) return;  // the resolver is ending
  while (!found->second.empty()) {
    Request& request = found->second.front();
    found->second.pop_front();
    request.post(result);
  }
  waiting.erase(found);
}

void Resolver::Shared::end() {
  std::unique_ptr<DnsChannel> ending;
  {
    const std::lock_guard lock(mutex);
    for (auto& [name, requests] : waiting) {
      while (!requests.empty()) {
        Request& request = requests.front();
        requests.pop_front();
        request.post(base::fail(base::kAdminShutdown, "name resolution ended: the server is shutting down"));
      }
    }
    waiting.clear();
    ending = std::move(channel);
  }
  ending.reset();  // joins, without the mutex: the thread may be waiting for it
}

Resolver::Resolver(const ResolverOptions& options) : shared_(std::make_shared<Shared>(options)) {}

Resolver::~Resolver() {
  shared_->end();
}

std::unique_ptr<Resolving> Resolver::resolve(std::string_view host, std::uint16_t port, Loop& loop,
                                             base::TimePoint deadline, ResolveDone done) {
  auto request = std::make_unique<Request>(shared_, host, port, loop, std::move(done));
  if (is_directory(host)) {
    request->post(only(Address::from_path(fmt::format("{}/.s.PGSQL.{}", host, port))));
    return request;
  }
  if (auto address = Address::from_ip(host, port); address) {
    request->post(only(std::move(address)));
    return request;
  }
  if (!may_be_a_name(host)) {
    request->post(base::fail(untranslatable(host, "not a valid host name")));
    return request;
  }
  if (const auto asked = shared_->ask(normalized(host), *request, deadline); !asked)
    request->post(base::fail(asked.error()));
  return request;
}

Resolver::Counts Resolver::counts() const {
  const std::lock_guard lock(shared_->mutex);
  Counts result = shared_->counts;
  result.cached = shared_->cache.size();
  result.under_way = shared_->waiting.size();
  return result;
}

}  // namespace penstock::io
