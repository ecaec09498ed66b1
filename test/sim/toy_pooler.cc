#include "sim/toy_pooler.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace penstock::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A connection that we have closed may be open at the server for so long: as bytes that are late, see SimFaults.
constexpr auto kGoodbye = milliseconds(400);

// A client's connection.
class ToyPooler::Session final : public io::StreamSink {
 public:
  Session(ToyPooler& pooler, std::uint32_t id, io::StreamPtr stream)
      : pooler_(pooler), id_(id), stream_(std::move(stream)) {
    stream_->set_sink(*this);
  }

  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error*) override { pooler_.forget(*this); }
  void send(const Message& message) { send(sim::message(message.type, message.body)); }
  void send(std::string_view bytes) { stream_->write(base::as_bytes(bytes)); }
  void fail(std::string_view text) {
    send(error_message("FATAL", "08006", text));
    io::finish(std::move(stream_));
    pooler_.forget(*this);
  }
  void forward_backlog();
  bool is_quiet() const { return outstanding_ == 0 && !pipeline_open_; }
  std::uint32_t id() const { return id_; }

  Upstream* upstream = nullptr;
  std::deque<Message> backlog_;
  int outstanding_ = 0;         // ReadyForQuerys to come
  bool pipeline_open_ = false;  // sent something that still lacks its Sync

 private:
  void on_startup(const Message& message);
  bool invent_answer(const Message& message);

  ToyPooler& pooler_;
  const std::uint32_t id_;
  io::StreamPtr stream_;
  Splitter splitter_{true};
};

// A connection to the server.
class ToyPooler::Upstream final : public io::StreamSink {
 public:
  explicit Upstream(ToyPooler& pooler) : pooler_(pooler) {}
  void connect();
  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error*) override {
    if (session != nullptr) std::exchange(session, nullptr)->fail("the server closed the connection");
    pooler_.forget(*this);
  }
  void send(std::string_view bytes) { stream->write(base::as_bytes(bytes)); }

  io::StreamPtr stream;
  Session* session = nullptr;
  bool ready = false;
  std::string cancel_key;

 private:
  void on_login(const Message& message);
  void on_reply(Message message);

  friend class ToyPooler;
  ToyPooler& pooler_;
  std::unique_ptr<io::Connecting> connecting_;
  Splitter splitter_{false};
};

// ---------------------------------------------------------------- sessions

void ToyPooler::Session::on_data(io::Chunk bytes) {
  splitter_.feed(bytes.view());
  while (stream_ != nullptr) {
    auto message = splitter_.next();
    if (!message.has_value()) break;
    if (message->type == 0) {
      on_startup(*message);
    } else if (message->type == 'X') {
      return pooler_.forget(*this);
    } else if (!invent_answer(*message)) {
      backlog_.push_back(*std::move(message));
    }
  }
  if (stream_ == nullptr || backlog_.empty()) return;
  if (upstream != nullptr) return forward_backlog();
  pooler_.want_upstream(*this);
}

void ToyPooler::Session::on_startup(const Message& message) {
  Fields fields(message.body);
  const auto code = fields.be32();
  if (code == kSslRequest) {
    splitter_.expect_startup();
    return send("N");
  }
  if (code == kCancelRequest) {
    pooler_.cancel(fields.be32());
    return pooler_.forget(*this);
  }
  std::string greeting = sim::message('R', be32(0));
  while (!fields.at_end()) {
    const auto name = fields.text();
    if (name.empty()) break;
    const auto value = fields.text();
    if (name == "application_name") greeting += sim::message('S', zero_ended(name) + zero_ended(value));
  }
  send(greeting + sim::message('K', be32(id_) + "key!") + sim::message('Z', "I"));
}

bool ToyPooler::Session::invent_answer(const Message& message) {
  if (!message.body.starts_with("BEGIN") || upstream != nullptr ||
      !pooler_.strikes(PlantedBug::kInventsAnswer, 3)) {
    return false;
  }
  send(sim::message('C', zero_ended("BEGIN")) + sim::message('Z', "T"));
  return true;
}

