#include "support/sim_client.h"

#include <utility>

namespace penstock::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A CancelRequest on a connection of its own.
class SimClient::CancelCall final : public io::StreamSink {
 public:
  CancelCall(io::SimLoop& loop, const io::Address& address, std::string packet)
      : loop_(loop), packet_(std::move(packet)) {
    connecting_ = loop.connect(address, loop.now() + seconds(5), [this](base::Result<io::StreamPtr> stream) {
      if (!stream) {
        done_ = true;
        return;
      }
      stream_ = *std::move(stream);
      stream_->set_sink(*this);
      stream_->write(base::as_bytes(packet_));
    });
  }
  void on_data(io::Chunk) override {}
  void on_end(const base::Error*) override {
    done_ = true;
    loop_.defer([stream = std::move(stream_)] {});
  }
  bool done() const { return done_; }

 private:
  io::SimLoop& loop_;
  const std::string packet_;
  io::StreamPtr stream_;
  std::unique_ptr<io::Connecting> connecting_;
  bool done_ = false;
};

SimClient::SimClient(io::SimLoop& loop, Checkers& checkers, SimClientOptions options)
    : loop_(loop), random_(loop.world().random()), checkers_(checkers), options_(std::move(options)) {}

SimClient::~SimClient() = default;

void SimClient::start() {
  loop_.post([this] { rest(); });
}

void SimClient::heal() {
  healed_ = true;
}

void SimClient::leave() {
  leaving_ = true;
  loop_.post([this] {
    if (state_ == State::kResting) state_ = State::kGone;
    if (state_ == State::kWorking && outstanding_.empty()) work();
  });
}

std::string SimClient::describe() const {
  std::string text = fmt::format("client c{} in state {}, {} outstanding, {} completed", number_,
                                 static_cast<int>(state_), outstanding_.size(), completed_);
  if (!outstanding_.empty()) {
    const auto& first = outstanding_.front();
    text += fmt::format(", waits for '{}' of {}", first.batch.steps[first.step].type,
                        first.batch.tokens.empty() ? "?" : first.batch.tokens[0].text());
  }
  return text;
}

// ---------------------------------------------------------------- the connection

void SimClient::rest() {
  if (state_ == State::kGone) return;
  state_ = leaving_ ? State::kGone : State::kResting;
  if (!leaving_)
    loop_.timers().arm(timer_, loop_.now() + loop_.world().random_duration({}, milliseconds(100)));
}

void SimClient::connect() {
  state_ = State::kConnecting;
  number_ = ++checkers_.clients_ever;
  connecting_ =
      loop_.connect(options_.address, loop_.now() + seconds(2),
                    [this](base::Result<io::StreamPtr> stream) { on_connected(std::move(stream)); });
}

void SimClient::on_connected(base::Result<io::StreamPtr> stream) {
  if (!stream) {
    if (!options_.tolerant) violate(Rule::kOneEnding, "could not connect: " + stream.error().message);
    return rest();
  }
  stream_ = *std::move(stream);
  stream_->set_sink(*this);
  splitter_ = Splitter(false);
  scram_.reset();
  parameters_.clear();
  cancel_key_.clear();
  outstanding_.clear();
  loose_ = false;
  cancels_ = 0;
  plan_.emplace(number_, options_.work, random_);
  state_ = State::kLogin;
  loop_.timers().arm(impatience_, loop_.now() + options_.patience);
  asked_for_tls_ = random_.below(3) == 0;
  if (asked_for_tls_) return send(startup_packet(kSslRequest, ""));
  send_startup();
}

void SimClient::send_startup() {
  send(startup_packet(kProtocol3, zero_ended("user") + zero_ended(options_.user) + zero_ended("database") +
                                      zero_ended(options_.database) + zero_ended("application_name") +
                                      zero_ended(plan_->startup_application_name()) + '\0'));
}

void SimClient::send(std::string_view bytes) {
  const auto cut = random_.below(bytes.size() + 1);
  stream_->write(base::as_bytes(bytes.substr(0, cut)));
  stream_->write(base::as_bytes(bytes.substr(cut)));
}

