// accept() and connect() turn a plain stream into an encrypted one.
//
// Home:       LOOP. Either task may be destroyed while it waits; the connection then closes.
// Waits:      until the handshake is over or `deadline`, whichever is first.
// Errors:     kProtocolViolation, kConnectionFailure (also for the deadline and for certificates that do not
//             hold), with OpenSSL's reason; the peer has been sent the alert.
// See:        handshake_gate.h, to be passed before accept().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/task.h"
#include "tls/context.h"
#include "tls/tls_stream.h"

namespace penstock::tls {

struct AcceptOptions {
  // What has come in on `raw` and belongs to the handshake. After an SSLRequest this must be empty before we
  // answer 'S': refuse such clients (CVE-2021-23222).
  std::vector<io::Chunk> received = {};
  base::TimePoint deadline = base::kNever;
  bool direct = false;  // no SSLRequest went before: the client must name "postgresql" by ALPN
};
io::Task<base::Result<TlsStreamPtr>> accept(io::StreamPtr raw, std::shared_ptr<const ServerContext> context,
                                            AcceptOptions options);

struct ConnectOptions {
  std::string host = {};  // name or IP address, as configured: for server name indication and verify-full
  base::TimePoint deadline = base::kNever;
  bool direct = false;  // no SSLRequest went before: the server must agree to "postgresql" by ALPN
};
io::Task<base::Result<TlsStreamPtr>> connect(io::StreamPtr raw, std::shared_ptr<const ClientContext> context,
                                             ConnectOptions options);

}  // namespace penstock::tls
