#include "http/uri.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

TEST(Uri, SplitsPathAndQuery) {
  const auto uri = parse_target("/api/tenants/a%20b%2Fc?limit=10&name=x+y%2B&flag");
  ASSERT_TRUE(uri.has_value());
  EXPECT_EQ(uri->path, (std::vector<std::string>{"api", "tenants", "a b/c"}));
  EXPECT_EQ(*uri->parameter("limit"), "10");
  EXPECT_EQ(*uri->parameter("name"), "x y+");
  EXPECT_EQ(*uri->parameter("flag"), "");
  EXPECT_EQ(uri->parameter("none"), nullptr);
}

TEST(Uri, TakesASlashAtTheEnd) {
  EXPECT_EQ(parse_target("/")->path.size(), 0U);
  EXPECT_EQ(parse_target("/metrics/")->path, std::vector<std::string>{"metrics"});
}

TEST(Uri, TakesAWholeUrlAsItsPath) {
  const auto uri = parse_target("http://pooler.example:6433/api/tenants/a?limit=10");
  ASSERT_TRUE(uri.has_value()) << uri.error().detail;
  EXPECT_EQ(uri->path, (std::vector<std::string>{"api", "tenants", "a"}));
  EXPECT_EQ(*uri->parameter("limit"), "10");
  EXPECT_EQ(parse_target("HTTPS://[::1]/metrics")->path, std::vector<std::string>{"metrics"});
  EXPECT_EQ(parse_target("http://x")->path.size(), 0U);
  EXPECT_EQ(*parse_target("http://x?a=b")->parameter("a"), "b");
}

TEST(Uri, RefusesWhatCouldBeReadInTwoWays) {
  for (const char* target : {"",
                             "*",
                             "ftp://x/",
                             "http://",
                             "http:///a",
                             "http://:80/",
                             "http://u@x/",
                             "http:/a",
                             "http://x//a",
                             "http://x/http://y/",
                             "/a//b",
                             "/a/../b",
                             "/./a",
                             "/%2e%2e/a",
                             "/a%",
                             "/a%4",
                             "/a%zz",
                             "/a%00b",
                             "/a?x=%0",
                             "/a?x=%00"}) {
    EXPECT_FALSE(parse_target(target).has_value()) << target;
  }
}

TEST(Uri, EncodesWhatItDecodes) {
  const std::string text = "a b/c?d&e=f%g+ü";
  EXPECT_EQ(percent_decode(percent_encode(text)), text);
}

}  // namespace
}  // namespace penstock::http
