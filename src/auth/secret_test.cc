#include "auth/secret.h"

#include <gtest/gtest.h>

#include "auth/crypto.h"
#include "auth/md5.h"
#include "auth/saslprep.h"
#include "auth/scram_keys.h"

namespace penstock::auth {
namespace {

struct Stored {
  const char* password;
  const char* verifier;
};

// Made by PostgreSQL 15: CREATE ROLE … PASSWORD '…'; SELECT rolpassword FROM pg_authid.
const Stored kFromPostgres[] = {
    {"pencil",
     "SCRAM-SHA-256$4096:cBDMm91D8WU7pbr/FhKclg==$PgpWbhGsVBVpJ7pz+Y5J6PPMzW1Bi1UWlGOQl/0Z+m4=:"
     "D60CgoEoZIPAkH35wfwrXYuW1qYfFq1qZcPEHLzT7ZQ="},
    // Composed letter, circled one (becomes 1), soft hyphen (vanishes), no-break space (becomes a space).
    {"p\u00e9ncil \u2460\u00ad\u00a0x",
     "SCRAM-SHA-256$4096:uz4iJC825dzTVUYZGyzttg==$PXWhuiyRZouq0n28+AfTjmSvfKJNOlTNVDd1lNyoHG8=:"
     "/cvHoK2OHxPvpyNvcjx/ssTeMc3KtzBrKQ+xHb8GTog="},
    // Right-to-left text that ends in a digit: forbidden, so used as it is.
    {"\u0627\u0031",
     "SCRAM-SHA-256$4096:stKSDVxhlSOAoVpT9bszoA==$3M6/kQvKcpWQuxkhhfEnAV+rhBSjig0Bpxr5FO1A6Wc=:"
     "fGnnBj2Ttt4AmvV9xl35oC+5hrWSMo4IfQepkaqbWwk="},
    {"tab\tx\u0007",
     "SCRAM-SHA-256$4096:9sxJcl0PDKPe4Q5SszjXQw==$ECLgsvJ4VULjLvbqE3cYw3mR7l+OVo98PmrAssx6OqY=:"
     "O8xc1aNyBg1Ynn+v44F66QNPkZNsAcKooEPuZRw7iq4="},
    // A code point that Unicode 3.2 has not assigned.
    {"a\u0221b",
     "SCRAM-SHA-256$4096:drC653BZndI6mqwm0gG1iQ==$gu5aN2aJ0fQS7D59Ev0PRDCELCKbXVEyUimLIZS580g=:"
     "zdiW2QbLsh8iE5QQMR2weHgNKpQDphPsu/RGuJX0ZEE="},
    // Nothing but a soft hyphen.
    {"\u00ad",
     "SCRAM-SHA-256$4096:E/vCwq39IxPSzQWe/M/uvQ==$e+bbqNJ6lsqcv0hQyp8/MF7RSkS6WGNZC3KdnllEeOs=:"
     "fwmOWFu1xWFBUZl3S50fUBbH7jn1Te+3CkbU5T4z8rI="},
    {"a\u1e9eb\ufb01\u212b",
     "SCRAM-SHA-256$4096:CdWmXnnV7y7aFBizUXR/VA==$an6M4XgyVw0YnUbbl9UlDzcJlZ1nEPtU5+yYVefQXyk=:"
     "0J2Y54IwFmwtOEZt/qzXqSjG/PYvItd6bAc30srmWVM="},
};

TEST(ScramVerifier, ReadsAndWritesTheFormOfPostgres) {
  for (const Stored& stored : kFromPostgres) {
    const auto verifier = ScramVerifier::parse(stored.verifier);
    ASSERT_TRUE(verifier);
    EXPECT_EQ(verifier->iterations, 4096);
    EXPECT_EQ(verifier->salt.size(), 16u);
    EXPECT_EQ(verifier->to_string(), stored.verifier);
  }
}

TEST(ScramVerifier, IsMadeFromAPasswordAsPostgresMakesIt) {
  for (const Stored& stored : kFromPostgres) {
    const auto verifier = ScramVerifier::parse(stored.verifier);
    ASSERT_TRUE(verifier);
    EXPECT_EQ(make_verifier(stored.password, verifier->salt, 4096).to_string(), stored.verifier)
        << stored.password;
  }
}

TEST(ScramVerifier, RefusesTextThatIsAlmostOne) {
  const std::string good = kFromPostgres[0].verifier;
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ScramVerifier::parse(good.substr(0, size))) << size;
  }
  EXPECT_FALSE(ScramVerifier::parse(good + "="));
  EXPECT_FALSE(ScramVerifier::parse(good + "AAAA"));
  EXPECT_FALSE(ScramVerifier::parse("SCRAM-SHA-256$0" + good.substr(18)));
  EXPECT_FALSE(ScramVerifier::parse("SCRAM-SHA-256$-1" + good.substr(18)));
  EXPECT_FALSE(ScramVerifier::parse("SCRAM-SHA-256$99999999999" + good.substr(18)));
  EXPECT_FALSE(ScramVerifier::parse("SCRAM-SHA-1$4096" + good.substr(18)));
}

