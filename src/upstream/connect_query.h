// run_connect_query() runs the tenant's connect_query on a connection that has just logged in.
//
// It may take away rights (SET ROLE), so a connection on which it fails is not used: that is a log-in that failed.
//
// Home:       LOOP (a coroutine of the pool that wants the connection; destroying it gives up, and has the query
//             cancelled at the server)
// Waits:      plan.login_timeout, then the query is cancelled, too.
// Errors:     the server's own error, with "connect_query failed" ahead of its message; 57014 when it takes too long;
//             0A000 for COPY and for a transaction that it leaves open.
// Bounds:     a message of the server's: 1 MiB.
#pragma once

#include <memory>
#include <string>

#include "upstream/dial.h"

namespace penstock::upstream {

io::Task<base::Result<LoggedIn>> run_connect_query(DialTools tools, std::shared_ptr<const DialPlan> plan,
                                                   LoggedIn logged_in, std::string sql);

}  // namespace penstock::upstream