void ToyPooler::Session::forward_backlog() {
  if (backlog_.size() > 1 && backlog_[0].type == 'Q' && backlog_[1].type == 'Q' &&
      pooler_.strikes(PlantedBug::kSwapsOrder, 3)) {
    std::swap(backlog_[0], backlog_[1]);
  }
  while (!backlog_.empty()) {
    const Message message = std::move(backlog_.front());
    backlog_.pop_front();
    const bool ends = message.type == 'Q' || message.type == 'S';
    outstanding_ += ends ? 1 : 0;
    const bool is_copy = message.type == 'd' || message.type == 'c' || message.type == 'f';
    if (!is_copy) pipeline_open_ = !ends;
    auto bytes = sim::message(message.type, message.body);
    if (message.type == 'Q' && pooler_.strikes(PlantedBug::kRepeatsQuery, 10)) bytes += bytes;
    if (pooler_.strikes(PlantedBug::kSendsNonsense, 30)) bytes += sim::message('?', "what");
    upstream->send(bytes);
  }
}

// ---------------------------------------------------------------- upstreams

void ToyPooler::Upstream::connect() {
  connecting_ = pooler_.loop_->connect(
      pooler_.server_.address, pooler_.loop_->now() + seconds(2),
      [this](base::Result<io::StreamPtr> result) { pooler_.on_opened(*this, std::move(result)); });
}

void ToyPooler::Upstream::on_data(io::Chunk bytes) {
  splitter_.feed(bytes.view());
  while (stream != nullptr) {
    auto message = splitter_.next();
    if (!message.has_value()) return;
    if (ready) {
      on_reply(*std::move(message));
    } else {
      on_login(*message);
    }
  }
}

void ToyPooler::Upstream::on_login(const Message& message) {
  if (message.type == 'K') cancel_key = message.body;
  if (message.type == 'E') return on_end(nullptr);
  if (message.type != 'Z') return;
  ready = true;
  pooler_.release(*this);
}

void ToyPooler::Upstream::on_reply(Message message) {
  if (session == nullptr) return;
  if (message.type == 'E' && error_fields(message.body).severity == "FATAL") {
    std::exchange(session, nullptr)->fail("the server ended the connection");
    return on_end(nullptr);
  }
  if (message.type == 'D' && pooler_.strikes(PlantedBug::kChangesRow, 20)) message.body.back() ^= 1;
  const bool is_ready = message.type == 'Z';
  if (is_ready) --session->outstanding_;
  Session* receiver = session;
  if (message.type == 'D' && pooler_.strikes(PlantedBug::kSwapsAnswers, 10)) {
    receiver = pooler_.sessions_.begin()->second.get();
  }
  if (!is_ready || !pooler_.strikes(PlantedBug::kLosesReady, 20)) receiver->send(message);
  const bool over = message.body == "I" || pooler_.strikes(PlantedBug::kReleasesEarly, 2);
  if (is_ready && over && session->is_quiet()) pooler_.release(*this);
}

// ---------------------------------------------------------------- the pool

ToyPooler::ToyPooler(MiddleSite& site, Options options)
    : options_(options), server_(site.server), loop_(site.world.make_loop("toy pooler")) {
  site.checkers.limits.allow(site.client.user + "@" + site.client.database,
                             static_cast<int>(options_.upstreams_max));
  auto listener = loop_->listen(address_, {}, *this);
  PENSTOCK_ASSERT(listener.has_value());
  listener_ = *std::move(listener);
}

ToyPooler::~ToyPooler() = default;

bool ToyPooler::strikes(PlantedBug bug, std::uint64_t one_in) {
  return options_.bug == bug && loop_->world().random().below(one_in) == 0;
}

void ToyPooler::on_accept(io::StreamPtr stream) {
  const auto id = ++last_session_;
  sessions_.emplace(id, std::make_unique<Session>(*this, id, std::move(stream)));
}

void ToyPooler::want_upstream(Session& session) {
  if (std::ranges::find(waiters_, &session) != waiters_.end()) return;
  waiters_.push_back(&session);
  serve_waiters();
}

