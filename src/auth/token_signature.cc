#include "auth/token_signature.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

namespace penstock::auth {

namespace {

constexpr std::size_t kEs256HalfBytes = 32;
constexpr int kRsaBitsMin = 2048;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// JWS writes the two numbers one after the other; OpenSSL wants them as ASN.1. Empty: not of that form.
std::string es256_to_asn1(std::string_view signature) {
  if (signature.size() != 2 * kEs256HalfBytes) return {};
  ECDSA_SIG* pair = ECDSA_SIG_new();
  ECDSA_SIG_set0(pair, BN_bin2bn(bytes_of(signature), kEs256HalfBytes, nullptr),
                 BN_bin2bn(bytes_of(signature) + kEs256HalfBytes, kEs256HalfBytes, nullptr));
  unsigned char* encoded = nullptr;
  const int size = i2d_ECDSA_SIG(pair, &encoded);
  ECDSA_SIG_free(pair);
  std::string result;
  if (size > 0) result.assign(reinterpret_cast<char*>(encoded), static_cast<std::size_t>(size));
  OPENSSL_free(encoded);
  return result;
}

bool fits(Algorithm algorithm, EVP_PKEY& key) {
  if (algorithm == Algorithm::kRs256) {
    return EVP_PKEY_get_base_id(&key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(&key) >= kRsaBitsMin;
  }
  char group[32] = {};
  return EVP_PKEY_get_base_id(&key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(&key, group, sizeof(group), nullptr) == 1 &&
         std::string_view(group) == "prime256v1";
}

}  // namespace

std::optional<Algorithm> algorithm_of(std::string_view name) {
  if (name == "HS256") return Algorithm::kHs256;
  if (name == "HS384") return Algorithm::kHs384;
  if (name == "HS512") return Algorithm::kHs512;
  if (name == "RS256") return Algorithm::kRs256;
  if (name == "ES256") return Algorithm::kEs256;
  return std::nullopt;
}

std::string sign_hmac(Algorithm algorithm, std::string_view secret, std::string_view text) {
  const EVP_MD* hash = algorithm == Algorithm::kHs512   ? EVP_sha512()
                       : algorithm == Algorithm::kHs384 ? EVP_sha384()
                                                        : EVP_sha256();
  unsigned char code[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(hash, secret.data(), static_cast<int>(secret.size()), bytes_of(text), text.size(), code, &size);
  return {reinterpret_cast<char*>(code), size};
}

bool verify_public(Algorithm algorithm, EVP_PKEY& key, std::string_view text, std::string_view signature) {
  if (is_symmetric(algorithm) || !fits(algorithm, key)) return false;
  std::string converted;
  if (algorithm == Algorithm::kEs256) {
    converted = es256_to_asn1(signature);
    signature = converted;
  }
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool good =
      !signature.empty() && EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, &key) == 1 &&
      EVP_DigestVerify(context, bytes_of(signature), signature.size(), bytes_of(text), text.size()) == 1;
  EVP_MD_CTX_free(context);
  ERR_clear_error();
  return good;
}

base::Result<std::vector<std::shared_ptr<EVP_PKEY>>> parse_public_keys(std::string_view pem) {
  std::vector<std::shared_ptr<EVP_PKEY>> keys;
  BIO* source = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  while (EVP_PKEY* key = PEM_read_bio_PUBKEY(source, nullptr, nullptr, nullptr)) {
    keys.emplace_back(key, EVP_PKEY_free);
    if (fits(Algorithm::kRs256, *key) || fits(Algorithm::kEs256, *key)) continue;
    BIO_free(source);
    return base::fail(base::kConfigFileError, "a public key for tokens is of a kind that is not supported",
                      "", "Use an RSA key of at least 2048 bits, or an elliptic curve key on P-256.");
  }
  BIO_free(source);
  ERR_clear_error();
  if (!keys.empty()) return keys;
  return base::fail(base::kConfigFileError, "there is no public key in PEM form", "",
                    "\"openssl pkey -in KEY -pubout\" makes one from a private key.");
}

}  // namespace penstock::auth
