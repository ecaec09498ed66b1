#include "catalog/manual.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace penstock::catalog {
namespace {

// Set PENSTOCK_TEST_WRITE=1 to write the tables into the page instead.
TEST(Manual, HasTheFieldsAsTheyAre) {
  const auto file = std::filesystem::path(__FILE__).parent_path() / "../../docs/manual/tenants.md";
  std::stringstream page;
  page << std::ifstream(file).rdbuf();
  if (std::getenv("PENSTOCK_TEST_WRITE") != nullptr) std::ofstream(file) << with_fields(page.str());
  std::stringstream now;
  now << std::ifstream(file).rdbuf();
  EXPECT_EQ(now.str(), with_fields(now.str()))
      << "run this test with PENSTOCK_TEST_WRITE=1 and commit " << file;
}

}  // namespace
}  // namespace penstock::catalog
