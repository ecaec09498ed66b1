#include "io/resolver_test.h"

namespace penstock::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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
