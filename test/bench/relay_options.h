// What both raw relays are told: where to listen and where every connection leads.
#pragma once

#include "endpoint.h"

namespace penstock::bench {

struct RelayOptions {
  Endpoint listen;
  Endpoint target;
};
// Ends the program with a message when the arguments make no sense.
RelayOptions read_relay_options(int argc, char** argv);
// Blocking connect to the target; -1 when it fails.
int connect_now(const Endpoint& target);

}  // namespace penstock::bench
