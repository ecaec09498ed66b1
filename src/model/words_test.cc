#include "model/words.h"

#include <gtest/gtest.h>

namespace penstock::model {
namespace {

template <class E>
void expect_every_word_to_be_read_back() {
  for (const Word<E>& word : words<E>()) {
    ASSERT_EQ(from_word<E>(word.text), word.value) << word.text;
    EXPECT_EQ(from_word<E>(word_of(word.value)), word.value) << word.text;
  }
}

TEST(Words, OfEveryValueAreReadBack) {
  expect_every_word_to_be_read_back<PoolMode>();
  expect_every_word_to_be_read_back<TlsMode>();
  expect_every_word_to_be_read_back<AuthMethod>();
  expect_every_word_to_be_read_back<ClusterRole>();
}

TEST(Words, ThatNobodyKnowsGiveNothing) {
  EXPECT_EQ(from_word<PoolMode>("Transaction"), std::nullopt);
  EXPECT_EQ(from_word<TlsMode>(""), std::nullopt);
}

TEST(Words, AreListedOncePerValue) {
  EXPECT_EQ(list_of_words<PoolMode>(), "transaction, session or statement");
  EXPECT_EQ(list_of_words<AuthMethod>(), "scram-sha-256, md5, password, cert, trust or peer");
}

}  // namespace
}  // namespace penstock::model
