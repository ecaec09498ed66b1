#include "telemetry/service_notifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace penstock::telemetry {
namespace {

// What systemd does: a datagram socket, here under an abstract name.
class ServiceNotifierTest : public testing::Test {
 protected:
  void SetUp() override {
    name_ = "@penstock-notify-test-" + std::to_string(getpid());
    descriptor_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    ASSERT_EQ(bind(descriptor_, reinterpret_cast<sockaddr*>(&address), size), 0);
  }
  void TearDown() override { close(descriptor_); }

  std::string receive() const {
    char buffer[512];
    const ssize_t size = recv(descriptor_, buffer, sizeof(buffer), 0);
    return size < 0 ? "nothing" : std::string(buffer, static_cast<std::size_t>(size));
  }

  std::string name_;
  int descriptor_ = -1;
};

TEST_F(ServiceNotifierTest, TellsTheStagesOfAService) {
  const ServiceNotifier notifier(name_);
  ASSERT_TRUE(notifier.ready("serving"));
  EXPECT_EQ(receive(), "READY=1\nSTATUS=serving");
  ASSERT_TRUE(notifier.reloading());
  EXPECT_THAT(receive(), testing::MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
  ASSERT_TRUE(notifier.stopping("draining 5 clients"));
  EXPECT_EQ(receive(), "STOPPING=1\nSTATUS=draining 5 clients");
  ASSERT_TRUE(notifier.watchdog());
  EXPECT_EQ(receive(), "WATCHDOG=1");
}

TEST_F(ServiceNotifierTest, KeepsATextOnOneLine) {
  ASSERT_TRUE(ServiceNotifier(name_).status("a\nMAINPID=1"));
  EXPECT_EQ(receive(), "STATUS=a MAINPID=1");
}

TEST(ServiceNotifier, DoesNothingWithoutASocket) {
  EXPECT_FALSE(ServiceNotifier("").enabled());
  EXPECT_TRUE(ServiceNotifier("").ready("x"));
}

TEST(ServiceNotifier, SaysWhenNobodyListens) {
  EXPECT_FALSE(ServiceNotifier("/nowhere/notify").ready("x"));
  EXPECT_FALSE(ServiceNotifier("vsock:2:1").ready("x"));
  EXPECT_FALSE(ServiceNotifier("/" + std::string(200, 'x')).ready("x"));
}

}  // namespace
}  // namespace penstock::telemetry
