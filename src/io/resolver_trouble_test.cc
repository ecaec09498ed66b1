// Name servers that are silent, in trouble, or others than before.
#include "io/resolver_test.h"

namespace penstock::io {
namespace {

using std::chrono::milliseconds;

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

// A file of name servers for one test.
struct ResolvConf {
  explicit ResolvConf(const NameServer& server) { name(server); }
  ~ResolvConf() { unlink(path.c_str()); }
  // As those who write it do: another file in its place.
  void name(const NameServer& server) const {
    const std::string fresh = path + ".new";
    std::FILE* file = std::fopen(fresh.c_str(), "w");
    std::fputs(("nameserver " + server.ip() + "\n").c_str(), file);
    std::fclose(file);
    std::rename(fresh.c_str(), path.c_str());
  }
  std::string path = testing::TempDir() + "penstock-resolv-" + std::to_string(getpid());
};

TEST_F(ResolverTest, AsksTheNameServersThatTheFileNamesNow) {
  const ResolvConf conf(server_);
  NameServer other("127.0.0.2", server_.port());
  auto with_file = options();
  with_file.channel.servers.clear();
  with_file.channel.resolv_conf = conf.path;
  with_file.channel.port = server_.port();
  with_file.channel.look_again = milliseconds(0);
  start(with_file);
  server_.set("slow.example", {.v4 = {"10.0.0.1"}, .lose = 4});
  std::optional<Answer> slow;
  const auto asking = ask("slow.example", slow);
  for (int i = 0; i < 1000 && server_.questions() < 2; ++i)
    usleep(1'000);  // those for both kinds of addresses
  conf.name(other);
  other.set("new.example", {.v4 = {"10.0.0.2"}});
  EXPECT_EQ(texts(answer_to("new.example")), Texts{"10.0.0.2:5432"});
  EXPECT_FALSE(slow.has_value());
  ASSERT_TRUE(loop_.run_until([&] { return slow.has_value(); })) << "what was under way goes on";
  EXPECT_EQ(texts(*slow), Texts{"10.0.0.1:5432"});
  conf.name(server_);
  server_.set("old.example", {.v4 = {"10.0.0.3"}});
  EXPECT_EQ(texts(answer_to("old.example")), Texts{"10.0.0.3:5432"});
}

// The network may come up after the server.
TEST_F(ResolverTest, AsksTheNameServersOfAFileThatAppearsLater) {
  NameServer other("127.0.0.2", server_.port());
  const ResolvConf conf(other);
  unlink(conf.path.c_str());
  auto with_file = options();
  with_file.channel.servers.clear();
  with_file.channel.resolv_conf = conf.path;
  with_file.channel.port = server_.port();
  with_file.channel.look_again = milliseconds(0);
  start(with_file);
  other.set("db.example", {.v4 = {"10.0.0.1"}});
  EXPECT_FALSE(answer_to("early.example").has_value());
  conf.name(other);
  EXPECT_EQ(texts(answer_to("db.example")), Texts{"10.0.0.1:5432"});
}

}  // namespace
}  // namespace penstock::io
