// What one worker counts beside its pools.
//
// Owner: the worker. Home: writing LOOP, reading any thread.
#pragma once

#include <string_view>

#include "telemetry/counters.h"

namespace penstock::telemetry {

enum class WorkerCount : std::uint8_t { kAccepted, kCancels, kTlsOk, kTlsFailed, kBans, kCount };

// Why a client was refused at log-in.
enum class LoginFailure : std::uint8_t {
  kPassword,   // wrong, or no such tenant or user: clients cannot tell, but the log does
  kForbidden,  // TLS demanded, method not allowed
  kBanned,     // too many wrong passwords from that address
  kLimit,      // too many clients
  kServer,     // the server behind could not be asked or reached
  kTimeout,
  kProtocol,
  kShutdown,
  kOther,
  kCount
};
std::string_view word_of(LoginFailure reason);
LoginFailure failure_of(std::string_view sqlstate);

struct WorkerCounters {
  CounterSet<WorkerCount> counts;
  CounterSet<LoginFailure> failures;
};

}  // namespace penstock::telemetry
