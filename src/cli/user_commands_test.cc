#include "cli/user_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/run_fixture.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;

class UserCommands : public RunTest {
 protected:
  void SetUp() override {
    must({"tenant", "add", "default", "--host", "db"});
    must({"tenant", "add", "nowhen", "--host", "db"});
  }
};

TEST_F(UserCommands, ADotThatLeadsToNoTenantIsNoted) {
  must({"user", "add", "nope.nowhere", "--no-password"});
  EXPECT_EQ(terminal_.complaints,
            "penstock: note: no tenant \"nowhere\": added as user \"nope.nowhere\" of tenant \"default\"\n"
            "  Hint: Did you mean \"nowhen\"?\n");
  must({"user", "add", "a.zzzzzzzzz", "--no-password"});
  EXPECT_THAT(terminal_.complaints, HasSubstr("  Hint: With --tenant the tenant has to be there.\n"));
  must({"user", "add", "plain", "--no-password"});
  EXPECT_EQ(terminal_.complaints, "");
  must({"user", "add", "right.nowhen", "--no-password"});
  EXPECT_EQ(terminal_.complaints, "");
  must({"user", "add", "with.dot", "--tenant", "default", "--no-password"});
  EXPECT_EQ(terminal_.complaints, "") << "said on purpose";
}

}  // namespace
}  // namespace penstock::cli
