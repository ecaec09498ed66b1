#include "telemetry/log.h"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include "telemetry/event_limiter.h"

namespace penstock::telemetry::log {
namespace {

using Clock = std::chrono::system_clock::time_point (*)();

class CaptureSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CaptureSink(std::function<void(std::string_view)> take) : take_(std::move(take)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    take_({message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

  std::function<void(std::string_view)> take_;
};

// The queue, its thread, and where the lines go. Lives until the next start(), so that a late line finds it.
struct Writer {
  Options options;
  std::shared_ptr<spdlog::sinks::dist_sink_mt> outlet = std::make_shared<spdlog::sinks::dist_sink_mt>();
  std::shared_ptr<spdlog::details::thread_pool> queue;
  std::weak_ptr<spdlog::details::thread_pool> watched;  // the same queue, for any thread
  std::shared_ptr<spdlog::async_logger> logger;
};

EventLimiter limiter;
std::atomic<Format> format{Format::kText};
std::atomic<Clock> clock_now{&std::chrono::system_clock::now};
std::atomic<std::uint32_t> last_told{0};      // the second in which losses were last looked at
std::atomic<std::uint64_t> dropped_told{0};   // of dropped(), already written
std::atomic<std::uint64_t> dropped_total{0};  // as of the last look
// Control thread. Never destroyed: a thread that hangs in write(2) may outlive main().
std::shared_ptr<Writer>& writer = *new std::shared_ptr<Writer>;
std::atomic<Writer*> current{nullptr};  // any thread; points to `writer` while it runs

base::Result<spdlog::sink_ptr> open_sink(const Options& options) {
  try {
    spdlog::sink_ptr sink;
    if (options.capture) {
      sink = std::make_shared<CaptureSink>(options.capture);
    } else if (options.file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    }
    sink->set_pattern("%v");
    return sink;
  } catch (const spdlog::spdlog_ex& error) {
    return base::fail(base::kIoError, "could not open the log file", error.what());
  }
}

void adopt(const Options& options) {
  detail::level.store(options.level, std::memory_order_relaxed);
  format.store(options.format, std::memory_order_relaxed);
  clock_now.store(options.clock, std::memory_order_relaxed);
  limiter.set_limit(static_cast<std::uint32_t>(options.events_per_second));
}

// Past limits and level: formats and queues one line.
void put(const Line& line) {
  const std::string text = format_line(format.load(std::memory_order_relaxed), line);
  if (Writer* to = current.load(std::memory_order_acquire)) {
    to->logger->log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

std::uint32_t second_of(std::chrono::system_clock::time_point time) {
  return static_cast<std::uint32_t>(
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
}

void tell_losses(std::chrono::system_clock::time_point now) {
  limiter.take_suppressed(second_of(now), [&](std::string_view event, std::uint64_t count) {
    put({now, Level::kWarning, "log.suppressed", {{"of", event}, {"count", count}}});
  });
  const std::uint64_t lost = dropped();
  const std::uint64_t told = dropped_told.exchange(lost);
  if (lost > told) put({now, Level::kWarning, "log.dropped", {{"count", lost - told}}});
}

}  // namespace

namespace detail {

std::atomic<Level> level{Level::kWarning};

void write(Level at, Literal event, Fields fields, std::string_view message) {
  const auto now = clock_now.load(std::memory_order_relaxed)();
  const std::uint32_t second = second_of(now);
  if (last_told.load(std::memory_order_relaxed) != second && last_told.exchange(second) != second)
    tell_losses(now);
  if (limiter.admit(event, second)) put({now, at, event.text(), fields, message});
}

}  // namespace detail

base::Status start(Options options) {
  stop();
  auto sink = open_sink(options);
  if (!sink) return base::fail(std::move(sink.error()));
  writer = std::make_shared<Writer>();
  writer->outlet->set_sinks({std::move(*sink)});
  writer->queue = std::make_shared<spdlog::details::thread_pool>(options.queue_lines, 1);
  writer->logger = std::make_shared<spdlog::async_logger>("penstock", writer->outlet, writer->queue,
                                                          spdlog::async_overflow_policy::overrun_oldest);
  writer->logger->flush_on(spdlog::level::trace);
  writer->watched = writer->queue;
  adopt(options);
  dropped_told = 0;
  dropped_total = 0;
  writer->options = std::move(options);
  current.store(writer.get(), std::memory_order_release);
  return {};
}

base::Status configure(Options options) {
  if (current.load() == nullptr) return start(std::move(options));
  auto sink = open_sink(options);
  if (!sink) return base::fail(std::move(sink.error()));
  writer->outlet->set_sinks({std::move(*sink)});
  adopt(options);
  writer->options = std::move(options);
  return {};
}

base::Status reopen() {
  if (current.load() == nullptr) return {};
  auto sink = open_sink(writer->options);
  if (!sink) return base::fail(std::move(sink.error()));
  writer->outlet->set_sinks({std::move(*sink)});
  return {};
}

void stop(std::chrono::milliseconds deadline) {
  if (current.load() == nullptr) return;
  tell_losses(clock_now.load()() + std::chrono::seconds{1});
  current.store(nullptr, std::memory_order_release);
  detail::level.store(Level::kWarning, std::memory_order_relaxed);
  // The queue ends when its thread has written everything. If that thread hangs in write(2), we go without
  // it.
  std::promise<void> ended;
  std::future<void> end = ended.get_future();
  std::thread([queue = std::move(writer->queue), ended = std::move(ended)]() mutable {
    queue.reset();
    ended.set_value();
  }).detach();
  end.wait_for(deadline);
}

void tick() {
  tell_losses(clock_now.load(std::memory_order_relaxed)());
}

std::uint64_t dropped() {
  Writer* from = current.load(std::memory_order_acquire);
  const auto queue = from == nullptr ? nullptr : from->watched.lock();
  if (queue != nullptr) dropped_total = queue->overrun_counter();
  return dropped_total;
}

}  // namespace penstock::telemetry::log
