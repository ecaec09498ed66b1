// PidFile names this process in a file while it runs, and keeps others from doing so.
//
// Without the lock, a second server would write over the first one's file, and remove it when it ends.
//
// Owner:      the Server, by value.
// Home:       the control thread.
// Invariants: the file is locked (flock) from before it is written until after it is removed, so one that a dead process
//             left behind is taken over, whoever has its process id now.
// Errors:     kIoError; kObjectNotInPrerequisiteState when another process holds the file.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace penstock::server {

class PidFile {
 public:
  static base::Result<PidFile> take(std::string path);

  PidFile() = default;  // none
  ~PidFile();
  PidFile(PidFile&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  PidFile& operator=(PidFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

 private:
  PidFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  // Whether it still stands under its name: others may have removed it, or put another one there.
  bool is_in_place() const;
  base::Status write() const;

  std::string path_;
  int descriptor_ = -1;  // -1: none
};

}  // namespace penstock::server
