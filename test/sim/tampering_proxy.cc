#include "sim/tampering_proxy.h"

#include <iterator>
#include <utility>

#include "base/assert.h"

namespace penstock::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr auto kHeldBack = milliseconds(80);

// A stream that nobody listens to any more.
struct Deaf final : io::StreamSink {
  void on_data(io::Chunk) override {}
  void on_end(const base::Error*) override {}
};

}  // namespace

// One connection from the near side, and the one it goes on by.
class TamperingProxy::Link final {
 public:
  Link(TamperingProxy& proxy, std::uint32_t id, io::StreamPtr near)
      : proxy_(proxy), id_(id), near_(std::move(near)) {
    near_->set_sink(from_near_);
    connecting_ = connect([this](io::StreamPtr far) {
      if (far == nullptr) return end();
      far_ = std::move(far);
      far_->set_sink(from_far_);
      send_far(std::exchange(unsent_, {}));
    });
  }

  void send_near(const Message& message) { write(near_, sim::message(message.type, message.body)); }

 private:
  struct End final : io::StreamSink {
    End(Link& owner, bool near) : link(owner), is_near(near) {}
    void on_data(io::Chunk bytes) override {
      is_near ? link.on_near(bytes.view()) : link.on_far(bytes.view());
    }
    void on_end(const base::Error*) override { link.end(); }
    Link& link;
    const bool is_near;
  };

  static void write(const io::StreamPtr& stream, std::string_view bytes) {
    if (stream != nullptr) stream->write(base::as_bytes(bytes));
  }
  // Null: it did not work.
  std::unique_ptr<io::Connecting> connect(std::move_only_function<void(io::StreamPtr)> done) {
    return proxy_.loop_->connect(proxy_.target_, proxy_.loop_->now() + seconds(2),
                                 [this, done = std::move(done)](base::Result<io::StreamPtr> stream) mutable {
                                   if (!stream && proxy_.tampering_ == Tampering::kStaysDown)
                                     proxy_.stay_down();
                                   done(stream ? *std::move(stream) : nullptr);
                                 });
  }
  void end() {
    io::finish(std::move(near_));
    if (far_ != nullptr && proxy_.strikes(Tampering::kKeepsConnection, 1)) {
      proxy_.keep(std::move(far_));
    } else {
      io::finish(std::move(far_));
    }
    proxy_.forget(id_);
  }

  void on_near(base::ByteView bytes) {
    up_.feed(bytes);
    std::string out;
    std::string last_query;
    for (auto message = up_.next(); message.has_value(); message = up_.next()) {
      std::string passed = pass_up(*message);
      // The one before it waits in `out`, if it came together with this one.
      if (message->type == 'Q' && !last_query.empty() && proxy_.strikes(Tampering::kSwapsOrder, 3)) {
        out.resize(out.size() - last_query.size());
        passed += last_query;
        out += passed;
        last_query.clear();
        continue;
      }
      last_query = message->type == 'Q' ? passed : "";
      out += passed;
    }
    if (held_.empty() && (!proxy_.strikes(Tampering::kHoldsBack, 8) || !logged_in_)) return send_far(out);
    if (held_.empty()) proxy_.loop_->timers().arm(hold_, proxy_.loop_->now() + kHeldBack);
    held_ += out;
  }
  void let_go_held() { send_far(std::exchange(held_, {})); }

  std::string pass_up(const Message& received) {
    if (received.type == 0) return pass_startup(received);
    if (received.type == 'Q' && received.body.starts_with("BEGIN") &&
        proxy_.strikes(Tampering::kInventsAnswer, 3)) {
      write(near_, message('C', zero_ended("BEGIN")) + message('Z', "T"));
      return {};
    }
    std::string bytes = message(received.type, received.body);
    if (received.type == 'Q' && proxy_.strikes(Tampering::kRepeatsQuery, 10)) bytes += bytes;
    if (received.type == 'Q' && proxy_.strikes(Tampering::kSendsNonsense, 10)) bytes += message('?', "what");
    return bytes;
  }

  std::string pass_startup(const Message& received) {
    Fields fields(received.body);
    const auto code = fields.be32();
    if (code == kSslRequest || code == kGssRequest) {
      up_.expect_startup();
      bare_byte_comes_ = true;
    }
    if (code == kCancelRequest && !proxy_.cancel_keys_.empty() &&
        proxy_.strikes(Tampering::kTurnsCancel, 1)) {
      auto other = proxy_.cancel_keys_.begin();
      std::advance(other, proxy_.loop_->world().random().below(proxy_.cancel_keys_.size()));
      return startup_packet(kCancelRequest, other->second);
    }
    const auto packet = startup_packet(code, std::string_view(received.body).substr(4));
    if (code == kProtocol3 && proxy_.strikes(Tampering::kOpensTwice, 1)) {
      connecting_twice_ = connect([this, packet](io::StreamPtr stream) {
        static Deaf deaf;
        if (stream == nullptr) return;
        second_ = std::move(stream);
        second_->set_sink(deaf);
        write(second_, packet);
      });
    }
    return packet;
  }

