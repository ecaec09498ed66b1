// PENSTOCK_ASSERT stops the process when our own code has broken its promise.
//
// For bugs only: never on anything a client, a server, a file or a node sent; that is an Error. Always on.
#pragma once

namespace penstock::base {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace penstock::base

#define PENSTOCK_ASSERT(condition)                      \
  (__builtin_expect(static_cast<bool>(condition), true) \
       ? static_cast<void>(0)                           \
       : ::penstock::base::assertion_failed(#condition, __FILE__, __LINE__))
