#include "canned_login.h"

#include "canned_session.h"

namespace penstock::bench {

namespace {

constexpr std::uint32_t kSslRequest = 80877103;
constexpr std::uint32_t kGssRequest = 80877104;
constexpr std::uint32_t kCancelRequest = 80877102;
constexpr std::string_view kMd5Salt = "salt";

}  // namespace

void CannedLogin::on_startup(std::string_view body) {
  Fields fields(body);
  const std::uint32_t code = fields.be32();
  if (code == kSslRequest || code == kGssRequest) {
    host_.out().u8('N');
  } else if (code == kCancelRequest) {
    const std::uint32_t pid = fields.be32();
    host_.cancel(pid, fields.be32());
    state_ = State::kClosed;
  } else if (code >> 16 == 3) {
    if ((code & 0xffff) != 0) {
      MessageWriter message(host_.out(), 'v');
      message->be32(3 << 16);
      message->be32(0);
    }
    read_parameters(fields);
    ask();
  } else {
    state_ = State::kClosed;
  }
}

void CannedLogin::read_parameters(Fields fields) {
  while (!fields.failed()) {
    const std::string_view name = fields.cstring();
    if (name.empty()) return;
    const std::string_view value = fields.cstring();
    if (name == "user") {
      user_ = value;
      settings_.set_at_startup("session_authorization", value);
    } else if (name != "database" && name != "options" && name != "replication") {
      settings_.set_at_startup(name, value);
    }
  }
}

void CannedLogin::ask() {
  switch (host_.config().auth) {
    case CannedAuth::kTrust:
      welcome();
      break;
    case CannedAuth::kMd5:
      send_auth(5, kMd5Salt);
      state_ = State::kMd5;
      break;
    case CannedAuth::kScram:
      send_auth(10, std::string_view("SCRAM-SHA-256\0\0", 15));
      state_ = State::kSaslFirst;
      break;
  }
}

void CannedLogin::on_password(std::string_view body) {
  const CannedConfig& config = host_.config();
  Fields fields(body);
  switch (state_) {
    case State::kMd5:
      fields.cstring() == md5_answer(user_, config.password, kMd5Salt) ? welcome() : refuse();
      break;
    case State::kSaslFirst: {
      (void)fields.cstring();
      (void)fields.be32();
      const auto answer =
          scram_.first(fields.rest(), "canned-" + std::to_string(secret_), config.salt, config.iterations);
      if (!answer) return refuse();
      send_auth(11, *answer);
      state_ = State::kSaslFinal;
      break;
    }
    case State::kSaslFinal: {
      const auto answer = scram_.final(body, config.keys);
      if (!answer) return refuse();
      send_auth(12, *answer);
      welcome();
      break;
    }
    case State::kStartup:
    case State::kClosed:
    case State::kDone:
      refuse();
      break;
  }
}

void CannedLogin::welcome() {
  base::ByteWriter& out = host_.out();
  send_auth(0, {});
  settings_.greet(out);
  {
    MessageWriter key(out, 'K');
    key->be32(pid_);
    key->be32(secret_);
  }
  MessageWriter(out, 'Z')->u8('I');
  state_ = State::kDone;
}

void CannedLogin::refuse() {
  write_error(host_.out(), "FATAL", "28P01", "password authentication failed for user \"" + user_ + "\"");
  ++host_.stats().errors;
  state_ = State::kClosed;
}

void CannedLogin::send_auth(std::uint32_t code, std::string_view payload) {
  MessageWriter message(host_.out(), 'R');
  message->be32(code);
  message->raw(payload);
}

}  // namespace penstock::bench
