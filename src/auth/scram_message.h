// The grammar that both ends of SCRAM share: "a=value,b=value,…".
//
// Source: RFC 5802, section 7; the words of the errors are those of Postgres
// (src/backend/libpq/auth-scram.c).
//
// Home:       any thread.
// Errors:     kProtocolViolation "malformed SCRAM message" with the reason as detail.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::auth {

inline constexpr std::string_view kScramSha256 = "SCRAM-SHA-256";
inline constexpr std::string_view kScramSha256Plus = "SCRAM-SHA-256-PLUS";
inline constexpr std::string_view kChannelBindingType = "tls-server-end-point";
// The longest message either side takes, in bytes (PG_MAX_SASL_MESSAGE_LENGTH of Postgres 10 to 17).
inline constexpr std::size_t kScramMessageMax = 1024;
// Bytes of randomness in a nonce, before base64.
inline constexpr std::size_t kNonceBytes = 18;

std::unexpected<base::Error> malformed(std::string detail);

// A message that came when it was not its turn; the exchange has failed.
std::unexpected<base::Error> out_of_order();

// Refuses what is empty, too long, or holds a zero byte.
base::Status check_message(std::string_view message);

// Printable ASCII without the comma, not empty: what a nonce may consist of.
bool is_scram_printable(std::string_view text);

// Reads attributes one after the other.
class AttributeReader {
 public:
  explicit AttributeReader(std::string_view message) : rest_(message) {}

  // The value of the next attribute, which must be `name`.
  base::Result<std::string_view> expect(char name);
  // Whatever attribute comes next.
  struct Attribute {
    char name;
    std::string_view value;
  };
  base::Result<Attribute> any();
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view take_value();

  std::string_view rest_;
};

// A character as the errors of Postgres show it: itself, or "0x1f".
std::string shown(std::string_view rest);

}  // namespace penstock::auth
