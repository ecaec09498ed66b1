#include "tls/aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstring>
#include <memory>

#include "base/assert.h"

namespace penstock::tls {

namespace {

// OpenSSL looks an algorithm up by its name each time it is asked for; these are kept.
const EVP_CIPHER* cipher_of(Suite suite) {
  static const std::array<EVP_CIPHER*, 3> ciphers = {
      EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr),
      EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr),
      EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr),
  };
  return ciphers[static_cast<std::size_t>(suite)];
}

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

// One thread's context for one suite and direction.
class Cipher {
 public:
  Cipher(Suite suite, bool seals) : context_(EVP_CIPHER_CTX_new()) {
    const EVP_CIPHER* cipher = cipher_of(suite);
    PENSTOCK_ASSERT(context_ != nullptr && cipher != nullptr);
    check(EVP_CipherInit_ex2(context_.get(), cipher, nullptr, nullptr, seals ? 1 : 0, nullptr));
  }
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;
  ~Cipher() { OPENSSL_cleanse(key_.data(), key_.size()); }

  static Cipher& of(Suite suite, bool seals) {
    static thread_local std::array<std::unique_ptr<Cipher>, 6> ciphers;
    auto& cipher = ciphers[static_cast<std::size_t>(suite) * 2 + (seals ? 1 : 0)];
    if (cipher == nullptr) cipher = std::make_unique<Cipher>(suite, seals);
    return *cipher;
  }

  // To expand a key takes longer than to encrypt a short record, so the last one is kept.
  EVP_CIPHER_CTX* begin(const AeadRecord& record) {
    const bool is_same = has_key_ && std::memcmp(key_.data(), record.key.data(), key_.size()) == 0;
    check(EVP_CipherInit_ex2(context_.get(), nullptr, is_same ? nullptr : record.key.data(),
                             record.nonce.data(), -1, nullptr));
    if (!is_same) key_ = record.key;
    has_key_ = true;
    int written = 0;
    check(EVP_CipherUpdate(context_.get(), nullptr, &written, record.header.data(),
                           static_cast<int>(record.header.size())));
    return context_.get();
  }

  // Sizes are right and keys are there, so what fails is a fault of ours.
  static void check(int done) { PENSTOCK_ASSERT(done == 1); }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context_;
  AeadKey key_ = {};
  bool has_key_ = false;
};

}  // namespace

void seal(const AeadRecord& record, base::ByteView plain, std::uint8_t type, std::uint8_t* out) {
  EVP_CIPHER_CTX* context = Cipher::of(record.suite, true).begin(record);
  int written = 0;
  if (!plain.empty()) {
    Cipher::check(EVP_CipherUpdate(context, out, &written, plain.data(), static_cast<int>(plain.size())));
    out += written;
  }
  Cipher::check(EVP_CipherUpdate(context, out, &written, &type, 1));
  out += written;
  Cipher::check(EVP_CipherFinal_ex(context, out, &written));
  Cipher::check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kAeadTagBytes), out));
}

bool open(const AeadRecord& record, base::ByteView sealed, std::uint8_t* out) {
  EVP_CIPHER_CTX* context = Cipher::of(record.suite, false).begin(record);
  const base::ByteView text = sealed.first(sealed.size() - kAeadTagBytes);
  std::array<std::uint8_t, kAeadTagBytes> tag;
  std::memcpy(tag.data(), sealed.data() + text.size(), tag.size());
  int written = 0;
  Cipher::check(EVP_CipherUpdate(context, out, &written, text.data(), static_cast<int>(text.size())));
  Cipher::check(
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()), tag.data()));
  return EVP_CipherFinal_ex(context, out + written, &written) == 1;
}

}  // namespace penstock::tls
