#include "server/capacity.h"

#include <gtest/gtest.h>

namespace penstock::server {
namespace {

constexpr std::uint64_t kGib = 1ULL << 30U;

TEST(Capacity, IsTheConfiguredLimitWhereTheMachineAllowsIt) {
  const auto found =
      capacity({.sockets_max = 20'000, .memory_available = kGib, .open_files = 20'000, .max_clients = 5'000});
  EXPECT_EQ(found.clients, 5'000U);
  EXPECT_EQ(found.limited_by, "max_clients");
  EXPECT_EQ(found.hint, "");
}

TEST(Capacity, NamesOpenFilesAndWhatToRaise) {
  const auto found =
      capacity({.sockets_max = 1'000, .memory_available = kGib, .open_files = 1'064, .max_clients = 5'000});
  EXPECT_EQ(found.clients, 950U);
  EXPECT_EQ(found.limited_by, "open files");
  EXPECT_NE(found.hint.find("LimitNOFILE"), std::string::npos);
  EXPECT_NE(found.hint.find("1064 open files"), std::string::npos);
}

TEST(Capacity, WithIoUringMoreWorkersHelp) {
  const auto found = capacity({.sockets_max = 40'000,
                               .memory_available = 100 * kGib,
                               .open_files = 20'000,
                               .per_worker = true,
                               .max_clients = 250'000});
  EXPECT_EQ(found.clients, 38'000U);
  EXPECT_NE(found.hint.find("more workers"), std::string::npos);
}

TEST(Capacity, NamesMemoryWhichTlsNeedsMoreOf) {
  const CapacityQuestion plain{.sockets_max = 1'000'000, .memory_available = kGib, .open_files = 1'000'000};
  EXPECT_EQ(capacity(plain).limited_by, "memory");
  CapacityQuestion tls = plain;
  tls.client_bytes = kTlsClientBytes;
  EXPECT_LT(capacity(tls).clients * 4, capacity(plain).clients);
}

TEST(Capacity, UnknownMemoryLimitsNothing) {
  EXPECT_EQ(capacity({.sockets_max = 1'000, .open_files = 1'000}).limited_by, "open files");
}

TEST(Capacity, TheMemoryOfThisMachineIsKnown) {
  EXPECT_GT(memory_available(), 1U << 20U);
}

}  // namespace
}  // namespace penstock::server
