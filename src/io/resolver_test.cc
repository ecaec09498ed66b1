#include "io/resolver.h"

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

namespace penstock::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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
    const auto give_up = std::chrono::steady_clock::now() + seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      {
        std::unique_lock lock(mutex_);
        const auto until = std::min(timers().next_deadline(), now() + milliseconds(100));
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

  NameServer() : socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
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

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
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
    return {.cache = {}, .channel = {.servers = server_.address(), .timeout = milliseconds(100), .tries = 3}};
  }
  void start(const ResolverOptions& with) { resolver_.emplace(with); }

  std::unique_ptr<Resolving> ask(std::string_view host, std::optional<Answer>& answer,
                                 base::Duration patience = seconds(5)) {
    if (!resolver_) start(options());
    return resolver_->resolve(host, 5432, loop_, std::chrono::steady_clock::now() + patience,
                              [&answer](Answer result) { answer.emplace(std::move(result)); });
  }
  Answer answer_to(std::string_view host, base::Duration patience = seconds(5)) {
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

TEST_F(ResolverTest, AnswersAddressesAndSocketsWithoutALookUp) {
  EXPECT_EQ(texts(answer_to("127.0.0.1")), Texts{"127.0.0.1:5432"});
  EXPECT_EQ(texts(answer_to("::1")), Texts{"[::1]:5432"});
  EXPECT_EQ(texts(answer_to("[::1]")), Texts{"[::1]:5432"});
  EXPECT_EQ(texts(answer_to("/run/postgresql")), Texts{"/run/postgresql/.s.PGSQL.5432"});
  EXPECT_EQ(texts(answer_to("@pg")), Texts{"@pg/.s.PGSQL.5432"});
  EXPECT_EQ(server_.questions(), 0);
  EXPECT_EQ(resolver_->counts().lookups, 0U);
}

TEST_F(ResolverTest, RefusesWhatCannotBeAHost) {
  for (const auto& host : {std::string(), std::string("a b"), std::string("a/b"), std::string(300, 'a')}) {
    const auto answer = answer_to(host);
    ASSERT_FALSE(answer.has_value()) << host;
    EXPECT_EQ(answer.error().sqlstate, base::kConnectionFailure);
  }
  EXPECT_EQ(answer_to("/" + std::string(200, 'a')).error().sqlstate, base::kInvalidParameterValue);
  EXPECT_EQ(server_.questions(), 0);
}

TEST_F(ResolverTest, FindsBothKindsOfAddresses) {
  server_.set("db.example", {.v4 = {"10.0.0.1", "10.0.0.2"}, .v6 = {"2001:db8::1"}});
  EXPECT_EQ(texts(answer_to("db.example")), (Texts{"10.0.0.1:5432", "10.0.0.2:5432", "[2001:db8::1]:5432"}));
}

TEST_F(ResolverTest, FindsANameThatHasOnlyOneKindOfAddress) {
  server_.set("four.example", {.v4 = {"10.0.0.1"}});
  server_.set("six.example", {.v6 = {"2001:db8::1"}});
  EXPECT_EQ(texts(answer_to("four.example")), Texts{"10.0.0.1:5432"});
  EXPECT_EQ(texts(answer_to("six.example")), Texts{"[2001:db8::1]:5432"});
}

TEST_F(ResolverTest, RemembersAnswersWhateverTheCaseOfTheName) {
  server_.set("db.example", {.v4 = {"10.0.0.1"}});
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  const int asked = server_.questions();
  EXPECT_EQ(texts(answer_to("DB.Example")), Texts{"10.0.0.1:5432"});
  EXPECT_EQ(server_.questions(), asked);
  EXPECT_EQ(resolver_->counts().hits, 1U);
}

TEST_F(ResolverTest, AsksAgainWhenTheTimeToLiveIsOver) {
  auto brief = options();
  brief.cache.ttl_max = milliseconds(50);
  start(brief);
  server_.set("db.example", {.v4 = {"10.0.0.1"}});
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  server_.set("db.example", {.v4 = {"10.0.0.2"}});
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  loop_.run_for(milliseconds(60));
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.2:5432"});
}

TEST_F(ResolverTest, SaysThatANameDoesNotExistAndRemembersThatToo) {
  const auto answer = answer_to("nowhere.example");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().sqlstate, base::kConnectionFailure);
  EXPECT_EQ(answer.error().message,
            "could not translate host name \"nowhere.example\" to address: name does not exist");
  const int asked = server_.questions();
  EXPECT_FALSE(answer_to("nowhere.example").has_value());
  EXPECT_EQ(server_.questions(), asked);
}

