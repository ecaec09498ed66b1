#include "telemetry/worker_counters.h"

namespace penstock::telemetry {

std::string_view word_of(LoginFailure reason) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(LoginFailure::kCount)> kWords = {
      "password", "forbidden", "banned", "limit", "server", "timeout", "protocol", "shutdown", "other"};
  return kWords[static_cast<std::size_t>(reason)];
}

LoginFailure failure_of(std::string_view sqlstate) {
  if (sqlstate == "28P01") return LoginFailure::kPassword;
  if (sqlstate == "57P01" || sqlstate == "57P02") return LoginFailure::kShutdown;
  if (sqlstate == "57P03" || sqlstate == "57014") return LoginFailure::kTimeout;
  const std::string_view category = sqlstate.substr(0, 2);
  if (category == "28") return LoginFailure::kForbidden;
  if (category == "53") return LoginFailure::kLimit;
  if (sqlstate == "08P01" || category == "0A" || category == "22") return LoginFailure::kProtocol;
  if (category == "08" || category == "3D" || category == "58") return LoginFailure::kServer;
  return LoginFailure::kOther;
}

}  // namespace penstock::telemetry
