// serve(): the composition root. Builds everything, runs it until a signal ends it, takes it down in order.
//
// Signals: SIGHUP reloads; SIGTERM drains (clients finish their transaction), a second one stops; SIGINT and
// SIGQUIT stop.
//
// Home: the main thread, which becomes the control thread: it waits for signals and watches the catalog.
#pragma once

#include "config/load.h"

namespace penstock::server {

// Whether the certificates, keys and ciphers that the settings name can be used, and the files of the API. For `penstock check`.
base::Status check_client_tls(const config::Settings& settings);

// Returns the process's exit status. `options` are loaded again on reload.
int serve(const config::LoadOptions& options);

}  // namespace penstock::server
