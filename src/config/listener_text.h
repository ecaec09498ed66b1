// Listeners as one writes them in PENSTOCK_LISTENERS and --set listeners=: separated by commas, each
// ADDRESS[:PORT][?pool_mode=MODE&unix_mode=OCTAL], with IPv6 addresses in brackets. `mode` is short for
// `pool_mode`.
//
//     127.0.0.1:6432,[::1]:6432,/run/penstock:6432,*:6543?mode=transaction
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/settings.h"

namespace penstock::config {

base::Result<std::vector<ListenerSettings>> parse_listeners(std::string_view text);
base::Result<ListenerSettings> parse_listener(std::string_view text);
// What parse_listener() reads as the same listener.
std::string to_text(const ListenerSettings& listener);

// "*", an IP address, an absolute directory, or "@name". Names must be resolved by the user.
base::Status check_address(std::string_view address);

}  // namespace penstock::config
