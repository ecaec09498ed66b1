#include "config/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace penstock::config {
namespace {

TEST(Suggest, CountsEditsAndSwaps) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("size", "szie"), 1u);
  EXPECT_EQ(edit_distance("workers", "worker"), 1u);
}

TEST(Suggest, NamesTheSettingThatWasMeant) {
  EXPECT_EQ(suggest_setting("pool", "szie"), "pool.size");
  EXPECT_EQ(suggest_setting("server", "wokers"), "server.workers");
  EXPECT_EQ(suggest_setting("log", "levle"), "log.level");
}

TEST(Suggest, KnowsPgBouncersNamesAndOtherSections) {
  EXPECT_EQ(suggest_setting("pool", "default_pool_size"), "pool.size");
  EXPECT_EQ(suggest_setting("", "max_client_conn"), "pool.max_clients");
  EXPECT_EQ(suggest_setting("server", "max_clients"), "pool.max_clients");
  EXPECT_EQ(suggest_setting("pool", "pool_size"), "pool.size");
  EXPECT_EQ(suggest_setting("pool", "query_timeout"), "timeouts.query");
}

TEST(Suggest, SaysNothingWhenNothingIsAlike) {
  EXPECT_EQ(suggest_setting("pool", "zzzzzzzzzz"), "");
  EXPECT_EQ(suggest_setting("pool", std::string(5000, 'a')), "");
  EXPECT_EQ(nearest("x", std::array<std::string_view, 2>{"abc", "y"}), "");
}

}  // namespace
}  // namespace penstock::config