TEST_F(ResolverTest, SaysThatANameHasNoAddress) {
  server_.set("mail.example", {});
  const auto answer = answer_to("mail.example");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().message,
            "could not translate host name \"mail.example\" to address: name has no address");
}

TEST_F(ResolverTest, AsksAgainWhenPacketsAreLost) {
  server_.set("db.example", {.v4 = {"10.0.0.1"}, .lose = 2});
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
}

TEST_F(ResolverTest, GivesUpOnAServerThatNeverAnswers) {
  server_.set("db.example", {.v4 = {"10.0.0.1"}, .lose = 1'000});
  const auto answer = answer_to("db.example");
  ASSERT_FALSE(answer.has_value());
  EXPECT_TRUE(answer.error().message.starts_with("could not translate host name \"db.example\" to address: "))
      << answer.error().message;
}

TEST_F(ResolverTest, KeepsItsDeadlineAndUsesTheLateAnswerLater) {
  server_.set("db.example", {.v4 = {"10.0.0.1"}, .lose = 2});
  const auto answer = answer_to("db.example", milliseconds(20));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().message, "could not translate host name \"db.example\" to address: timed out");
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  EXPECT_EQ(resolver_->counts().lookups, 1U);
}

TEST_F(ResolverTest, ServesTheLastGoodAddressWhileNameServersAreInTrouble) {
  auto brief = options();
  brief.cache.ttl_max = milliseconds(1);
  start(brief);
  server_.set("db.example", {.v4 = {"10.0.0.1"}});
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  server_.set("db.example", {.rcode = 2});
  loop_.run_for(milliseconds(5));
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  EXPECT_FALSE(answer_to("other.example").has_value());
}

TEST_F(ResolverTest, DoesNotWaitLongForSilentNameServersWhenItHasAnAddress) {
  auto brief = options();
  brief.cache.ttl_max = milliseconds(1);
  brief.stale_patience = milliseconds(50);
  start(brief);
  server_.set("db.example", {.v4 = {"10.0.0.1"}});
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  server_.set("db.example", {.lose = 1'000});
  loop_.run_for(milliseconds(5));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(300));  // the name server gets 700
  EXPECT_EQ(resolver_->counts().lookups, 2U);
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  EXPECT_EQ(resolver_->counts().hits, 1U) << "only the first one waits";
}

TEST_F(ResolverTest, ItsDeadlineBringsTheLastGoodAddress) {
  auto brief = options();
  brief.cache.ttl_max = milliseconds(1);
  start(brief);
  server_.set("db.example", {.v4 = {"10.0.0.1"}});
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  server_.set("db.example", {.v4 = {"10.0.0.2"}, .lose = 2});
  loop_.run_for(milliseconds(5));
  EXPECT_EQ(texts(answer_to("db.example", milliseconds(20))), Texts{"10.0.0.1:5432"});
  loop_.run_for(milliseconds(500));  // the answer that comes late
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.2:5432"});
}

TEST_F(ResolverTest, SurvivesNoiseFromTheNetwork) {
  server_.set("db.example", {.garbage = true});
  EXPECT_FALSE(answer_to("db.example").has_value());
  server_.set("ok.example", {.v4 = {"10.0.0.1"}});
  EXPECT_EQ(texts(answer_to("ok.example")), Texts{"10.0.0.1:5432"});
}

TEST_F(ResolverTest, LooksUpOnceForAllWhoAskAtTheSameTime) {
  server_.set("db.example", {.v4 = {"10.0.0.1"}, .lose = 2});
  std::vector<std::unique_ptr<Resolving>> asking;
  std::vector<std::optional<Answer>> answers(100);
  for (auto& answer : answers) asking.push_back(ask("db.example", answer));
  EXPECT_EQ(resolver_->counts().lookups, 1U);
  EXPECT_EQ(resolver_->counts().joined, 99U);
  ASSERT_TRUE(
      loop_.run_until([&] { return std::ranges::all_of(answers, [](auto& a) { return a.has_value(); }); }));
  for (const auto& answer : answers) EXPECT_EQ(texts(*answer), Texts{"10.0.0.1:5432"});
}

TEST_F(ResolverTest, LooksUpAThousandNamesAtOnce) {
  std::vector<std::unique_ptr<Resolving>> asking;
  std::vector<std::optional<Answer>> answers(1'000);
  const auto name = [](std::size_t i) { return "host" + std::to_string(i) + ".example"; };
  for (std::size_t i = 0; i < answers.size(); ++i) {
    server_.set(name(i), {.v4 = {"10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250)}});
  }
  for (std::size_t i = 0; i < answers.size(); ++i) asking.push_back(ask(name(i), answers[i], seconds(9)));
  ASSERT_TRUE(
      loop_.run_until([&] { return std::ranges::all_of(answers, [](auto& a) { return a.has_value(); }); }));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(texts(*answers[i]),
              Texts{"10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":5432"});
  }
  EXPECT_EQ(resolver_->counts().cached, 1'000U);
  EXPECT_EQ(resolver_->counts().under_way, 0U);
}

TEST_F(ResolverTest, RefusesMoreNamesThanItsBound) {
  auto small = options();
  small.names_max = 1;
  start(small);
  server_.set("slow.example", {.v4 = {"10.0.0.1"}, .lose = 2});
  std::optional<Answer> slow;
  const auto asking = ask("slow.example", slow);
  const auto refused = answer_to("other.example");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sqlstate, base::kInsufficientResources);
  EXPECT_EQ(resolver_->counts().refused, 1U);
  EXPECT_TRUE(loop_.run_until([&] { return slow.has_value(); }));
}

TEST_F(ResolverTest, NeverCallsBackOnceTheHandleIsGone) {
  server_.set("db.example", {.v4 = {"10.0.0.1"}, .lose = 2});
  std::optional<Answer> abandoned;
  ask("db.example", abandoned).reset();  // before the answer
  std::optional<Answer> literal;
  ask("127.0.0.1", literal).reset();  // after it was posted
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
  EXPECT_FALSE(abandoned.has_value());
  EXPECT_FALSE(literal.has_value());
}

TEST_F(ResolverTest, TheCallbackMayDestroyItsHandleAndAskAgain) {
  start(options());
  std::unique_ptr<Resolving> asking;
  int answers = 0;
  std::function<void()> again = [&] {
    asking = resolver_->resolve("127.0.0.1", 1, loop_, base::kNever, [&](Answer) {
      if (++answers < 3) again();
    });
  };
  again();
  EXPECT_TRUE(loop_.run_until([&] { return answers == 3; }));
}

TEST_F(ResolverTest, TellsThoseWhoWaitWhenItEnds) {
  server_.set("db.example", {.lose = 1'000});
  std::optional<Answer> answer;
  const auto asking = ask("db.example", answer);
  resolver_.reset();
  ASSERT_TRUE(loop_.run_until([&] { return answer.has_value(); }));
  ASSERT_FALSE(answer->has_value());
  EXPECT_EQ(answer->error().sqlstate, base::kAdminShutdown);
}

TEST_F(ResolverTest, ReadsTheHostsFileFirst) {
  const std::string path = testing::TempDir() + "penstock-hosts-" + std::to_string(getpid());
  std::FILE* file = std::fopen(path.c_str(), "w");
  std::fputs("192.0.2.7 from-file.example alias\n2001:db8::7 from-file.example\n", file);
  std::fclose(file);
  setenv("CARES_HOSTS", path.c_str(), 1);
  auto with_file = options();
  with_file.channel.hosts_file_by_environment = true;
  start(with_file);
  EXPECT_EQ(texts(answer_to("from-file.example")), (Texts{"192.0.2.7:5432", "[2001:db8::7]:5432"}));
  EXPECT_EQ(server_.questions(), 0);
  unlink(path.c_str());
  unsetenv("CARES_HOSTS");
}

TEST_F(ResolverTest, StartsAndEndsCleanlyUnderLoadFromSeveralThreads) {
  server_.set("db.example", {.v4 = {"10.0.0.1"}});
  for (int round = 0; round < 5; ++round) {
    start(options());
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([this, i] {
        MailboxLoop loop;
        for (int n = 0; n < 200; ++n) {
          bool answered = false;
          auto asking = resolver_->resolve("db" + std::to_string((n + i) % 7) + ".example", 1, loop,
                                           std::chrono::steady_clock::now() + seconds(5),
                                           [&answered](Answer) { answered = true; });
          if (n % 3 != 0) EXPECT_TRUE(loop.run_until([&] { return answered; }));
        }
      });
    }
    for (auto& thread : threads) thread.join();
    resolver_.reset();
  }
}

}  // namespace
}  // namespace penstock::io
