// A loop without sockets, a name server that misbehaves on request, and a resolver between them.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "base/random.h"
#include "io/resolver.h"

namespace penstock::io {

// A loop with a mailbox and timers and nothing else, on the test's own thread.
class MailboxLoop final : public Loop {
 public:
  MailboxLoop() : Loop(random_, std::chrono::steady_clock::now()) {}
  std::size_t sockets_max(unsigned) const override { return 0; }
  std::string_view backend() const override { return "mailbox"; }
  void run() override {
    run_until([this] { return stopped(); });
  }

  // False when `condition` did not come true within ten seconds.
  bool run_until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      {
        std::unique_lock lock(mutex_);
        const auto until = std::min(timers().next_deadline(), now() + std::chrono::milliseconds(100));
        woken_.wait_until(lock, until, [this] { return awake_; });
        awake_ = false;
      }
      set_now(std::chrono::steady_clock::now());
      finish_turn();
    }
    return true;
  }
  void run_for(base::Duration time) {
    const auto until = std::chrono::steady_clock::now() + time;
    run_until([&] { return std::chrono::steady_clock::now() >= until; });
  }

  base::Result<ListenerPtr> listen(const Address&, const ListenOptions&, AcceptSink&) override {
    return none();
  }
  std::unique_ptr<Connecting> connect(const Address&, base::TimePoint, ConnectDone) override {
    return nullptr;
  }
  base::Result<StreamPtr> adopt(int) override { return none(); }
  void detach(StreamPtr, std::move_only_function<void(base::Result<Detached>)>) override {}

 protected:
  void wake() override {
    const std::lock_guard lock(mutex_);
    awake_ = true;
    woken_.notify_one();
  }

 private:
  static std::unexpected<base::Error> none() {
    return base::fail(base::kFeatureNotSupported, "no sockets here");
  }

  base::SystemRandom random_;
  std::mutex mutex_;
  std::condition_variable woken_;
  bool awake_ = false;
};

// A name server on a UDP port of 127.0.0.1 that knows a few names, and misbehaves on request.
class NameServer {
 public:
  struct Record {
    std::vector<std::string> v4 = {};
    std::vector<std::string> v6 = {};
    std::uint32_t ttl_s = 60;
    int lose = 0;          // so many questions stay without an answer
    int rcode = 0;         // 2: server failure, 3: no such name
    bool garbage = false;  // answers with noise
  };

  explicit NameServer(const std::string& ip = "127.0.0.1", std::uint16_t port = 0)
      : ip_(ip), socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
    address.sin_port = htons(port);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    socklen_t size = sizeof(address);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~NameServer() {
    stopping_ = true;
    thread_.join();
    close(socket_);
  }

  std::string address() const { return ip_ + ":" + std::to_string(port_); }
  const std::string& ip() const { return ip_; }
  std::uint16_t port() const { return port_; }
  void set(const std::string& name, Record record) {
    const std::lock_guard lock(mutex_);
    records_[name] = std::move(record);
  }
  int questions() const { return questions_; }

 private:
  void run() {
    while (!stopping_) {
      pollfd polled{.fd = socket_, .events = POLLIN, .revents = 0};
      if (poll(&polled, 1, 5) <= 0) continue;
      std::uint8_t packet[512];
      sockaddr_storage from{};
      socklen_t from_size = sizeof(from);
      const auto size =
          recvfrom(socket_, packet, sizeof(packet), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
      if (size < 17) continue;
      ++questions_;
      const auto reply = answer({packet, static_cast<std::size_t>(size)});
      if (!reply.empty()) {
        sendto(socket_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), from_size);
      }
    }
  }

  // The reply to one question; empty: none.
  std::vector<std::uint8_t> answer(base::ByteView question) {
    std::string name;
    std::size_t at = 12;
    while (question[at] != 0) {
      if (!name.empty()) name += '.';
      name += base::as_text(question.subspan(at + 1, question[at]));
      at += question[at] + 1U;
    }
    const std::uint16_t type = base::load_be16(&question[at + 1]);
    const std::size_t question_end = at + 5;

    const std::lock_guard lock(mutex_);
    const auto known = records_.find(name);
    Record record = known == records_.end() ? Record{.rcode = 3} : known->second;
    if (known != records_.end() && known->second.lose > 0) {
      --known->second.lose;
      return {};
    }
    if (record.garbage) return std::vector<std::uint8_t>(40, 0xff);
    const auto& addresses = type == 28 ? record.v6 : record.v4;
    base::ByteWriter reply;
    reply.raw(question.first(2));
    reply.be16(static_cast<std::uint16_t>(0x8180 | record.rcode));
    reply.be16(1);
    reply.be16(static_cast<std::uint16_t>(addresses.size()));
    reply.be32(0);
    reply.raw(question.subspan(12, question_end - 12));
    for (const auto& text : addresses) {
      reply.be16(0xc00c);  // the question's name
      reply.be16(type);
      reply.be16(1);
      reply.be32(record.ttl_s);
      std::uint8_t bytes[16];
      const std::uint16_t count = type == 28 ? 16 : 4;
      inet_pton(type == 28 ? AF_INET6 : AF_INET, text.c_str(), bytes);
      reply.be16(count);
      reply.raw(base::ByteView(bytes, count));
    }
    return reply.take();
  }

  const std::string ip_;
  int socket_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> questions_ = 0;
  std::mutex mutex_;
  std::map<std::string, Record> records_;
  std::thread thread_;
};

class ResolverTest : public testing::Test {
 protected:
  using Answer = base::Result<std::vector<Address>>;

  ResolverOptions options() const {
    return {.cache = {},
            .channel = {.servers = server_.address(), .timeout = std::chrono::milliseconds(100), .tries = 3}};
  }
  void start(const ResolverOptions& with) { resolver_.emplace(with); }

  std::unique_ptr<Resolving> ask(std::string_view host, std::optional<Answer>& answer,
                                 base::Duration patience = std::chrono::seconds(5)) {
    if (!resolver_) start(options());
    return resolver_->resolve(host, 5432, loop_, std::chrono::steady_clock::now() + patience,
                              [&answer](Answer result) { answer.emplace(std::move(result)); });
  }
  Answer answer_to(std::string_view host, base::Duration patience = std::chrono::seconds(5)) {
    std::optional<Answer> answer;
    const auto asking = ask(host, answer, patience);
    EXPECT_FALSE(answer.has_value()) << "the callback came from within resolve()";
    if (!loop_.run_until([&] { return answer.has_value(); }))
      return base::fail(base::kInternalError, "no answer");
    return *std::move(answer);
  }
  static std::set<std::string> texts(const Answer& answer) {
    std::set<std::string> result;
    if (!answer) return {answer.error().to_string()};
    for (const auto& address : *answer) result.insert(address.to_string());
    return result;
  }
  using Texts = std::set<std::string>;

  NameServer server_;
  MailboxLoop loop_;
  std::optional<Resolver> resolver_;
};

}  // namespace penstock::io
