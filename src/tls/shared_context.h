// shared_client_context() gives pools that dial with the same options one ClientContext.
//
// Without it each pool of each tenant would hold 7 KB for OpenSSL's sake, and with a store of authorities about a megabyte.
//
// Home: SYNC (a WeakTable of the process)
#pragma once

#include <memory>

#include "base/error.h"
#include "tls/context.h"

namespace penstock::tls {

// The one in use that was made from equal options and from files that have not changed since; else a new one.
base::Result<std::shared_ptr<const ClientContext>> shared_client_context(const ClientOptions& options);

}  // namespace penstock::tls