void ToyPooler::serve_waiters() {
  while (!waiters_.empty()) {
    const auto idle =
        std::ranges::find_if(upstreams_, [](auto& u) { return u->ready && u->session == nullptr; });
    if (idle == upstreams_.end()) {
      if (upstreams_at_server() < options_.upstreams_max || options_.bug == PlantedBug::kIgnoresLimit) {
        open_upstream();
      } else if (!leaving_.empty()) {
        loop_->timers().arm(retry_, leaving_.front());
      }
      return;
    }
    Session* session = waiters_.front();
    if (options_.bug == PlantedBug::kServesLastFirst) {
      session = waiters_.back();
      waiters_.pop_back();
    } else {
      waiters_.pop_front();
    }
    Upstream& upstream = **idle;
    upstream.session = session;
    session->upstream = &upstream;
    stale_keys_[session->id()] = upstream.cancel_key;
    session->forward_backlog();
  }
}

std::size_t ToyPooler::upstreams_at_server() {
  while (!leaving_.empty() && leaving_.front() <= loop_->now()) leaving_.pop_front();
  return upstreams_.size() + leaving_.size();
}

void ToyPooler::open_upstream() {
  if (draining_ || gave_up_) return;
  upstreams_.push_back(std::make_unique<Upstream>(*this));
  upstreams_.back()->connect();
}

void ToyPooler::on_opened(Upstream& upstream, base::Result<io::StreamPtr> result) {
  if (!result) {
    if (options_.bug == PlantedBug::kNeverReconnects) gave_up_ = true;
    return forget(upstream);
  }
  upstream.stream = *std::move(result);
  upstream.stream->set_sink(upstream);
  upstream.send(startup_packet(kProtocol3, zero_ended("user") + zero_ended("app") + zero_ended("database") +
                                               zero_ended("shop") + '\0'));
}

void ToyPooler::release(Upstream& upstream) {
  if (upstream.session != nullptr) {
    Session& session = *std::exchange(upstream.session, nullptr);
    session.upstream = nullptr;
    if (!session.backlog_.empty()) waiters_.push_back(&session);
  }
  if (draining_) return forget(upstream);
  serve_waiters();
}

void ToyPooler::forget(Session& session) {
  std::erase(waiters_, &session);
  // In doubt about an upstream's state: close it.
  if (Upstream* upstream = std::exchange(session.upstream, nullptr); upstream != nullptr) {
    upstream->session = nullptr;
    forget(*upstream);
  }
  const auto found = sessions_.find(session.id());
  if (found == sessions_.end()) return;
  loop_->defer([gone = std::move(found->second)] {});
  sessions_.erase(found);
}

void ToyPooler::forget(Upstream& upstream) {
  const auto found = std::ranges::find_if(upstreams_, [&](auto& u) { return u.get() == &upstream; });
  if (found == upstreams_.end()) return;
  if (Session* session = std::exchange(upstream.session, nullptr)) session->upstream = nullptr;
  if (upstream.stream != nullptr) leaving_.push_back(loop_->now() + kGoodbye);
  if (upstream.stream != nullptr && strikes(PlantedBug::kKeepsConnection, 1)) {
    struct Deaf final : io::StreamSink {
      void on_data(io::Chunk) override {}
      void on_end(const base::Error*) override {}
    };
    static Deaf deaf;
    upstream.stream->set_sink(deaf);
    kept_.push_back(std::move(upstream.stream));
  }
  loop_->defer([gone = std::move(*found)] {});
  upstreams_.erase(found);
  if (!waiters_.empty()) loop_->timers().arm(retry_, loop_->now() + milliseconds(20));
}

void ToyPooler::cancel(std::uint32_t session_id) {
  if (options_.bug != PlantedBug::kStaleCancel || !stale_keys_.contains(session_id)) return;
  cancel_connects_.push_back(loop_->connect(
      server_.address, loop_->now() + seconds(2),
      [packet = startup_packet(kCancelRequest, stale_keys_[session_id])](base::Result<io::StreamPtr> stream) {
        if (!stream) return;
        (*stream)->write(base::as_bytes(packet));
        io::finish(*std::move(stream));
      }));
}

void ToyPooler::drain() {
  draining_ = true;
  loop_->post([this] {
    listener_.reset();
    std::vector<Upstream*> all;
    for (auto& upstream : upstreams_) all.push_back(upstream.get());
    for (Upstream* upstream : all) forget(*upstream);
  });
}

}  // namespace penstock::sim