// The connection is over, whoever ended it.
void SimClient::close(RequestChecker::Ending ending) {
  // Whoever is in between may cancel what a vanished client was doing; one that gave up because of a wrong
  // answer is not to explain it away.
  if (checkers_.verdict.clean()) {
    for (const Outstanding& left : outstanding_) {
      for (const Token& token : left.batch.tokens) checkers_.cancels.lost(token);
    }
  }
  while (!outstanding_.empty()) finish_batch(ending);
  timer_.cancel();
  impatience_.cancel();
  loop_.defer([stream = std::move(stream_)] {});
  rest();
}

void SimClient::on_end(const base::Error* error) {
  if (!options_.tolerant) {
    violate(Rule::kOneEnding, error == nullptr ? "the connection ended" : error->message);
  }
  if (state_ != State::kGone) close(RequestChecker::Ending::kCut);
}

void SimClient::violate(Rule rule, const std::string& text) {
  checkers_.verdict.violate(rule, fmt::format("c{}: {}", number_, text));
  if (state_ == State::kGone) return;
  leaving_ = true;
  close(RequestChecker::Ending::kCut);
}

void SimClient::on_timer() {
  std::erase_if(cancel_calls_, [](const auto& call) { return call->done(); });
  if (state_ == State::kResting) return connect();
  if (state_ == State::kWorking) work();
}

// Waiting too long is excusable only for what was asked while things went wrong.
void SimClient::on_impatience() {
  const auto since = outstanding_.empty() ? loop_.now() - options_.patience : outstanding_.front().asked;
  if (state_ == State::kWorking && outstanding_.empty()) return;
  if (loop_.now() - since < options_.patience) {
    loop_.timers().arm(impatience_, since + options_.patience);
    return;
  }
  if (!options_.tolerant || healed_) return violate(Rule::kOneEnding, "no answer: " + describe());
  close(RequestChecker::Ending::kCut);
}

// ---------------------------------------------------------------- what comes

void SimClient::on_data(io::Chunk bytes) {
  base::ByteView view = bytes.view();
  if (asked_for_tls_ && state_ == State::kLogin) {
    asked_for_tls_ = false;
    if (view[0] == 'N') {
      send_startup();
      view = view.subspan(1);
    } else if (view[0] != 'E') {
      return violate(Rule::kWrongAnswer, "SSLRequest answered with something else");
    }
  }
  splitter_.feed(view);
  while (stream_ != nullptr) {
    const auto message = splitter_.next();
    if (!message.has_value()) break;
    handle(*message);
  }
  if (stream_ != nullptr && splitter_.broken()) violate(Rule::kWrongAnswer, "broken framing");
}

void SimClient::handle(const Message& message) {
  const bool may_quote_others =
      message.type == 'A' || message.type == 'R' || message.type == 'K';  // or is random
  const auto token = find_token(message.body);
  if (!may_quote_others && token.has_value() && token->client != number_) {
    return violate(Rule::kCrossTalk, fmt::format("got '{}' with {}", message.type, token->text()));
  }
  if (message.type == 'E') {
    const auto error = error_fields(message.body);
    if (error.severity == "FATAL") return on_fatal(error);
  }
  if (state_ == State::kLogin) return on_login(message);
  if (on_aside(message)) return;
  if (outstanding_.empty()) {
    return violate(Rule::kOneEnding, fmt::format("'{}' though nothing was asked", message.type));
  }
  if (loose_) return on_loose(message);
  on_step(message);
}

bool SimClient::is_excusable(const ErrorFields& error) const {
  if (error.sqlstate == "57014") return cancels_ > 0;
  if (!options_.tolerant) return false;
  const auto category = error.sqlstate.substr(0, 2);
  return category == "08" || category == "57" || category == "53";
}

void SimClient::on_fatal(const ErrorFields& error) {
  if (!is_excusable(error)) return violate(Rule::kWrongAnswer, "FATAL " + error.sqlstate + " " + error.text);
  close(RequestChecker::Ending::kFailed);
}

