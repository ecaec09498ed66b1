#include "auth/secret.h"

#include <charconv>

#include "auth/crypto.h"
#include "auth/scram_keys.h"

namespace penstock::auth {

namespace {

constexpr std::string_view kScheme = "SCRAM-SHA-256$";
constexpr std::size_t kMd5Digits = 32;

// Cuts `text` at the first `separator`; nothing when there is none.
std::optional<std::string_view> cut(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == text.npos) return std::nullopt;
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at + 1);
  return head;
}

std::optional<int> parse_iterations(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

std::optional<Key> parse_key(std::string_view text) {
  auto bytes = base64_decode(text);
  if (!bytes || bytes->size() != Key::kSize) return std::nullopt;
  Key key = Key::from(base::as_bytes(*bytes));
  wipe(bytes->data(), bytes->size());
  return key;
}

}  // namespace

std::optional<ScramVerifier> ScramVerifier::parse(std::string_view text) {
  if (!text.starts_with(kScheme)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  const auto iterations_text = cut(text, ':');
  const auto salt_text = cut(text, '$');
  const auto stored_text = cut(text, ':');
  if (!iterations_text || !salt_text || !stored_text) return std::nullopt;

  const auto iterations = parse_iterations(*iterations_text);
  auto salt = base64_decode(*salt_text);
  const auto stored_key = parse_key(*stored_text);
  const auto server_key = parse_key(text);
  if (!iterations || !salt || !stored_key || !server_key) return std::nullopt;
  return ScramVerifier{.iterations = *iterations,
                       .salt = std::move(*salt),
                       .stored_key = *stored_key,
                       .server_key = *server_key};
}

std::string ScramVerifier::to_string() const {
  return std::string(kScheme) + std::to_string(iterations) + ":" + base64_encode(base::as_bytes(salt)) + "$" +
         base64_encode(stored_key.view()) + ":" + base64_encode(server_key.view());
}

ScramVerifier make_verifier(std::string_view password, std::string_view salt, int iterations) {
  return derive_keys(password, salt, iterations).verifier(salt, iterations);
}

Secret Secret::parse(std::string_view text) {
  if (text.size() == 3 + kMd5Digits && text.starts_with("md5") &&
      text.find_first_not_of("0123456789abcdef", 3) == text.npos) {
    return Secret(Md5{WipedText(text.substr(3))});
  }
  if (auto verifier = ScramVerifier::parse(text)) return Secret(std::move(*verifier));
  return Secret(WipedText(text));
}

std::string Secret::to_string() const {
  switch (kind()) {
    case Kind::kPlain:
      return std::string(plain());
    case Kind::kMd5:
      return "md5" + std::string(md5());
    case Kind::kScram:
      break;
  }
  return verifier().to_string();
}

bool password_matches(const Secret& secret, std::string_view user, std::string_view password,
                      ScramKeyCache& cache) {
  if (password.empty()) return false;  // as Postgres: an empty password never logs in
  switch (secret.kind()) {
    case Secret::Kind::kPlain:
      return equal_in_constant_time(password, secret.plain());
    case Secret::Kind::kMd5: {
      const auto digits = md5_hex(password, user);
      return digits && equal_in_constant_time(*digits, secret.md5());
    }
    case Secret::Kind::kScram:
      break;
  }
  const ScramVerifier& verifier = secret.verifier();
  return cache.keys(password, verifier.salt, verifier.iterations).stored_key() == verifier.stored_key;
}

}  // namespace penstock::auth
