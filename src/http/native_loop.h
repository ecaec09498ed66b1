// What a Loop is made of; for the sources of this module.
#pragma once

#include <optional>

#include "http/beast.h"
#include "http/loop.h"

namespace penstock::http {

struct Loop::Native {
  asio::io_context io{1};
  std::optional<asio::posix::stream_descriptor> watched;
  bool is_waiting = false;
  bool is_readable = false;
};

}  // namespace penstock::http
