#include "catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "telemetry/log.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::ElementsAre;
using testing::HasSubstr;

// A store in memory that fails on demand.
class FakeStore final : public Store {
 public:
  std::map<std::string, TenantSpec> tenants;
  std::uint64_t now = 1;
  std::optional<base::Error> failure;
  std::optional<base::Error> unreadable;  // by load() only

  base::Result<model::SnapshotPtr> load(const model::SnapshotPtr& = nullptr) override {
    if (failure) return base::fail(*failure);
    if (unreadable) return base::fail(*unreadable);
    std::vector<model::TenantPtr> all;
    for (const auto& [id, tenant] : tenants) all.push_back(std::make_shared<const TenantSpec>(tenant));
    return std::make_shared<const model::CatalogSnapshot>(std::move(all), "default", now);
  }
  base::Result<bool> changed_since(std::uint64_t version) override {
    if (failure) return base::fail(*failure);
    return version != now;
  }
  base::Result<std::uint64_t> version() override { return now; }
  base::Result<Edited> edit(std::string_view id, const Edit& edit, const EditOptions& = {}) override {
    if (failure) return base::fail(*failure);
    Edited edited;
    if (const auto found = tenants.find(std::string(id)); found != tenants.end())
      edited.before = found->second;
    edited.after = edited.before;
    if (const base::Status status = edit(edited.after); !status) return base::fail(status.error());
    tenants.erase(std::string(id));
    if (edited.after) tenants[std::string(id)] = *edited.after;
    ++now;
    return edited;
  }
  base::Result<std::vector<Edited>> edit_all(const EditAll&, const EditOptions& = {}) override {
    return base::fail(base::kFeatureNotSupported, "not here");
  }
  base::Result<std::vector<AuditEntry>> audit(const AuditQuery& = {}) override {
    return std::vector<AuditEntry>();
  }
  base::Status note(AuditEntry) override { return {}; }
  base::Result<SealReport> seals() override { return SealReport{}; }
};

base::Error disk_error(std::string message = "the disk is gone") {
  return {.sqlstate = base::kIoError, .message = std::move(message)};
}

class CatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    auto store = std::make_unique<FakeStore>();
    store_ = store.get();
    store_->tenants["acme"] = {.id = "acme", .hosts = {{.host = "a"}}};
    store_->tenants["default"] = {.id = "default", .hosts = {{.host = "d"}}};
    auto opened = Catalog::open(std::move(store));
    ASSERT_TRUE(opened);
    catalog_ = *std::move(opened);
    catalog_->subscribe([this](const model::SnapshotPtr& snapshot) { published_.push_back(snapshot); });
  }

  FakeStore* store_ = nullptr;
  std::unique_ptr<Catalog> catalog_;
  std::vector<model::SnapshotPtr> published_;
  std::vector<std::string> lines_;  // of the log
};

TEST(Catalog, DoesNotOpenWithoutAFirstSnapshot) {
  auto store = std::make_unique<FakeStore>();
  store->failure = disk_error();
  const auto opened = Catalog::open(std::move(store));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "the disk is gone");
}

TEST_F(CatalogTest, GivesASubscriberTheCurrentSnapshotAtOnce) {
  ASSERT_EQ(published_.size(), 1u);
  EXPECT_EQ(published_[0], catalog_->snapshot());
  EXPECT_EQ(published_[0]->default_tenant()->id, "default");
}

TEST_F(CatalogTest, PublishesNothingWhenNothingHasChanged) {
  EXPECT_FALSE(catalog_->poll());
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(CatalogTest, PublishesAChangeAndKeepsTheObjectsOfOtherTenants) {
  store_->tenants["acme"].overrides.pool_size = 5;
  store_->now = 2;
  EXPECT_TRUE(catalog_->poll());
  ASSERT_EQ(published_.size(), 2u);
  EXPECT_EQ(published_[1]->version(), 2u);
  EXPECT_EQ(published_[1]->by_id("default"), published_[0]->by_id("default"));
  EXPECT_NE(published_[1]->by_id("acme"), published_[0]->by_id("acme"));
  EXPECT_EQ(published_[1]->default_tenant(), published_[1]->by_id("default"));
  EXPECT_FALSE(catalog_->poll());
}

TEST_F(CatalogTest, KeepsTheLastGoodSnapshotAndTellsTroubleOnce) {
  telemetry::log::Options options;
  options.capture = [this](std::string_view line) { lines_.emplace_back(line); };
  ASSERT_TRUE(telemetry::log::start(std::move(options)));
  store_->failure = disk_error();
  store_->now = 2;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(catalog_->poll());
  EXPECT_EQ(catalog_->snapshot()->version(), 1u);
  ASSERT_TRUE(catalog_->trouble());
  store_->failure = disk_error("and now it burns");
  EXPECT_FALSE(catalog_->poll());
  store_->failure.reset();
  EXPECT_TRUE(catalog_->poll()) << "the change that could not be read is not forgotten";
  EXPECT_FALSE(catalog_->trouble());
  telemetry::log::stop();
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("the disk is gone"), HasSubstr("and now it burns"),
                                  HasSubstr("catalog.recovered"), HasSubstr("catalog.changed")));
}

TEST_F(CatalogTest, SaysWhyAReloadFailed) {
  EXPECT_TRUE(catalog_->reload());
  store_->failure = disk_error();
  EXPECT_EQ(catalog_->reload().error().message, "the disk is gone");
}

TEST_F(CatalogTest, PublishesItsOwnEditsAtOnce) {
  ASSERT_TRUE(catalog_->edit("acme", [](std::optional<TenantSpec>& tenant) -> base::Status {
    tenant.reset();
    return {};
  }));
  EXPECT_EQ(published_.back()->by_id("acme"), nullptr);
  store_->failure = disk_error();
  EXPECT_FALSE(catalog_->edit("default", [](auto&) -> base::Status { return {}; }));
}

TEST_F(CatalogTest, ItsOwnEditsAreInForceWhileAnotherTenantCannotBeRead) {
  store_->unreadable = disk_error("tenants.default: the record is no JSON object");
  const auto enlarge = [](std::optional<TenantSpec>& tenant) -> base::Status {
    tenant->overrides.pool_size = tenant->overrides.pool_size.value_or(0) + 1;
    return {};
  };
  ASSERT_TRUE(catalog_->edit("acme", enlarge));
  ASSERT_TRUE(catalog_->edit("acme", enlarge));
  EXPECT_EQ(published_.back()->by_id("acme")->overrides.pool_size, 2);
  EXPECT_EQ(published_.back()->by_id("default"), published_.front()->by_id("default"));
  ASSERT_TRUE(catalog_->trouble());
  EXPECT_FALSE(catalog_->poll()) << "it is tried again";
  EXPECT_FALSE(catalog_->reload());
  store_->unreadable.reset();
  EXPECT_TRUE(catalog_->poll());
  EXPECT_FALSE(catalog_->trouble());
  EXPECT_EQ(catalog_->snapshot()->version(), store_->now);
  EXPECT_EQ(catalog_->snapshot()->by_id("acme")->overrides.pool_size, 2);
}

}  // namespace
}  // namespace penstock::catalog