TEST(Secret, IsTakenForTheFormThatPostgresTakesItFor) {
  EXPECT_EQ(Secret::parse("hello").kind(), Secret::Kind::kPlain);
  EXPECT_EQ(Secret::parse("").kind(), Secret::Kind::kPlain);
  EXPECT_EQ(Secret::parse("md5").kind(), Secret::Kind::kPlain);
  EXPECT_EQ(Secret::parse("md50123456789abcdef0123456789abcdef").kind(), Secret::Kind::kMd5);
  EXPECT_EQ(Secret::parse("md50123456789ABCDEF0123456789abcdef").kind(), Secret::Kind::kPlain);
  EXPECT_EQ(Secret::parse("md50123456789abcdef0123456789abcde").kind(), Secret::Kind::kPlain);
  EXPECT_EQ(Secret::parse(kFromPostgres[0].verifier).kind(), Secret::Kind::kScram);
  EXPECT_EQ(Secret::parse("SCRAM-SHA-256$").kind(), Secret::Kind::kPlain);
}

TEST(Secret, SurvivesATripThroughText) {
  for (const char* text : {"hello", "", "md50123456789abcdef0123456789abcdef", kFromPostgres[1].verifier}) {
    EXPECT_EQ(Secret::parse(text).to_string(), text);
  }
}

TEST(Secret, IsComparedWithAPasswordInEveryForm) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  const Secret plain = Secret::parse("pencil");
  const Secret md5 = Secret::parse(*md5_secret("pencil", "bob"));
  const Secret scram = Secret::parse(kFromPostgres[0].verifier);
  for (const Secret* secret : {&plain, &md5, &scram}) {
    EXPECT_TRUE(password_matches(*secret, "bob", "pencil", cache));
    EXPECT_FALSE(password_matches(*secret, "bob", "pencil2", cache));
    EXPECT_FALSE(password_matches(*secret, "bob", "", cache));
  }
  EXPECT_FALSE(password_matches(md5, "alice", "pencil", cache));
}

TEST(Secret, NeverAcceptsAnEmptyPassword) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  EXPECT_FALSE(password_matches(Secret::parse(""), "bob", "", cache));
}

TEST(Md5, AnswersAsPostgresDoes) {
  // echo -n pencilbob | md5sum; echo -n <that>0123 | md5sum
  const auto stored = md5_secret("pencil", "bob");
  ASSERT_TRUE(stored);
  EXPECT_EQ(*stored, "md5" + *md5_hex("pencilbob", ""));
  const auto salt = base::as_bytes("0123");
  const auto from_plain = md5_response(Secret::parse("pencil"), "bob", salt);
  const auto from_md5 = md5_response(Secret::parse(*stored), "bob", salt);
  ASSERT_TRUE(from_plain && from_md5);
  EXPECT_EQ(*from_plain, *from_md5);
  EXPECT_EQ(*from_plain, "md5" + *md5_hex(stored->substr(3) + "0123", ""));
  EXPECT_EQ(md5_matches(Secret::parse(*stored), "bob", salt, *from_plain), true);
  EXPECT_EQ(md5_matches(Secret::parse("pencil"), "bob", salt, *from_plain), true);
  EXPECT_EQ(md5_matches(Secret::parse("pencil"), "bob", base::as_bytes("0124"), *from_plain), false);
  EXPECT_EQ(md5_matches(Secret::parse("pencil"), "bob", salt, ""), false);
}

