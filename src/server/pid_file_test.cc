#include "server/pid_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "catalog/temporary_directory.h"

namespace penstock::server {
namespace {

std::string contents(const std::string& path) {
  std::string text;
  std::getline(std::ifstream(path), text);
  return text;
}

TEST(PidFile, NamesTheProcessAndIsRemoved) {
  const catalog::TemporaryDirectory directory;
  const std::string path = directory / "pid";
  {
    const auto file = PidFile::take(path);
    ASSERT_TRUE(file);
    EXPECT_EQ(contents(path), std::to_string(getpid()));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PidFile, OfAnotherThatRunsIsLeftAlone) {
  const catalog::TemporaryDirectory directory;
  const std::string path = directory / "pid";
  const auto first = PidFile::take(path);
  ASSERT_TRUE(first);
  const auto second = PidFile::take(path);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, testing::HasSubstr("belongs to another server"));
  EXPECT_THAT(second.error().detail, testing::HasSubstr(std::to_string(getpid())));
  EXPECT_EQ(contents(path), std::to_string(getpid()));
}

TEST(PidFile, OfADeadProcessIsTakenOver) {
  const catalog::TemporaryDirectory directory;
  const std::string path = directory / "pid";
  std::ofstream(path) << "1\nand more\n";
  const auto file = PidFile::take(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(contents(path), std::to_string(getpid()));
}

TEST(PidFile, RemovesOnlyItsOwn) {
  const catalog::TemporaryDirectory directory;
  const std::string path = directory / "pid";
  auto file = PidFile::take(path);
  ASSERT_TRUE(file);
  std::filesystem::remove(path);
  std::ofstream(path) << "4711\n";
  *file = PidFile();
  EXPECT_EQ(contents(path), "4711");
}

TEST(PidFile, SaysWhyItCannotBeWritten) {
  const auto file = PidFile::take("/no/such/directory/pid");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, testing::HasSubstr("could not write"));
}

}  // namespace
}  // namespace penstock::server
