// ScriptedPostgres is a server that says what a test wants it to say, and otherwise answers as a very simple
// Postgres would: it lets everybody in, and every statement is done at once.
//
// It keeps no rules and checks nothing; a test looks at what its connections have been sent.
//
// Owner:      a test.
// Home:       LOOP
// Invariants: every connection that asked for more than a cancel stays in `peers`, gone or not, in order of
//             arrival.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/sim_loop.h"
#include "support/wire.h"

namespace penstock::sim {

class ScriptedPostgres;

// One connection, as the server sees it.
class ScriptedPeer final : public io::StreamSink {
 public:
  ScriptedPeer(ScriptedPostgres& server, std::uint32_t its_pid, io::StreamPtr stream);
  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error* error) override;

  void send(std::string_view bytes);
  // Authentication done, parameters, key, ready.
  void greet();
  void ready() { send(message('Z', std::string(1, status))); }
  // Handles what has been received, unless it hangs.
  void pump();
  // What was sent still arrives, then the end.
  void close();
  bool open() const { return stream_ != nullptr; }
  // Query texts, with what was sent by the extended protocol as its message types: "P", "B", "E", "S".
  const std::vector<std::string>& asked() const { return asked_; }
  std::string asked_last() const { return asked_.empty() ? "" : asked_.back(); }

  const std::uint32_t pid;
  std::map<std::string, std::string> startup;
  char status = 'I';
  bool hangs = false;  // "hang" was asked: nothing is read or answered before a cancel
  int cancels = 0;     // requests that named this connection and its key

 private:
  void handle(const Message& message);
  void on_startup(const Message& message);
  void on_query(const std::string& text);

  ScriptedPostgres& server_;
  io::StreamPtr stream_;
  Splitter splitter_{true};
  std::vector<std::string> asked_;
};

class ScriptedPostgres final : public io::AcceptSink {
 public:
  explicit ScriptedPostgres(io::SimLoop& loop, std::string_view ip = "10.0.0.5");

  // Asked first about every message (type 0: a start-up packet); true: it has done what is to be done.
  std::function<bool(ScriptedPeer&, const Message&)> script = [](ScriptedPeer&, const Message&) {
    return false;
  };
  std::vector<std::pair<std::string, std::string>> parameters = {
      {"server_version", "16.3"}, {"client_encoding", "UTF8"}, {"TimeZone", "UTC"}, {"application_name", ""}};
  // Cancel requests are obeyed, but their connections stay open until answer_cancels().
  bool hold_cancels = false;
  void answer_cancels();

  void stop() { listener_.reset(); }
  void start();
  std::vector<std::unique_ptr<ScriptedPeer>> peers;
  ScriptedPeer& peer(std::size_t index) { return *peers.at(index); }
  std::size_t open_peers() const;

  // --- for its peers ---
  void cancel(ScriptedPeer& from, std::uint32_t pid, const std::string& key);
  void on_accept(io::StreamPtr stream) override;
  static std::string key_of(std::uint32_t pid) { return be32(pid * 7919 + 17); }

 private:
  io::SimLoop& loop_;
  const io::Address address_;
  io::ListenerPtr listener_;
  std::vector<std::unique_ptr<ScriptedPeer>> cancelling_;
  std::uint32_t last_pid_ = 100;
};

}  // namespace penstock::sim
