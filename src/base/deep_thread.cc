#include "base/deep_thread.h"

#include <utility>

namespace penstock::base {

std::unique_ptr<DeepThread> DeepThread::start(std::size_t stack_bytes, const char* name,
                                              std::function<void()> run) {
  std::unique_ptr<DeepThread> thread(new DeepThread(std::move(run)));
  if (!thread->begin(stack_bytes, name)) return nullptr;
  return thread;
}

bool DeepThread::begin(std::size_t stack_bytes, const char* name) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  const auto call = [](void* self) -> void* {
    static_cast<DeepThread*>(self)->run_();
    return nullptr;
  };
  runs_ = pthread_attr_setstacksize(&attributes, stack_bytes) == 0 &&
          pthread_create(&thread_, &attributes, call, this) == 0;
  pthread_attr_destroy(&attributes);
  if (runs_) pthread_setname_np(thread_, name);
  return runs_;
}

DeepThread::~DeepThread() {
  if (runs_) pthread_join(thread_, nullptr);
}

}  // namespace penstock::base
