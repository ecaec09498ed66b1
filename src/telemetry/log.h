// log writes one line per event: what happened, to whom, in fields that can be searched.
//
//     namespace log = telemetry::log;
//     log::info("client.login", {{"client", id}, {"tenant", tenant}, {"user", user}}, "logged in");
//
// Event and field names are literals; values are short texts and numbers. There is no way to hand in a
// message of the protocol, so that no query and no password can end up here by accident. Texts from outside
// are escaped and cut: a line is always one line, and no longer than its fields allow.
//
// Home:       SYNC. Any thread may write; none of them ever waits for the disk or for whoever reads stderr.
//             start(), configure(), reopen() and stop() belong to one thread, the control thread; they may
//             wait for a write(2) that is under way.
// Errors:     kIoError when the file cannot be opened. Lines that do not fit into the queue push out the
//             oldest, and a full disk takes none; they are counted, and when lines get through again, one
//             "log.dropped" tells how many.
// Bounds:     `queue_lines` waiting lines; per kind of event `events_per_second` lines, the rest is counted
//             and told in a line "log.suppressed"; 256 bytes per field and 1024 for the message.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"
#include "telemetry/log_line.h"

namespace penstock::telemetry::log {

struct Options {
  Level level = Level::kInfo;
  Format format = Format::kText;
  std::string file = {};        // empty: stderr
  int events_per_second = 200;  // 0: no limit
  std::size_t queue_lines = 4096;
  // For tests: takes the lines instead of a file, on the log's own thread; all have come when stop() returns.
  std::function<void(std::string_view)> capture = {};
  std::chrono::system_clock::time_point (*clock)() = &std::chrono::system_clock::now;
};

// Before start() and after stop(), lines from warnings upwards go straight to stderr.
base::Status start(Options options);
// A reload: level, format, rate and file. When the file cannot be opened, nothing changes.
base::Status configure(Options options);
// Opens the file anew under its name, after logrotate has moved it away.
base::Status reopen();
// Writes what is queued, for at most `deadline`: a reader of stderr that never reads does not keep us alive.
void stop(std::chrono::milliseconds deadline = std::chrono::seconds{2});
// To be called about once a second: tells what was suppressed or dropped when no further line comes to tell
// it.
void tick();
// Lines lost because the queue was full or they could not be written, since the start.
std::uint64_t dropped();

namespace detail {
extern std::atomic<Level> level;
void write(Level level, Literal event, Fields fields, std::string_view message);
}  // namespace detail

// For callers whose fields are costly to make.
inline bool enabled(Level level) {
  return level <= detail::level.load(std::memory_order_relaxed);
}

inline void error(Literal event, Fields fields, std::string_view message = {}) {
  if (enabled(Level::kError)) detail::write(Level::kError, event, fields, message);
}
inline void warning(Literal event, Fields fields, std::string_view message = {}) {
  if (enabled(Level::kWarning)) detail::write(Level::kWarning, event, fields, message);
}
inline void info(Literal event, Fields fields, std::string_view message = {}) {
  if (enabled(Level::kInfo)) detail::write(Level::kInfo, event, fields, message);
}
inline void debug(Literal event, Fields fields, std::string_view message = {}) {
  if (enabled(Level::kDebug)) detail::write(Level::kDebug, event, fields, message);
}

}  // namespace penstock::telemetry::log
