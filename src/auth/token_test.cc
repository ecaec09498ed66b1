#include "auth/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "auth/token_signature.h"

namespace penstock::auth {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

const std::string kSecret = "0123456789abcdef0123456789abcdef";
const WallTime kNow{1'800'000'000s};
const TokenRules kRules{.secrets = {kSecret}};

std::string sign(const std::string& header, const std::string& claims,
                 Algorithm algorithm = Algorithm::kHs256, const std::string& secret = kSecret) {
  const std::string text = base64url_encode(header) + '.' + base64url_encode(claims);
  return text + '.' + base64url_encode(sign_hmac(algorithm, secret, text));
}
std::string with_claims(const std::string& claims) {
  return sign(R"({"alg":"HS256","typ":"JWT"})", claims);
}
std::string why(const TokenRules& rules, const std::string& token) {
  const auto grant = verify_token(rules, token, kNow);
  return grant ? "accepted" : grant.error().message;
}

TEST(Token, WhatWeMakeWeAccept) {
  const std::string token = make_token(
      kSecret, {.subject = "ann", .scope = "read", .tenants = {"acme"}, .id = "7", .expires = kNow + 1h},
      kNow);
  const auto grant = verify_token(kRules, token, kNow);
  ASSERT_TRUE(grant.has_value()) << grant.error().message;
  EXPECT_TRUE(grant->allows(Scope::kRead));
  EXPECT_FALSE(grant->allows(Scope::kWrite));
  EXPECT_FALSE(grant->allows(Scope::kMetrics));
  EXPECT_TRUE(grant->allows_tenant("acme"));
  EXPECT_FALSE(grant->allows_tenant("other"));
  EXPECT_EQ(grant->subject, "ann");
  EXPECT_EQ(grant->id, "7");
}

// The example of jwt.io, as every library reads it.
TEST(Token, ReadsTokensOfOthers) {
  const TokenRules rules{.secrets = {"your-256-bit-secret"}, .needs_expiry = false};
  const auto grant =
      verify_token(rules,
                   "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
                   "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
                   "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
                   kNow);
  ASSERT_TRUE(grant.has_value()) << grant.error().message;
  EXPECT_EQ(grant->subject, "1234567890");
  EXPECT_TRUE(grant->allows(Scope::kWrite));  // no scope: everything, as in Supavisor
  EXPECT_TRUE(grant->allows_tenant("any"));
}

TEST(Token, TakesTheLongerHashes) {
  const std::string claims = R"({"exp":1900000000})";
  EXPECT_EQ(why(kRules, sign(R"({"alg":"HS384"})", claims, Algorithm::kHs384)), "accepted");
  EXPECT_EQ(why(kRules, sign(R"({"alg":"HS512"})", claims, Algorithm::kHs512)), "accepted");
  EXPECT_THAT(why(kRules, sign(R"({"alg":"HS512"})", claims, Algorithm::kHs256)), HasSubstr("signature"));
}

TEST(Token, RefusesWhatIsForged) {
  const std::string good = with_claims(R"({"exp":1900000000,"scope":"read"})");
  EXPECT_EQ(why(kRules, good), "accepted");
  const std::string other_claims = base64url_encode(R"({"exp":1900000000,"scope":"write"})");
  const std::size_t first = good.find('.'), last = good.rfind('.');
  EXPECT_THAT(why(kRules, good.substr(0, first + 1) + other_claims + good.substr(last)),
              HasSubstr("signature"));
  EXPECT_THAT(why(kRules, good.substr(0, last + 1)), HasSubstr("signature"));
  EXPECT_THAT(why(kRules, sign(R"({"alg":"none"})", R"({"exp":1900000000})")), HasSubstr("algorithm"));
  EXPECT_THAT(why(kRules, sign(R"({"alg":"HS256","crit":["x"]})", R"({"exp":1900000000})")),
              HasSubstr("extension"));
  EXPECT_THAT(why({.secrets = {"another secret"}}, good), HasSubstr("signature"));
  EXPECT_THAT(why({}, good), HasSubstr("signature"));
}

TEST(Token, RefusesWhatIsNoToken) {
  for (const std::string text :
       {"", ".", "..", "a.b", "a.b.c.d", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30.=", "eyJhbGciOiJIUzI1NiJ9..x"}) {
    EXPECT_NE(why(kRules, text), "accepted") << text;
  }
  EXPECT_THAT(why(kRules, std::string(9000, 'a')), HasSubstr("too long"));
  EXPECT_THAT(why(kRules, sign(R"({"alg":"HS256"})", "[]")), HasSubstr("claims"));
}

TEST(Token, MindsTheTime) {
  EXPECT_THAT(why(kRules, with_claims(R"({})")), HasSubstr("no expiry"));
  EXPECT_THAT(why(kRules, with_claims(R"({"exp":1799999999})")), HasSubstr("expired"));
  EXPECT_THAT(why(kRules, with_claims(R"({"exp":1800000000})")), HasSubstr("expired"));
  EXPECT_EQ(why(kRules, with_claims(R"({"exp":1800000000.5})")), "accepted");
  EXPECT_THAT(why(kRules, with_claims(R"({"exp":"soon"})")), HasSubstr("no number"));
  EXPECT_THAT(why(kRules, with_claims(R"({"exp":1900000000,"nbf":1800000060})")), HasSubstr("not valid yet"));
  EXPECT_EQ(why(kRules, with_claims(R"({"exp":1900000000,"nbf":1800000010})")), "accepted");
  EXPECT_EQ(why({.secrets = {kSecret}, .needs_expiry = false}, with_claims(R"({})")), "accepted");
}

TEST(Token, DemandsClaims) {
  const TokenRules rules{.secrets = {kSecret}, .needs_expiry = false, .claims = {{"aud", "penstock"}}};
  EXPECT_EQ(why(rules, with_claims(R"({"aud":"penstock"})")), "accepted");
  EXPECT_EQ(why(rules, with_claims(R"({"aud":["x","penstock"]})")), "accepted");
  EXPECT_THAT(why(rules, with_claims(R"({"aud":"x"})")), HasSubstr("\"aud\""));
  EXPECT_THAT(why(rules, with_claims(R"({})")), HasSubstr("\"aud\""));
}

TEST(Token, DeniesTheRevoked) {
  const std::string token = with_claims(R"({"exp":1900000000,"jti":"abc"})");
  EXPECT_THAT(why({.secrets = {kSecret}, .denied = {"abc"}}, token), HasSubstr("revoked"));
  EXPECT_THAT(why({.secrets = {kSecret}, .denied = {token}}, token), HasSubstr("revoked"));
}

TEST(Token, ATenantClaimThatCannotBeReadDoesNotMeanAllTenants) {
  for (const char* claims : {R"({"exp":1900000000,"tenant":7})", R"({"exp":1900000000,"tenants":[]})",
                             R"({"exp":1900000000,"tenants":{"a":1}})"}) {
    EXPECT_NE(why(kRules, with_claims(claims)), "accepted") << claims;
  }
  const auto grant = verify_token(kRules, with_claims(R"({"exp":1900000000,"tenant":"acme"})"), kNow);
  EXPECT_FALSE(grant->allows_tenant("x"));
}

TEST(Token, AMetricsSecretIsForMetricsOnly) {
  const auto grant = verify_token({.metrics_secrets = {kSecret}}, with_claims(R"({"exp":1900000000})"), kNow);
  ASSERT_TRUE(grant.has_value());
  EXPECT_TRUE(grant->allows(Scope::kMetrics));
  EXPECT_FALSE(grant->allows(Scope::kRead));
  EXPECT_FALSE(grant->allows(Scope::kWrite));
}

std::string public_pem(EVP_PKEY* key) {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(out, key);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(out);
  return pem;
}
std::string sign_with(EVP_PKEY* key, const std::string& text) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key);
  std::string signature(1024, '\0');
  std::size_t size = signature.size();
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                 reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return signature;
}

TEST(Token, VerifiesPublicKeys) {
  EVP_PKEY* rsa = EVP_RSA_gen(2048);
  EVP_PKEY* curve = EVP_EC_gen("P-256");
  const std::string pem = public_pem(rsa) + public_pem(curve);
  const auto keys = parse_public_keys(pem);
  ASSERT_TRUE(keys.has_value());
  ASSERT_EQ(keys->size(), 2U);
  const TokenRules rules{.secrets = {}, .public_keys = *keys};
  const std::string claims = base64url_encode(R"({"exp":1900000000})");

  std::string text = base64url_encode(R"({"alg":"RS256"})") + '.' + claims;
  EXPECT_EQ(why(rules, text + '.' + base64url_encode(sign_with(rsa, text))), "accepted");

  text = base64url_encode(R"({"alg":"ES256"})") + '.' + claims;
  const std::string asn1 = sign_with(curve, text);
  const auto* cursor = reinterpret_cast<const unsigned char*>(asn1.data());
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(asn1.size()));
  std::string flat(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), reinterpret_cast<unsigned char*>(flat.data()), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), reinterpret_cast<unsigned char*>(flat.data()) + 32, 32);
  // (r, n - s), which anybody can make of (r, s), is as good a signature.
  BIGNUM* order = nullptr;
  BN_hex2bn(&order, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551");
  BN_sub(order, order, ECDSA_SIG_get0_s(pair));
  std::string twin = flat;
  BN_bn2binpad(order, reinterpret_cast<unsigned char*>(twin.data()) + 32, 32);
  BN_free(order);
  ECDSA_SIG_free(pair);
  EXPECT_EQ(why(rules, text + '.' + base64url_encode(flat)), "accepted");
  EXPECT_NE(why(rules, text + '.' + base64url_encode(asn1)), "accepted");
  EXPECT_EQ(why(rules, text + '.' + base64url_encode(twin)), "accepted");
  const TokenRules denying{
      .secrets = {}, .public_keys = *keys, .denied = {text + '.' + base64url_encode(flat)}};
  EXPECT_THAT(why(denying, text + '.' + base64url_encode(flat)), HasSubstr("revoked"));
  EXPECT_THAT(why(denying, text + '.' + base64url_encode(twin)), HasSubstr("revoked"));

  // The classic: the public key, which everybody knows, taken for a secret.
  EXPECT_NE(why(rules, sign(R"({"alg":"HS256"})", R"({"exp":1900000000})", Algorithm::kHs256, pem)),
            "accepted");
  EVP_PKEY_free(rsa);
  EVP_PKEY_free(curve);
}

TEST(Token, RefusesPublicKeysThatAreTooWeakOrNone) {
  EVP_PKEY* weak = EVP_RSA_gen(1024);
  EXPECT_FALSE(parse_public_keys(public_pem(weak)).has_value());
  EXPECT_FALSE(parse_public_keys("nonsense").has_value());
  EVP_PKEY_free(weak);
}

}  // namespace
}  // namespace penstock::auth
