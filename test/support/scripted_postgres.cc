#include "support/scripted_postgres.h"

#include <algorithm>

#include "base/assert.h"

namespace penstock::sim {

ScriptedPeer::ScriptedPeer(ScriptedPostgres& server, std::uint32_t its_pid, io::StreamPtr stream)
    : pid(its_pid), server_(server), stream_(std::move(stream)) {
  stream_->set_sink(*this);
}

void ScriptedPeer::on_data(io::Chunk bytes) {
  splitter_.feed(bytes.view());
  pump();
}

void ScriptedPeer::pump() {
  while (open() && !hangs) {
    const auto next = splitter_.next();
    if (!next.has_value()) return;
    handle(*next);
  }
}

void ScriptedPeer::on_end(const base::Error*) {
  stream_.reset();
}

void ScriptedPeer::send(std::string_view bytes) {
  if (open()) stream_->write(base::as_bytes(bytes));
}

void ScriptedPeer::close() {
  if (open()) io::finish(std::move(stream_));
}

void ScriptedPeer::greet() {
  std::string out = message('R', be32(0));
  for (const auto& [name, value] : server_.parameters)
    out += message('S', zero_ended(name) + zero_ended(value));
  out += message('K', be32(pid) + ScriptedPostgres::key_of(pid));
  send(out);
  ready();
}

void ScriptedPeer::on_startup(const Message& received) {
  Fields fields(received.body);
  const auto code = fields.be32();
  if (code == kSslRequest) {
    splitter_.expect_startup();
    return send("N");
  }
  if (code == kCancelRequest) {
    const auto target = fields.be32();
    return server_.cancel(*this, target, fields.bytes(4));
  }
  while (fields.ok() && !fields.at_end()) {
    const auto name = fields.text();
    if (!name.empty()) startup[name] = fields.text();
  }
  greet();
}

void ScriptedPeer::handle(const Message& received) {
  if (received.type == 'Q') asked_.push_back(Fields(received.body).text());
  if (received.type != 'Q' && received.type != 0) asked_.emplace_back(1, received.type);
  if (server_.script(*this, received)) return;
  switch (received.type) {
    case 0:
      return on_startup(received);
    case 'Q':
      return on_query(asked_.back());
    case 'P':
      return send(message('1'));
    case 'B':
      return send(message('2'));
    case 'C':
      return send(message('3'));
    case 'D':
      return send(message('n'));
    case 'E':
      return send(message('C', zero_ended("SELECT 0")));
    case 'S':
      return ready();
    case 'X':
      return close();
    default:
      return;
  }
}

void ScriptedPeer::on_query(const std::string& text) {
  if (text == "hang") {
    hangs = true;
    return;
  }
  if (text == "BEGIN") status = 'T';
  if (text == "COMMIT" || text == "ROLLBACK") status = 'I';
  if (text.empty()) {
    send(message('I'));
  } else if (text.starts_with("SET \"")) {
    // SET "name" TO 'value'; the first of them
    const auto name_end = text.find('"', 5);
    const auto value_at = text.find('\'') + 1;
    send(message('S', zero_ended(text.substr(5, name_end - 5)) +
                          zero_ended(text.substr(value_at, text.find('\'', value_at) - value_at))));
    send(message('C', zero_ended("SET")));
  } else {
    send(message('C', zero_ended(text.substr(0, text.find(' ')))));
  }
  ready();
}

ScriptedPostgres::ScriptedPostgres(io::SimLoop& loop, std::string_view ip)
    : loop_(loop), address_(*io::Address::from_ip(ip, 5432)) {
  start();
}

void ScriptedPostgres::start() {
  auto listener = loop_.listen(address_, {}, *this);
  PENSTOCK_ASSERT(listener.has_value());
  listener_ = *std::move(listener);
}

void ScriptedPostgres::on_accept(io::StreamPtr stream) {
  peers.push_back(std::make_unique<ScriptedPeer>(*this, ++last_pid_, std::move(stream)));
}

std::size_t ScriptedPostgres::open_peers() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(peers, [](const auto& peer) { return peer->open(); }));
}

void ScriptedPostgres::cancel(ScriptedPeer& from, std::uint32_t pid, const std::string& key) {
  for (const auto& peer : peers) {
    if (peer->pid != pid || key != key_of(pid)) continue;
    ++peer->cancels;
    if (!std::exchange(peer->hangs, false)) continue;
    if (peer->status == 'T') peer->status = 'E';
    peer->send(error_message("ERROR", "57014", "canceling statement due to user request"));
    peer->ready();
    peer->pump();
  }
  const auto self = std::ranges::find_if(peers, [&](const auto& peer) { return peer.get() == &from; });
  cancelling_.push_back(std::move(*self));
  peers.erase(self);
  if (!hold_cancels) answer_cancels();
}

void ScriptedPostgres::answer_cancels() {
  for (const auto& peer : cancelling_) peer->close();
  loop_.defer([gone = std::move(cancelling_)] {});
  cancelling_.clear();
}

}  // namespace penstock::sim
