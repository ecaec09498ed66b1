// LoginTest: whole log-ins on a simulated loop, with guests who log in by SCRAM. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "auth/scram_client.h"
#include "auth/scram_message.h"
#include "session/home_sim_test.h"
#include "session/pool_plan.h"
#include "session/session.h"

namespace penstock::session::testing {

// A client that logs in by SCRAM and notes what it sees.
class Guest final : public io::StreamSink {
 public:
  Guest(io::SimLoop& loop, std::string user, const std::string& password)
      : loop_(loop), user_(std::move(user)), cache_(loop.random()) {
    const std::string_view offered[] = {auth::kScramSha256};
    scram_ = std::make_unique<auth::ScramClient>(
        *auth::ScramClient::choose(offered, auth::WipedText(password), loop.random(), cache_, {}));
  }
  void start(std::string_view options = {}, std::string_view database = "shop") {
    const auto address = io::Address::from_ip("10.0.0.9", 6432);
    connecting_ =
        loop_.connect(*address, base::kNever, [this, options, database](base::Result<io::StreamPtr> stream) {
          ASSERT_TRUE(stream.has_value());
          stream_ = std::move(*stream);
          stream_->set_sink(*this);
          std::string fields = sim::zero_ended("user") + sim::zero_ended(user_) +
                               sim::zero_ended("database") + sim::zero_ended(database);
          if (!options.empty()) fields += sim::zero_ended("options") + sim::zero_ended(options);
          send(sim::startup_packet(sim::kProtocol3, fields + '\0'));
        });
  }
  void leave() { stream_.reset(); }
  void send(const std::string& bytes) { stream_->write(base::as_bytes(bytes)); }
  // The proof that was held back.
  void go_on() { send(std::exchange(proof_, {})); }

  bool is_in = false;
  bool vanishes_before_its_proof = false;
  bool waits_before_its_proof = false;
  bool does_not_read_its_greeting = false;
  std::string salt;
  std::string seen;  // kinds of messages and lengths
  sim::ErrorFields error;
  base::TimePoint refused_at{};

 private:
  void on_end(const base::Error*) override {}
  void on_data(io::Chunk bytes) override {
    splitter_.feed(bytes.view());
    while (auto message = splitter_.next()) {
      seen += message->type;
      if (message->type == 'Z') is_in = true;
      if (message->type == 'E') {
        error = sim::error_fields(message->body);
        refused_at = loop_.now();
      }
      if (message->type == 'R') on_authentication(message->body);
      if (stream_ == nullptr) return;
    }
  }
  void on_authentication(const std::string& body) {
    sim::Fields fields(body);
    const std::uint32_t code = fields.be32();
    const std::string rest = body.substr(4);
    if (code == 0 && does_not_read_its_greeting) stream_->pause_receiving();
    seen += std::to_string(code);
    if (code == 10) {
      const std::string first = scram_->first();
      send(sim::message('p', sim::zero_ended(scram_->mechanism()) +
                                 sim::be32(static_cast<std::uint32_t>(first.size())) + first));
    } else if (code == 11) {
      salt = rest.substr(rest.find(",s="));
      if (vanishes_before_its_proof) return leave();
      proof_ = sim::message('p', *scram_->respond(rest));
      if (!waits_before_its_proof) go_on();
    } else if (code == 12) {
      EXPECT_TRUE(scram_->verify(rest));
    }
  }
  io::SimLoop& loop_;
  std::string user_;
  auth::ScramKeyCache cache_;
  std::unique_ptr<auth::ScramClient> scram_;
  std::string proof_;
  sim::Splitter splitter_{false};
  io::StreamPtr stream_;
  std::unique_ptr<io::Connecting> connecting_;
};

class LoginTest : public HomeTest, private io::AcceptSink {
 public:
  LoginTest() {
    tenant.users = {{.name = "alice", .secret = "new"}};
    settings.ban_failures = 3;
    instruct();
    home.bury = [this](Session& session) {
      const auto found = sessions_.find(session.id());
      loop->defer([remains = std::shared_ptr<Session>(std::move(found->second))] {});
      sessions_.erase(found);
    };
    home.worker_count = [] { return 1U; };
    home.has_room = [](unsigned) { return true; };
    run([this] {
      auto listener = loop->listen(*io::Address::from_ip("10.0.0.9", 6432), {}, *this);
      ASSERT_TRUE(listener.has_value());
      listener_ = std::move(*listener);
    });
  }
  ~LoginTest() override {
    let(seconds(1));
    run([this] {
      listener_.reset();
      guests_.clear();
    });
    let(seconds(5));
    run([this] { sessions_.clear(); });
  }

  Guest& log_in(const std::string& user, const std::string& password, std::string_view options = {},
                std::string_view database = "shop") {
    Guest& guest = *guests_.emplace_back(std::make_unique<Guest>(*loop, user, password));
    run([&] { guest.start(options, database); });
    let(milliseconds(500));
    return guest;
  }
  // What a client says once it is in; the answers have time to come.
  void say(Guest& guest, const std::string& bytes, base::Duration time = milliseconds(5)) {
    run([&] { guest.send(bytes); });
    let(time);
  }
  std::shared_ptr<pool::Pool> pool_of_alice() {
    return pools.find(pool_key(*acme, &acme->users[0], "alice", "shop"));
  }
  bool may_log_in(const std::string& user, const std::string& password) {
    Guest& guest = log_in(user, password);
    run([&] { guest.leave(); });
    let(milliseconds(10));
    return guest.is_in;
  }
  // One who has been asked for its proof, and holds it back.
  Guest& challenged(const std::string& user, const std::string& password) {
    Guest& guest = *guests_.emplace_back(std::make_unique<Guest>(*loop, user, password));
    guest.waits_before_its_proof = true;
    run([&] { guest.start(); });
    let(milliseconds(50));
    EXPECT_NE(guest.salt, "");
    return guest;
  }
  void show_proof(Guest& guest) {
    run([&] { guest.go_on(); });
    let(milliseconds(500));
  }
  std::size_t banned() const { return login_bans.list("acme", world.now()).size(); }
  model::UserSpec& alice() { return tenant.users[0]; }
  model::PoolMode mode_of_newest() const { return sessions_.at(next_)->identity().mode; }

 private:
  void on_accept(io::StreamPtr stream) override {
    const std::uint64_t id = ++next_;
    auto session = std::make_unique<Session>(home, id);
    Session& started = *session;
    sessions_.emplace(id, std::move(session));
    started.start(std::move(stream), {});
  }
  io::ListenerPtr listener_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::uint64_t next_ = 0;
};

}  // namespace penstock::session::testing
