#include "tls/shared_context.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tls/certificates_test.h"

namespace penstock::tls {
namespace {

TEST(SharedClientContext, IsOneForEqualOptions) {
  const auto first = shared_client_context({});
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(*first, *shared_client_context({}));
  EXPECT_NE(*first, *shared_client_context({.mode = model::TlsMode::kVerifyFull}));
  EXPECT_NE(*first, *shared_client_context({.min_protocol = "1.3"}));
}

TEST(SharedClientContext, EndsWithItsLastUser) {
  const std::weak_ptr<const ClientContext> first = *shared_client_context({.min_protocol = "1.3"});
  EXPECT_TRUE(first.expired());
}

TEST(SharedClientContext, ReadsAFileAgainThatHasChanged) {
  const testing::Certificates certificates;
  const ClientOptions options{.mode = model::TlsMode::kVerifyCa, .ca_file = certificates.ca_file()};
  const auto first = shared_client_context(options);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(*first, *shared_client_context(options));
  std::ofstream(certificates.ca_file(), std::ios::app) << "\n";
  const auto second = shared_client_context(options);
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(*first, *second);
}

TEST(SharedClientContext, SaysWhyAFileCannotBeRead) {
  const ClientOptions options{.mode = model::TlsMode::kVerifyCa, .ca_file = "/nowhere/ca.crt"};
  const auto context = shared_client_context(options);
  ASSERT_FALSE(context.has_value());
  EXPECT_NE(context.error().message.find("/nowhere/ca.crt"), std::string::npos) << context.error().message;
}

}  // namespace
}  // namespace penstock::tls
