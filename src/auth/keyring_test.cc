#include "auth/keyring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kOne = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr const char* kOneInBase64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
constexpr const char* kTwo = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

Keyring ring(const std::string& text) {
  auto parsed = Keyring::parse(text);
  EXPECT_TRUE(parsed) << parsed.error().to_string();
  return *parsed;
}

class KeyringTest : public testing::Test {
 protected:
  base::SeededRandom random_{7};
};

TEST_F(KeyringTest, UnsealsWhatItSealed) {
  const Keyring keys = ring(kOne);
  for (const std::string& plain : {std::string(), std::string("pässword"), std::string(5000, 'x')}) {
    const SealedText sealed = keys.seal(plain, "here", random_);
    EXPECT_EQ(sealed.key, keys.sealing_id());
    EXPECT_EQ(*keys.unseal(sealed, "here"), plain);
  }
}

TEST_F(KeyringTest, SealsTheSameTextDifferentlyEachTime) {
  const Keyring keys = ring(kOne);
  EXPECT_NE(keys.seal("x", "", random_).text, keys.seal("x", "", random_).text);
}

// Made with Python's cryptography: AESGCM(key).encrypt(bytes(range(12)), b"password", b"context").
TEST_F(KeyringTest, UnsealsWhatOthersMakeOfTheSameAlgorithm) {
  const Keyring keys = ring(kOne);
  const SealedText sealed{.key = keys.sealing_id(),
                          .text = "AAECAwQFBgcICQoLN2OlaLKKsH9GnXO4uaD0y4fu9zrveKBA"};
  const auto plain = keys.unseal(sealed, "context");
  ASSERT_TRUE(plain) << plain.error().to_string();
  EXPECT_EQ(*plain, "password");
}

TEST_F(KeyringTest, RefusesWhatWasSealedForAnotherPlace) {
  const Keyring keys = ring(kOne);
  const auto plain = keys.unseal(keys.seal("x", "acme/app", random_), "acme/root");
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().sqlstate, base::kConfigFileError);
  EXPECT_THAT(plain.error().message, HasSubstr("cannot be unsealed"));
}

TEST_F(KeyringTest, RefusesEveryChangedByte) {
  const Keyring keys = ring(kOne);
  const SealedText sealed = keys.seal("secret", "", random_);
  for (std::size_t i = 0; i < sealed.text.size(); ++i) {
    SealedText changed = sealed;
    changed.text[i] = changed.text[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(keys.unseal(changed, "")) << i;
  }
  for (const char* text : {"", "AAAA", "no base64!"}) {
    EXPECT_FALSE(keys.unseal({.key = sealed.key, .text = text}, "")) << text;
  }
}

TEST_F(KeyringTest, SealsWithTheFirstKeyAndUnsealsWithAll) {
  const SealedText old = ring(kOne).seal("x", "", random_);
  const Keyring rotated = ring(std::string(kTwo) + "\n" + kOne);
  EXPECT_EQ(*rotated.unseal(old, ""), "x");
  const SealedText fresh = rotated.seal("y", "", random_);
  EXPECT_EQ(fresh.key, ring(kTwo).sealing_id());
  EXPECT_EQ(*ring(kTwo).unseal(fresh, ""), "y");
}

TEST_F(KeyringTest, NamesTheKeyThatIsMissing) {
  const SealedText sealed = ring(kOne).seal("x", "", random_);
  EXPECT_THAT(ring(kTwo).unseal(sealed, "").error().message,
              HasSubstr("is sealed with key " + sealed.key + ", which is not among"));
  EXPECT_THAT(Keyring().unseal(sealed, "").error().message, HasSubstr("no catalog key is configured"));
}

TEST_F(KeyringTest, ReadsKeysInBothFormsWithComments) {
  EXPECT_EQ(ring(kOne), ring(kOneInBase64));
  EXPECT_TRUE(ring("").empty());
  EXPECT_TRUE(ring("# none yet\n\n").empty());
  const Keyring keys =
      ring(std::string("# of May\n") + kTwo + " # seals\r\n" + kOneInBase64 + "," + kOne + "\n");
  EXPECT_EQ(keys.size(), 2u) << "a key that is there twice counts once";
  EXPECT_EQ(keys.sealing_id(), ring(kTwo).sealing_id());
}

TEST_F(KeyringTest, RefusesAnythingElseWithoutRepeatingIt) {
  for (const char* text : {"short", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
                           "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="}) {
    const auto parsed = Keyring::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().to_string(), Not(HasSubstr(text)));
    EXPECT_THAT(parsed.error().hint, HasSubstr("penstock catalog new-key"));
  }
}

TEST_F(KeyringTest, MakesKeysItCanRead) {
  EXPECT_EQ(ring(Keyring::make_key(random_)).size(), 1u);
  EXPECT_NE(Keyring::make_key(random_), Keyring::make_key(random_));
}

}  // namespace
}  // namespace penstock::auth
