// What OpenSSL has to say about its last failure, as words.
//
// Home: any thread (OpenSSL keeps one queue of errors per thread).
#pragma once

#include <string>

namespace penstock::tls {

// The first reason in the thread's error queue ("certificate verify failed", "No such file or directory");
// empties the queue. "unknown reason" when there is none.
std::string take_openssl_reason();

}  // namespace penstock::tls
