#include "base/utf8.h"

#include <gtest/gtest.h>

namespace penstock::base {
namespace {

TEST(Utf8, TakesCharactersOfEveryLength) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\x98"));
  EXPECT_TRUE(is_utf8("\xF4\x8F\xBF\xBF"));  // U+10FFFF
}

TEST(Utf8, RefusesWhatRfc3629Forbids) {
  EXPECT_FALSE(is_utf8("\x80"));              // a continuation without a lead
  EXPECT_FALSE(is_utf8("\xC0\xAF"));          // overlong
  EXPECT_FALSE(is_utf8("\xE0\x80\xAF"));      // overlong
  EXPECT_FALSE(is_utf8("\xF0\x80\x80\xAF"));  // overlong
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // a surrogate
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // above U+10FFFF
  EXPECT_FALSE(is_utf8("\xFF"));
}

TEST(Utf8, RefusesACharacterThatIsCutOff) {
  EXPECT_FALSE(is_utf8("\xC3"));
  EXPECT_FALSE(is_utf8("\xE2\x82"));
  EXPECT_FALSE(is_utf8("\xF0\x9F\x90"));
  EXPECT_FALSE(is_utf8("\xC3 "));
}

TEST(Utf8, ShowsBytesThatBelongToNoCharacter) {
  EXPECT_EQ(to_utf8(""), "");
  EXPECT_EQ(to_utf8("caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(to_utf8("d\xFF"), "d\\xff");
  EXPECT_EQ(to_utf8("\xE9t\xC3\xA9\xC3"), "\\xe9t\xC3\xA9\\xc3");
  EXPECT_EQ(to_utf8("\xED\xA0\x80", "%"), "%ed%a0%80");
}

}  // namespace
}  // namespace penstock::base
