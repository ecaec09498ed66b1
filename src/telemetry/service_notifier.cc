#include "telemetry/service_notifier.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace penstock::telemetry {
namespace {

// Assignments are separated by newlines, so a text must not have any.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::ranges::replace(line, '\n', ' ');
  return line;
}

}  // namespace

ServiceNotifier ServiceNotifier::from_environment() {
  const char* socket = std::getenv("NOTIFY_SOCKET");
  return ServiceNotifier(socket == nullptr ? "" : socket);
}

base::Status ServiceNotifier::ready(std::string_view text) const {
  return send(fmt::format("READY=1\nSTATUS={}", one_line(text)));
}

base::Status ServiceNotifier::reloading() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  return send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds));
}

base::Status ServiceNotifier::stopping(std::string_view text) const {
  return send(fmt::format("STOPPING=1\nSTATUS={}", one_line(text)));
}

base::Status ServiceNotifier::status(std::string_view text) const {
  return send(fmt::format("STATUS={}", one_line(text)));
}

base::Status ServiceNotifier::watchdog() const {
  return send("WATCHDOG=1");
}

base::Status ServiceNotifier::send(std::string_view message) const {
  if (socket_.empty()) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((socket_[0] != '/' && socket_[0] != '@') || socket_.size() >= sizeof(address.sun_path)) {
    return base::fail(base::kIoError, "NOTIFY_SOCKET is neither a path nor an abstract name");
  }
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';

  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return base::fail(base::errno_error(base::kIoError, "could not notify systemd", errno));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const ssize_t sent = sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL,
                              reinterpret_cast<const sockaddr*>(&address), size);
  const int error = errno;
  close(descriptor);
  if (sent < 0) return base::fail(base::errno_error(base::kIoError, "could not notify systemd", error));
  return {};
}

}  // namespace penstock::telemetry
