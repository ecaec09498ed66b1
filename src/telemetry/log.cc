#include "telemetry/log.h"

#include <fcntl.h>  // HOUSE(syscall): see unistd.h
#include <fmt/format.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <unistd.h>  // HOUSE(syscall): write(2) alone tells which lines a full disk has swallowed

#include <cerrno>
#include <filesystem>
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

std::atomic<std::uint64_t> unwritten{0};  // lines that could not be written
std::atomic<bool> is_failing{false};      // the last one could not

// A line is one write(2): what a full disk does not take is lost at once and counted, where a buffer would keep some of it,
// and tell of some of it.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(int descriptor) : descriptor_(descriptor) { is_failing = false; }
  ~DescriptorSink() override {
    if (descriptor_ != STDERR_FILENO) ::close(descriptor_);
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string line(is_cut_ ? "\n" : "");
    line.append(message.payload.data(), message.payload.size()).append("\n");
    std::string_view rest = line;
    while (!rest.empty()) {
      const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      is_cut_ = true;
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
    if (rest.empty()) is_cut_ = false;
    if (!rest.empty()) unwritten.fetch_add(1, std::memory_order_relaxed);
    is_failing.store(!rest.empty(), std::memory_order_relaxed);
  }
  void flush_() override {}

  const int descriptor_;
  bool is_cut_ = false;  // what is there ends within a line
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
std::atomic<std::uint64_t> overrun_total{0};  // pushed out of the queue, as of the last look
// Control thread. Never destroyed: a thread that hangs in write(2) may outlive main().
std::shared_ptr<Writer>& writer = *new std::shared_ptr<Writer>;
std::atomic<Writer*> current{nullptr};  // any thread; points to `writer` while it runs

base::Result<spdlog::sink_ptr> open_sink(const Options& options) {
  if (options.capture) return std::make_shared<CaptureSink>(options.capture);
  if (options.file.empty()) return std::make_shared<DescriptorSink>(STDERR_FILENO);
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(options.file).parent_path(), ignored);
  const int descriptor = ::open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return base::fail(base::errno_error(
        base::kIoError, fmt::format("could not open the log file \"{}\"", options.file), errno));
  }
  return std::make_shared<DescriptorSink>(descriptor);
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

// Lines that were lost are told of when others get through again, or at the end.
enum class If { kTheyAreWritten, kAnyway };
void tell_losses(std::chrono::system_clock::time_point now, If condition = If::kTheyAreWritten) {
  limiter.take_suppressed(second_of(now), [&](std::string_view event, std::uint64_t count) {
    put({now, Level::kWarning, "log.suppressed", {{"of", event}, {"count", count}}});
  });
  if (is_failing.load(std::memory_order_relaxed) && condition == If::kTheyAreWritten) return;
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
  writer->logger->set_error_handler([](const std::string&) { unwritten.fetch_add(1); });
  writer->watched = writer->queue;
  adopt(options);
  dropped_told = 0;
  overrun_total = 0;
  unwritten = 0;
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
  tell_losses(clock_now.load()() + std::chrono::seconds{1}, If::kAnyway);
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
  if (queue != nullptr) overrun_total = queue->overrun_counter();
  return overrun_total + unwritten;
}

}  // namespace penstock::telemetry::log