  void on_far(base::ByteView bytes) {
    if (bare_byte_comes_) {
      write(near_, base::as_text(bytes.first(1)));
      bytes = bytes.subspan(1);
      bare_byte_comes_ = false;
    }
    down_.feed(bytes);
    for (auto message = down_.next(); message.has_value(); message = down_.next()) pass_down(*message);
  }

  void pass_down(Message& received) {
    if (received.type == 'K') proxy_.cancel_keys_[id_] = received.body;
    if (received.type == 'Z') logged_in_ = true;
    if (received.type == 'D' && proxy_.strikes(Tampering::kChangesRow, 20)) received.body.back() ^= 1;
    if (received.type == 'Z' && proxy_.strikes(Tampering::kHidesTransaction, 2)) received.body = "I";
    if (received.type == 'Z' && proxy_.strikes(Tampering::kLosesReady, 20)) return;
    if (received.type == 'D' && proxy_.strikes(Tampering::kSwapsAnswers, 10)) {
      return proxy_.links_.begin()->second->send_near(received);
    }
    send_near(received);
  }

  void send_far(const std::string& bytes) {
    if (far_ == nullptr) {
      unsent_ += bytes;
    } else {
      write(far_, bytes);
    }
  }

  TamperingProxy& proxy_;
  const std::uint32_t id_;
  End from_near_{*this, true};
  End from_far_{*this, false};
  io::StreamPtr near_;
  io::StreamPtr far_;
  io::StreamPtr second_;
  std::unique_ptr<io::Connecting> connecting_;
  std::unique_ptr<io::Connecting> connecting_twice_;
  std::string unsent_;  // until far_ is connected
  std::string held_;
  Splitter up_{true};
  Splitter down_{false};
  bool bare_byte_comes_ = false;  // the answer to SSLRequest
  bool logged_in_ = false;
  io::Timer hold_ = io::Timer::calling<&Link::let_go_held>(this);
};

TamperingProxy::TamperingProxy(io::SimWorld& world, const io::Address& address, const io::Address& target,
                               Tampering tampering)
    : target_(target), tampering_(tampering), loop_(world.make_loop("tampering proxy")) {
  auto listener = loop_->listen(address, {}, *this);
  PENSTOCK_ASSERT(listener.has_value());
  listener_ = *std::move(listener);
}

TamperingProxy::~TamperingProxy() = default;

void TamperingProxy::on_accept(io::StreamPtr stream) {
  const auto id = ++last_link_;
  links_.emplace(id, std::make_unique<Link>(*this, id, std::move(stream)));
}

bool TamperingProxy::strikes(Tampering tampering, std::uint64_t one_in) {
  return tampering_ == tampering && loop_->world().random().below(one_in) == 0;
}

void TamperingProxy::forget(std::uint32_t link) {
  const auto found = links_.find(link);
  if (found == links_.end()) return;
  loop_->defer([gone = std::move(found->second)] {});
  links_.erase(found);
  cancel_keys_.erase(link);
}

void TamperingProxy::keep(io::StreamPtr stream) {
  static Deaf deaf;
  stream->set_sink(deaf);
  kept_.push_back(std::move(stream));
}

namespace {

std::unique_ptr<PoolerMiddle> pooler_for(const MiddleSite& site, const SimPostgresOptions& server,
                                         const PoolerMiddle::Options& options) {
  MiddleSite seen{site.world, site.checkers, server, site.client, site.users, site.tolerant};
  return std::make_unique<PoolerMiddle>(seen, options);
}

SimPostgresOptions with_address(SimPostgresOptions server, const io::Address& address) {
  server.address = address;
  return server;
}

}  // namespace

TamperedMiddle::TamperedMiddle(MiddleSite& site, const PoolerMiddle::Options& options, Tampering tampering)
    : tampering_(tampering),
      server_(is_before_servers(tampering) ? with_address(site.server, address_) : site.server),
      pooler_(pooler_for(site, server_, options)),
      proxy_(std::make_unique<TamperingProxy>(
          site.world, address_,
          is_before_servers(tampering) ? site.server.address : pooler_->client_address(), tampering)) {}

io::Address TamperedMiddle::client_address() const {
  return is_before_servers(tampering_) ? pooler_->client_address() : address_;
}

}  // namespace penstock::sim
