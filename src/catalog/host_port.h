// Where Postgres listens, as text: "db.example.com:5432", "192.0.2.1", "[2001:db8::1]:5433",
// "/run/postgresql:5433" (the directory of a Unix socket), "@name" (an abstract socket).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/tenant.h"

namespace penstock::catalog {

// `default_port` when the text names none. An IPv6 address without brackets is taken whole, without a port.
base::Result<model::HostPort> parse_host_port(std::string_view text, std::uint16_t default_port = 5432);

// The port is always written, so that a change of defaults changes no record.
std::string to_text(const model::HostPort& target);

}  // namespace penstock::catalog
