// Postgres messages as the benchmark programs need them: walk complete ones, keep the rest, write new ones.
//
// Written apart from src/pgwire on purpose: a checker that shares its parser with what it checks shares its
// mistakes.
//
// Source: PostgreSQL manual, "Frontend/Backend Protocol", message formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace penstock::bench {

struct Message {
  char type;
  std::string_view body;
};

inline const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

// Inbox cuts what arrives into messages and keeps an incomplete rest until the next bytes.
//
// Owner:      one connection, by value.
// Home:       LOOP
// Invariants: 1. Every byte fed is handed out exactly once, in order.
//             2. Holds no memory while nothing is incomplete.
// Errors:     broken() after a length word that cannot be; nothing is handed out any more.
class Inbox {
 public:
  enum class Verdict { kTaken, kHold };  // kHold: not now; offer this message again on the next feed()

  // Calls on_message(const Message&) -> Verdict for each complete message in what was kept and `fresh`.
  template <class OnMessage>
  void feed(std::string_view fresh, OnMessage&& on_message) {
    if (broken_) return;
    if (kept_.empty()) {
      keep(walk(fresh, on_message));
      return;
    }
    kept_.append(fresh);
    if (kept_.size() < needed_) return;
    const std::string_view rest = walk(kept_, on_message);
    if (rest.empty()) {
      std::string().swap(kept_);
    } else {
      kept_.erase(0, kept_.size() - rest.size());
    }
  }
  // One message without a type byte: how a client begins. Takes it out, or says that it is not complete.
  std::optional<std::string> take_startup(std::string_view fresh);

  bool broken() const { return broken_; }
  std::size_t kept() const { return kept_.size(); }
  void clear() {
    kept_.clear();
    needed_ = 0;
    broken_ = false;
  }

 private:
  static constexpr std::size_t kHeaderBytes = 5;
  static constexpr std::uint32_t kLengthMax = 0x40000000;

  template <class OnMessage>
  std::string_view walk(std::string_view bytes, OnMessage& on_message) {
    needed_ = kHeaderBytes;
    while (bytes.size() >= kHeaderBytes) {
      const std::uint32_t length = base::load_be32(bytes_of(bytes) + 1);
      if (length < 4 || length > kLengthMax) {
        broken_ = true;
        return {};
      }
      needed_ = length + 1ULL;
      if (bytes.size() < needed_) break;
      if (on_message(Message{bytes[0], bytes.substr(kHeaderBytes, length - 4)}) == Verdict::kHold) {
        needed_ = 0;
        break;
      }
      bytes.remove_prefix(needed_);
      needed_ = kHeaderBytes;
    }
    return bytes;
  }
  void keep(std::string_view rest) {
    if (!rest.empty()) kept_.assign(rest);
  }

  std::string kept_;
  std::size_t needed_ = 0;  // bytes until the first kept message can be complete
  bool broken_ = false;
};

// Reads the fields of one message's body. A read beyond the end gives empty values and sets failed().
class Fields {
 public:
  explicit Fields(std::string_view body) : rest_(body) {}
  std::uint8_t u8() { return static_cast<std::uint8_t>(take(1).empty() ? 0 : last_[0]); }
  std::uint16_t be16() { return take(2).empty() ? std::uint16_t{0} : base::load_be16(bytes_of(last_)); }
  std::uint32_t be32() { return take(4).empty() ? 0 : base::load_be32(bytes_of(last_)); }
  std::string_view take(std::size_t count);
  std::string_view cstring();
  std::string_view rest() const { return rest_; }
  bool failed() const { return failed_; }

 private:
  std::string_view rest_;
  std::string_view last_;
  bool failed_ = false;
};

// Writes one message: opens it with its type, closes it (and fills in its length) when it goes out of scope.
class MessageWriter {
 public:
  MessageWriter(base::ByteWriter& out, char type) : out_(out) {
    out.u8(static_cast<std::uint8_t>(type));
    at_ = out.size();
    out.be32(0);
  }
  explicit MessageWriter(base::ByteWriter& out) : out_(out), at_(out.size()) { out.be32(0); }  // start-up
  ~MessageWriter() { out_.patch_be32(at_, static_cast<std::uint32_t>(out_.size() - at_)); }
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;
  base::ByteWriter* operator->() { return &out_; }

 private:
  base::ByteWriter& out_;
  std::size_t at_;
};

// --- what clients say ---
void write_startup(base::ByteWriter& out, std::string_view user, std::string_view database,
                   std::string_view application_name);
void write_query(base::ByteWriter& out, std::string_view sql);
void write_parse(base::ByteWriter& out, std::string_view name, std::string_view sql);
// One text parameter, or none when `parameter` is nullopt; results as text.
void write_bind(base::ByteWriter& out, std::string_view statement, std::optional<std::string_view> parameter);
void write_describe(base::ByteWriter& out, char kind, std::string_view name);
void write_execute(base::ByteWriter& out, std::uint32_t rows_max = 0);
void write_close_statement(base::ByteWriter& out, std::string_view name);
// Sync, Flush, Terminate, CopyDone: messages that are nothing but their type.
void write_bare(base::ByteWriter& out, char type);
void write_cancel(base::ByteWriter& out, std::string_view key_data);

// The SQLSTATE and the message of an ErrorResponse or NoticeResponse.
struct ServerSays {
  std::string_view sqlstate;
  std::string_view message;
};
ServerSays read_error(std::string_view body);

}  // namespace penstock::bench
