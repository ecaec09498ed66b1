// Whatever an authenticated client makes of its records, a RecordLayer understands it as OpenSSL does, and answers alike.
//
// Both get the same bytes under the same keys. The input is a script: data, key updates, records of any type with any
// content and padding under the right key, and bytes under none.
#include <openssl/ssl.h>

#include <cstdint>
#include <string>

#include "tls/engine_pair_test.h"
#include "tls/record_twins_test.h"
#include "tls/traffic_key.h"

using namespace penstock;
using tls::testing::RecordTwins;

namespace {

class Script {
 public:
  explicit Script(base::ByteView bytes) : bytes_(bytes) {}
  bool over() const { return bytes_.empty(); }
  std::uint8_t number() {
    if (bytes_.empty()) return 0;
    const std::uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  base::ByteView some() {
    const base::ByteView part = bytes_.first(std::min<std::size_t>(number(), bytes_.size()));
    bytes_ = bytes_.subspan(part.size());
    return part;
  }

 private:
  base::ByteView bytes_;
};

std::string sealed(tls::TrafficKey& key, std::uint8_t type, base::ByteView content, std::size_t padding) {
  // Padding stands behind the type: so the type goes along as content, and zero in its place.
  std::string inner(base::as_text(content));
  if (padding > 0) {
    inner += static_cast<char>(type);
    inner.append(padding - 1, '\0');
    type = 0;
  }
  const std::size_t size = inner.size() + 1 + tls::kAeadTagBytes;
  std::string record = {23, 3, 3, static_cast<char>(size >> 8), static_cast<char>(size)};
  record.resize(5 + size);
  auto* bytes = reinterpret_cast<std::uint8_t*>(record.data());
  key.seal_next(base::as_bytes(std::string(record, 0, 5)), base::as_bytes(inner), type, bytes + 5);
  return record;
}

// The next thing that the client sends.
std::string step(Script& script, tls::TrafficKey& key) {
  switch (script.number() % 6) {
    case 0:
      return sealed(key, 23, script.some(), script.number());
    case 1: {
      const std::uint8_t update[] = {24, 0, 0, 1, static_cast<std::uint8_t>(script.number() % 3)};
      std::string record = sealed(key, 22, update, 0);
      key.update();
      return record;
    }
    case 2: {
      const std::uint8_t alert[] = {script.number(), script.number()};
      return sealed(key, 21, alert, script.number() % 4);
    }
    case 3: {
      const std::uint8_t type = script.number();
      return sealed(key, type, script.some(), script.number() % 4);
    }
    case 4: {
      std::string record = sealed(key, 23, script.some(), 0);
      record[script.number() % record.size()] ^= 1;
      return record;
    }
    default:
      return std::string(base::as_text(script.some()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tls::testing::Contexts contexts;
  static const auto client = contexts.client();
  Script script({data, size});
  static constexpr const char* kSuites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                            "TLS_CHACHA20_POLY1305_SHA256"};
  const std::uint8_t way = script.number();
  RecordTwins twins(contexts, kSuites[way % 3], *client);
  tls::TrafficKey key(static_cast<tls::Suite>(way % 3), twins.client_secret(), 0);
  const std::size_t piece = 1 + script.number();
  while (!script.over() && twins.alive()) {
    twins.carry(base::as_bytes(step(script, key)), piece);
  }
  if (twins.alive()) twins.answer("answer");
  return 0;
}
