// DeepThread: a thread with a stack of a size of one's own, for libraries that call themselves for each level of what
// they are given.
//
// Owner:      whoever needs it; its end waits for the thread's.
// Home:       SYNC
// Invariants: memory is taken only as deep as the stack is used, but then it is kept until the end.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace penstock::base {

class DeepThread {
 public:
  // Null when the system has no room for it.
  static std::unique_ptr<DeepThread> start(std::size_t stack_bytes, const char* name,
                                           std::function<void()> run);
  ~DeepThread();
  DeepThread(const DeepThread&) = delete;
  DeepThread& operator=(const DeepThread&) = delete;

 private:
  explicit DeepThread(std::function<void()> run) : run_(std::move(run)) {}
  bool begin(std::size_t stack_bytes, const char* name);

  std::function<void()> run_;
  pthread_t thread_{};
  bool runs_ = false;
};

}  // namespace penstock::base
