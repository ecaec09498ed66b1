// What both real backends do with plain sockets: open, set options, learn names.
#pragma once

#include "base/error.h"
#include "io/address.h"
#include "io/loop.h"
#include "io/stream.h"

namespace penstock::io {

// A non-blocking listening socket. Removes a stale Unix socket file nobody answers on.
base::Result<int> open_listener(const Address& address, const ListenOptions& options, const TcpOptions& tcp);
// Of a listener that ends: the file of its Unix socket, if it has one.
void remove_socket_file(const Address& address);
// A non-blocking, not yet connected socket for `address`.
base::Result<int> open_connector(const Address& address, const TcpOptions& tcp);
void apply_tcp_options(int descriptor, const TcpOptions& tcp);
PeerName peer_name(int descriptor);
PeerName peer_name(const sockaddr* address, socklen_t size);
PeerName local_name(int descriptor);
Address local_address(int descriptor);
base::Error connect_error(const Address& address, int errno_value);

}  // namespace penstock::io
