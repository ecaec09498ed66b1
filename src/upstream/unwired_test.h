// UnwiredTest: an Upstream that is connected to nothing, for tests that say themselves what was asked of the
// server and what it answers.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "io/sim_loop.h"
#include "support/wire.h"
#include "upstream/upstream.h"

namespace penstock::upstream::testing {

// Keeps what is written to it; what is received, a test hands to `sink`.
class DeadEnd final : public io::Stream {
 public:
  DeadEnd(io::Loop& loop, std::string& written) : loop_(loop), written_(written) {}
  void set_sink(io::StreamSink& its_sink) override { sink = &its_sink; }
  using io::Stream::write;
  void write(io::Chunk bytes) override { written_ += base::as_text(bytes.view()); }
  std::size_t unsent() const override { return 0; }
  bool has_ended() const override { return false; }
  void pause_receiving() override { paused = true; }
  void resume_receiving() override { paused = false; }
  void shutdown_sending() override {}
  const io::PeerName& peer() const override { return name_; }
  io::PeerName local() const override { return name_; }
  io::Loop& loop() override { return loop_; }
  io::StreamSink* sink = nullptr;
  bool paused = false;

 private:
  io::Loop& loop_;
  std::string& written_;
  io::PeerName name_;
};

inline LoggedIn logged_in(io::Loop& loop, std::string& written) {
  LoggedIn result;
  result.stream = std::make_unique<DeadEnd>(loop, written);
  return result;
}

class UnwiredTest : public ::testing::Test {
 public:
  using Kind = Reply::Kind;

  StatementPtr statement(std::string_view text) {
    return statements.intern(base::as_bytes(std::string(text) + std::string(3, '\0')));
  }
  // What was sent to the server: kinds in order; `asked` for those with more to say.
  void ask(std::initializer_list<Kind> kinds) {
    for (const Kind kind : kinds) upstream.replies.push({.kind = kind});
  }
  void ask(Reply reply) { upstream.replies.push(std::move(reply)); }
  // The server's bytes; what came of them: the type of each message that the client hears, in parentheses
  // where it does not, '!' where the server has left the protocol.
  std::string hear(std::string_view bytes) {
    std::string heard;
    upstream.scanner.feed(base::as_bytes(bytes));
    for (auto event = upstream.scanner.next(); event.kind != pgwire::FrameScanner::Kind::kMore;
         event = upstream.scanner.next()) {
      const auto tracked = upstream.track(event, settings);
      if (!tracked) return heard + '!';
      last = *tracked;
      // Each message of a run.
      std::size_t at = 0;
      do {
        const std::string type(1, static_cast<char>(event.type));
        heard += tracked->visible ? type : '(' + type + ')';
        at += event.kind == pgwire::FrameScanner::Kind::kMessage ? base::load_be32(&event.bytes[at + 1]) + 1
                                                                 : event.bytes.size();
      } while (at < event.bytes.size());
    }
    return heard;
  }
  // Lets time pass, so that something that happens now is later than what happened before.
  void wait() {
    world.after(std::chrono::milliseconds(1), [this] { loop->post([] {}); });
    world.run_until(world.now() + std::chrono::milliseconds(2));
  }
  std::int64_t now() const { return loop->now().time_since_epoch().count(); }

  io::SimWorld world{1};
  std::unique_ptr<io::SimLoop> loop = world.make_loop("worker");
  SettingsTable settings;
  StatementTable statements;
  const SettingsPtr at_login = settings.intern({{"TimeZone", "UTC"}, {"application_name", ""}});
  std::shared_ptr<Schema> schema = std::make_shared<Schema>();
  std::string written;
  Upstream upstream{7, logged_in(*loop, written), at_login, schema};
  Upstream::Tracked last;
};

// The server's messages.
inline std::string ready(char status = 'I') {
  return sim::message('Z', std::string(1, status));
}
inline std::string done(std::string_view tag) {
  return sim::message('C', sim::zero_ended(tag));
}
inline std::string parameter(std::string_view name, std::string_view value) {
  return sim::message('S', sim::zero_ended(name) + sim::zero_ended(value));
}
inline std::string error(std::string_view sqlstate = "22012", std::string_view text = "division by zero") {
  return sim::error_message("ERROR", sqlstate, text);
}
inline std::string fatal() {
  return sim::error_message("FATAL", "57P01", "terminating connection due to administrator command");
}
// Messages without a body, by their types.
inline std::string bare(std::string_view types) {
  std::string result;
  for (const char type : types) result += sim::message(type);
  return result;
}
inline std::string row() {
  return sim::data_row({"1"});
}
inline std::string columns() {
  return sim::row_description({"n"});
}

}  // namespace penstock::upstream::testing
