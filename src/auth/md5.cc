#include "auth/md5.h"

#include "auth/crypto.h"

namespace penstock::auth {

base::Result<std::string> md5_secret(std::string_view password, std::string_view user) {
  auto digits = md5_hex(password, user);
  if (!digits) return digits;
  return "md5" + *digits;
}

base::Result<std::string> md5_response(const Secret& secret, std::string_view user, base::ByteView salt) {
  base::Result<std::string> digits;
  switch (secret.kind()) {
    case Secret::Kind::kPlain:
      digits = md5_hex(secret.plain(), user);
      break;
    case Secret::Kind::kMd5:
      digits = std::string(secret.md5());
      break;
    case Secret::Kind::kScram:
      return base::fail(
          base::kFeatureNotSupported,
          "md5 authentication is not possible for a user whose password is stored for SCRAM", {},
          "Use SCRAM authentication for this user, or store the password as plain text or md5.");
  }
  if (!digits) return digits;
  auto answer = md5_hex(*digits, base::as_text(salt));
  wipe(digits->data(), digits->size());
  if (!answer) return answer;
  return "md5" + *answer;
}

base::Result<bool> md5_matches(const Secret& secret, std::string_view user, base::ByteView salt,
                               std::string_view response) {
  const auto expected = md5_response(secret, user, salt);
  if (!expected) return base::fail(expected.error());
  return equal_in_constant_time(*expected, response);
}

}  // namespace penstock::auth
