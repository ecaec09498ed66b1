// ServiceNotifier tells systemd how the service is doing: ready, reloading, stopping, and a line of status.
//
// Source: sd_notify(3), the protocol section: one datagram to the socket in NOTIFY_SOCKET. Our own because
// libsystemd would be a dependency for one sendto(2).
//
// Owner:  server.
// Home:   the control thread. Never blocks: a full socket loses the message.
// Errors: kIoError; nobody needs to look at them. Without a socket, everything is a success and does nothing.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::telemetry {

class ServiceNotifier {
 public:
  // The value of NOTIFY_SOCKET: a path, or '@' and an abstract name. Empty: nobody to tell.
  explicit ServiceNotifier(std::string socket) : socket_(std::move(socket)) {}
  static ServiceNotifier from_environment();

  bool enabled() const { return !socket_.empty(); }
  base::Status ready(std::string_view status) const;  // also ends a reload
  base::Status reloading() const;                     // Type=notify-reload needs the time, which this adds
  base::Status stopping(std::string_view status) const;
  base::Status status(std::string_view text) const;  // shown by `systemctl status`
  base::Status watchdog() const;

 private:
  base::Status send(std::string_view message) const;

  std::string socket_;
};

}  // namespace penstock::telemetry
