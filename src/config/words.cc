#include "config/words.h"

namespace penstock::model {

namespace {

using config::IoBackend;
using config::LogFormat;
using config::LogLevel;

constexpr Word<IoBackend> kIoBackends[] = {
    {"auto", IoBackend::kAuto},
    {"io_uring", IoBackend::kIoUring},
    {"epoll", IoBackend::kEpoll},
};

constexpr Word<LogFormat> kLogFormats[] = {
    {"text", LogFormat::kText},
    {"json", LogFormat::kJson},
};

constexpr Word<LogLevel> kLogLevels[] = {
    {"error", LogLevel::kError},
    {"warning", LogLevel::kWarning},
    {"info", LogLevel::kInfo},
    {"debug", LogLevel::kDebug},
};

}  // namespace

template <>
std::span<const Word<IoBackend>> words() {
  return kIoBackends;
}
template <>
std::span<const Word<LogFormat>> words() {
  return kLogFormats;
}
template <>
std::span<const Word<LogLevel>> words() {
  return kLogLevels;
}

}  // namespace penstock::model
