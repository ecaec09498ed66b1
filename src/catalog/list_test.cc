#include "catalog/list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::ElementsAre;

class ListTest : public testing::Test {
 protected:
  std::vector<std::string> ids(const ListQuery& query, std::string* next = nullptr) {
    const Listing page = list(snapshot_, query, {});
    if (next != nullptr) *next = page.next;
    std::vector<std::string> ids;
    for (const auto& tenant : page.tenants) ids.push_back(tenant->id);
    return ids;
  }
  static model::TenantPtr make(TenantSpec spec) {
    return std::make_shared<const TenantSpec>(std::move(spec));
  }
  model::CatalogSnapshot snapshot_{{make({.id = "a", .hosts = {{.host = "db1.Example.com"}}}),
                                    make({.id = "b", .sni_names = {"pg.b.test"}, .banned = true}),
                                    make({.id = "c", .databases = {"shop"}}), make({.id = "d"})}};
};

TEST_F(ListTest, GivesPagesInOrder) {
  std::string next;
  EXPECT_THAT(ids({.limit = 3}, &next), ElementsAre("a", "b", "c"));
  EXPECT_EQ(next, "c");
  EXPECT_THAT(ids({.after = next, .limit = 3}, &next), ElementsAre("d"));
  EXPECT_EQ(next, "");
  EXPECT_THAT(ids({.limit = 4}, &next), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(next, "") << "nothing is left";
  EXPECT_THAT(ids({.after = "bb"}), ElementsAre("c", "d")) << "the tenant itself may be gone";
}

TEST_F(ListTest, FindsTenantsByWhatTheyHave) {
  EXPECT_THAT(ids({.search = "example"}), ElementsAre("a"));
  EXPECT_THAT(ids({.search = "PG.b"}), ElementsAre("b"));
  EXPECT_THAT(ids({.search = "shop"}), ElementsAre("c"));
  EXPECT_THAT(ids({.banned = true}), ElementsAre("b"));
  EXPECT_THAT(ids({.banned = false}), ElementsAre("a", "c", "d"));
}

}  // namespace
}  // namespace penstock::catalog