TEST(Md5, IsRefusedForAScramSecret) {
  const auto answer =
      md5_matches(Secret::parse(kFromPostgres[0].verifier), "bob", base::as_bytes("0123"), "md5");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().sqlstate, base::kFeatureNotSupported);
}

TEST(Crypto, HashesAsTheStandardsSay) {
  EXPECT_EQ(*md5_hex("", ""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(*md5_hex("message ", "digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  // RFC 4231, test cases 2 and 6 (a key longer than a block).
  EXPECT_EQ(base64_encode(hmac_sha256(base::as_bytes("Jefe"), {"what do ya want ", "for nothing?"}).view()),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
  const std::string long_key(131, '\xaa');
  EXPECT_EQ(base64_encode(hmac_sha256(base::as_bytes(long_key),
                                      {"Test Using Larger Than Block-Size Key - Hash Key First"})
                              .view()),
            "YOQxWR7gtn8Niiaqy/W3f44LxiE3KMUUBUYEDw7jf1Q=");
}

TEST(Crypto, DerivesKeysAsPbkdf2) {
  EXPECT_EQ(base64_encode(pbkdf2_sha256("password", base::as_bytes("salt"), 1).view()),
            "Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs=");
  std::string long_password;
  for (int i = 0; i < 20; ++i) long_password += "passwd";
  const std::string salt("sa\0lt", 5);
  EXPECT_EQ(base64_encode(pbkdf2_sha256(long_password, base::as_bytes(salt), 777).view()),
            "a2gTC6CTVza2CrnWHy/EmVVLjH9z5Pv1xg063jod+GA=");
}

TEST(Crypto, Base64IsStrict) {
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_EQ(base64_decode("YQ=="), "a");
  EXPECT_EQ(base64_decode("YWI="), "ab");
  EXPECT_EQ(base64_decode("YWJj"), "abc");
  for (const char* bad :
       {"Y", "YQ", "YQ=", "YQ===", "=", "====", "Y===", "YQ=a", " YQ==", "YQ==\n", "YW J", "YW-_"}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
  for (std::size_t size = 0; size < 70; ++size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 37 + size);
    EXPECT_EQ(base64_decode(base64_encode(base::as_bytes(bytes))), bytes);
  }
}

TEST(Saslprep, LeavesAsciiAndWhatIsNotUtf8Alone) {
  for (const char* text : {"", "plain", "tab\tbell\a", "\xff\xfe", "caf\xe9", "\xc3", "\xed\xa0\x80"}) {
    EXPECT_EQ(saslprep(text).view(), text);
  }
  const std::string_view zero("\xc3\xa9\0b", 4);
  EXPECT_EQ(saslprep(zero).view(), zero);
}

TEST(Saslprep, MakesOneOfTwoSpellings) {
  EXPECT_EQ(saslprep("e\u0301").view(), saslprep("\u00e9").view());
  EXPECT_EQ(saslprep("\u2168").view(), "IX");  // RFC 4013, section 3
  EXPECT_EQ(saslprep("I\u00adX").view(), "IX");
  EXPECT_EQ(saslprep("\u00aa").view(), "a");
}

TEST(ScramKeyCache, DerivesOncePerPasswordSaltAndIterations) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random, 2);
  const ScramKeys expected = derive_keys("pencil", "salt", 10);
  for (int i = 0; i < 3; ++i) {
    const ScramKeys keys = cache.keys("pencil", "salt", 10);
    EXPECT_TRUE(keys.client_key == expected.client_key);
    EXPECT_TRUE(keys.server_key == expected.server_key);
  }
  EXPECT_EQ(cache.counts().misses, 1u);
  EXPECT_EQ(cache.counts().hits, 2u);
  EXPECT_FALSE(cache.keys("pencil", "salt", 11).client_key == expected.client_key);
  EXPECT_FALSE(cache.keys("pencils", "alt", 10).client_key == expected.client_key);
  EXPECT_EQ(cache.counts().evictions, 1u);
  cache.keys("pencil", "salt", 10);
  EXPECT_EQ(cache.counts().misses, 4u);
}

}  // namespace
}  // namespace penstock::auth
