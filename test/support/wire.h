// The Postgres protocol as the simulated peers speak it, written apart from src/pgwire so that the two can
// disagree.
//
// Home: LOOP
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace penstock::sim {

struct Message {
  char type = 0;  // 0: a start-up packet
  std::string body;
};

// Cuts a stream of bytes into messages.
class Splitter {
 public:
  explicit Splitter(bool startup_first) : startup_(startup_first) {}

  void feed(base::ByteView bytes) { buffer_.append(base::as_text(bytes)); }
  std::optional<Message> next();
  // The next one is another start-up packet (after SSLRequest).
  void expect_startup() { startup_ = true; }
  // The stream made no sense; nothing more comes.
  bool broken() const { return broken_; }
  bool empty() const { return start_ == buffer_.size(); }
  std::string_view peek() const { return std::string_view(buffer_).substr(start_); }
  std::size_t buffered() const { return buffer_.size() - start_; }

 private:
  std::string buffer_;
  std::size_t start_ = 0;
  bool startup_;
  bool broken_ = false;
};

// Reads the fields of a body; anything that does not fit makes ok() false.
class Fields {
 public:
  explicit Fields(std::string_view body) : rest_(body) {}
  std::string text();  // up to a zero byte
  std::uint32_t be32();
  std::uint16_t be16();
  std::string bytes(std::size_t count);
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::string be16(std::uint32_t value);
std::string be32(std::uint32_t value);
std::string zero_ended(std::string_view text);
std::string message(char type, std::string_view body = {});
std::string startup_packet(std::uint32_t code, std::string_view body);

inline constexpr std::uint32_t kProtocol3 = 3U << 16;
inline constexpr std::uint32_t kCancelRequest = 80877102;
inline constexpr std::uint32_t kSslRequest = 80877103;
inline constexpr std::uint32_t kGssRequest = 80877104;

std::string row_description(const std::vector<std::string>& names);
std::string data_row(const std::vector<std::string>& values);
std::vector<std::string> row_values(std::string_view body);
std::string error_message(std::string_view severity, std::string_view sqlstate, std::string_view text);

struct ErrorFields {
  std::string severity;
  std::string sqlstate;
  std::string text;
};
ErrorFields error_fields(std::string_view body);

}  // namespace penstock::sim