void SimClient::on_login(const Message& message) {
  switch (message.type) {
    case 'R':
      return on_authentication(message);
    case 'S':
    case 'N':
      on_aside(message);
      return;
    case 'K':
      cancel_key_ = message.body;
      return;
    case 'Z':
      if (parameters_["application_name"] != plan_->startup_application_name()) {
        return violate(Rule::kWrongAnswer,
                       "application_name after log-in: " + parameters_["application_name"]);
      }
      state_ = State::kWorking;
      return work();
    default:
      return violate(Rule::kWrongAnswer, fmt::format("'{}' during log-in", message.type));
  }
}

void SimClient::on_authentication(const Message& received) {
  Fields fields(received.body);
  const auto code = fields.be32();
  const auto rest = std::string_view(received.body).substr(4);
  if (code == 0) return;
  if (code == 10) {
    const std::string_view offered[] = {"SCRAM-SHA-256"};
    auto chosen =
        auth::ScramClient::choose(offered, auth::WipedText(options_.password), random_, scram_cache_, {});
    if (!chosen) return violate(Rule::kWrongAnswer, chosen.error().message);
    scram_.emplace(*std::move(chosen));
    const auto first = scram_->first();
    return send(
        message('p', zero_ended("SCRAM-SHA-256") + be32(static_cast<std::uint32_t>(first.size())) + first));
  }
  if (code == 11 && scram_.has_value()) {
    const auto reply = scram_->respond(rest);
    if (!reply) return violate(Rule::kWrongAnswer, reply.error().message);
    return send(message('p', *reply));
  }
  if (code == 12 && scram_.has_value()) {
    if (const auto verified = scram_->verify(rest); !verified)
      violate(Rule::kWrongAnswer, verified.error().message);
    return;
  }
  violate(Rule::kWrongAnswer, fmt::format("authentication request {}", code));
}

// Messages that may come at any time.
bool SimClient::on_aside(const Message& message) {
  Fields fields(message.body);
  switch (message.type) {
    case 'N':
      return true;
    case 'S': {
      const auto name = fields.text();
      parameters_[name] = fields.text();
      return true;
    }
    case 'A':
      if (!options_.work.listen) violate(Rule::kCrossTalk, "a notification nobody listened for");
      return true;
    default:
      return false;
  }
}

bool SimClient::fits(const Step& step, const Message& message) const {
  if (message.type != step.type) return false;
  switch (message.type) {
    case 'C':
      return Fields(message.body).text() == step.text;
    case 'E':
      return error_fields(message.body).sqlstate == step.text;
    case 'D':
      return step.row == std::vector<std::string>{kUnknown} || row_values(message.body) == step.row;
    case 'd':
      return message.body == step.row[0];
    case 'Z':
      return message.body == step.text;
    default:
      return true;
  }
}

void SimClient::on_step(const Message& message) {
  Outstanding& current = outstanding_.front();
  const Step& step = current.batch.steps[current.step];
  if (!fits(step, message)) return on_surprise(message);
  if (message.type == 'Z') return finish_strict();
  ++current.step;
  if (step.then_send.empty()) return;
  if (step.then_send.ends_with(std::string_view("S\0\0\0\4", 5))) current.synced = true;
  send(step.then_send);
}

void SimClient::on_surprise(const Message& message) {
  const Outstanding& current = outstanding_.front();
  const Step& step = current.batch.steps[current.step];
  const auto error = message.type == 'E' ? error_fields(message.body) : ErrorFields{};
  if (message.type != 'E' || !is_excusable(error)) {
    return violate(
        Rule::kWrongAnswer,
        fmt::format("{}: expected '{}' {}{}, got '{}' {}{}",
                    current.batch.tokens.empty() ? "?" : current.batch.tokens[0].text(), step.type, step.text,
                    step.row.empty() ? "" : step.row[0], message.type, error.sqlstate,
                    message.type == 'D' ? row_values(message.body)[0] : message.body.substr(0, 100)));
  }
  loose_ = true;
  outstanding_.front().heard = true;
  if (outstanding_.back().synced) return;
  outstanding_.back().synced = true;  // only the last one can be without its Sync
  send(sim::message('S'));
}

