// The packets a connection opens with: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.
//
// They carry no type byte. All functions here take a packet WITHOUT its length word: it begins with the
// 4-byte version or request code, as MessageAssembler::next_startup_packet hands it out. Bounding its length
// is the caller's part.
//
// Errors: as Postgres words and numbers them (08P01 bad layout; 0A000 other protocol; 28000 no user name).
// Source: PostgreSQL manual, "Message Formats"; `options` as documented for libpq and postgres(1).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "pgwire/constants.h"

namespace penstock::pgwire {

using Parameters = std::vector<std::pair<std::string, std::string>>;

struct SslRequest {};
struct GssEncRequest {};

struct CancelRequest {
  std::uint32_t process_id = 0;
  std::string key = {};  // kCancelKeyBytesMin to kCancelKeyBytesMax bytes, any value
};

enum class Replication : std::uint8_t { kNo, kPhysical, kDatabase };

struct StartupMessage {
  int major = kProtocolMajor;
  int minor = 0;                             // as the client asked; may be above kProtocolMinorMax
  Parameters parameters = {};                // in the client's order, without `_pq_.` ones
  std::vector<std::string> pq_options = {};  // names "_pq_.…" of protocol options; we know none of them

  // The last value given for `name` (exact), as Postgres takes it; null when there is none.
  const std::string* find(std::string_view name) const;
  std::string_view user() const;      // never empty after parse_startup
  std::string_view database() const;  // the user's name when the client gave none or an empty one
  // What the parameter `replication` says; 22023 when it is no boolean and not "database".
  base::Result<Replication> replication() const;
  // The client must be sent NegotiateProtocolVersion.
  bool needs_negotiation() const { return minor > kProtocolMinorMax || !pq_options.empty(); }
};

using StartupPacket = std::variant<SslRequest, GssEncRequest, CancelRequest, StartupMessage>;

base::Result<StartupPacket> parse_startup(base::ByteView packet);

// What the start-up parameter `options` holds.
struct ClientOptions {
  Parameters settings = {};  // in order; '-' in names already turned into '_'
  std::optional<std::string>
      reference;  // `reference=acme`, `-c reference=acme`, `--reference=acme`: names a tenant
};

// Knows the switches that Postgres takes from a client, `-c name=value` and `--name=value` first of all, and a bare
// `reference=value`; a backslash makes the next character an ordinary one. Everything else is 42601. Switches that only
// count on the command line of a server are settings all the same: Postgres refuses them itself.
// Source: PostgreSQL, src/backend/tcop/postgres.c, process_postgres_switches().
base::Result<ClientOptions> parse_options(std::string_view text);

// The reverse: `-c name=value …`, escaped so that parse_options and Postgres read the same settings.
std::string format_options(const Parameters& settings);

// Whole packets, length word included.
void build_startup(base::ByteWriter& out, int major, int minor, const Parameters& parameters);
void build_ssl_request(base::ByteWriter& out);
void build_gss_enc_request(base::ByteWriter& out);
void build_cancel_request(base::ByteWriter& out, std::uint32_t process_id, std::string_view key);

}  // namespace penstock::pgwire