void SimClient::on_loose(const Message& received) {
  if (received.type == 'G') return send(message('f', zero_ended("lost")));
  Outstanding& current = outstanding_.front();
  if (received.type != 'Z') {
    current.heard = true;
    return;
  }
  // A request that asks for more than ReadyForQuery gets more, if only an error.
  if (!current.heard && current.step == 0 && current.batch.steps.size() > 1) {
    return violate(Rule::kOneEnding, "an answer is missing: " + describe());
  }
  finish_batch(RequestChecker::Ending::kFailed);
  if (!outstanding_.empty()) return;
  loose_ = false;
  plan_->forget(received.body[0], parameters_["application_name"]);
  work();
}

// The oldest batch is over.
void SimClient::finish_batch(RequestChecker::Ending ending) {
  const Outstanding done = std::move(outstanding_.front());
  outstanding_.pop_front();
  for (std::size_t i = 0; i < done.batch.tokens.size(); ++i) {
    const bool failed = ending == RequestChecker::Ending::kAnswered && !done.batch.succeeds[i];
    checkers_.requests.ended(done.batch.tokens[i], failed ? RequestChecker::Ending::kFailed : ending);
    checkers_.waiters.gone(done.batch.tokens[i]);
  }
  if (!outstanding_.empty()) outstanding_.front().asked = loop_.now();
}

void SimClient::finish_strict() {
  const auto wanted = outstanding_.front().batch.application_name;
  finish_batch(RequestChecker::Ending::kAnswered);
  // A later batch may have changed it already only if its answer were here: it is not.
  if (options_.work.settings && wanted != kUnknown && parameters_["application_name"] != wanted) {
    return violate(Rule::kWrongAnswer, fmt::format("application_name is '{}', not '{}'",
                                                   parameters_["application_name"], wanted));
  }
  ++completed_;
  if (random_.below(1'000) < options_.rude_per_mille) return close(RequestChecker::Ending::kCut);
  if (outstanding_.empty() || random_.below(2) == 0) work();
}

// ---------------------------------------------------------------- what goes

void SimClient::work() {
  if (state_ != State::kWorking || loose_) return;
  if (leaving_) {
    if (!outstanding_.empty()) return;
    if (plan_->in_transaction()) return ask();
    return say_goodbye();
  }
  const auto depth = 1 + random_.below(options_.depth_max);
  while (outstanding_.size() < depth && state_ == State::kWorking) {
    if (!outstanding_.empty() && outstanding_.back().batch.alone) break;
    ask();
  }
  loop_.timers().arm(timer_, loop_.now() + loop_.world().random_duration({}, options_.think_max));
}

void SimClient::ask() {
  const bool needs_server = outstanding_.empty() && !plan_->in_transaction();
  Batch batch = plan_->next(leaving_);
  for (const Token& token : batch.tokens) checkers_.requests.asked(token);
  if (needs_server && !batch.tokens.empty()) checkers_.waiters.sent(batch.tokens[0], loop_.now());
  outstanding_.push_back({.batch = std::move(batch), .asked = loop_.now()});
  Outstanding& added = outstanding_.back();
  added.synced = added.batch.synced;
  send(added.batch.bytes);
  if (outstanding_.size() == 1) loop_.timers().arm(impatience_, loop_.now() + options_.patience);
  if (added.batch.slow && random_.below(100) < options_.cancel_percent) maybe_cancel();
}

void SimClient::maybe_cancel() {
  if (cancel_key_.empty()) return;
  ++cancels_;
  checkers_.cancels.asked_for(number_);
  cancel_calls_.push_back(
      std::make_unique<CancelCall>(loop_, options_.address, startup_packet(kCancelRequest, cancel_key_)));
}

void SimClient::say_goodbye() {
  state_ = State::kGone;
  timer_.cancel();
  impatience_.cancel();
  send(message('X'));
  io::finish(std::move(stream_));
}

}  // namespace penstock::sim
