#include "server/pid_file.h"

#include <fcntl.h>  // HOUSE(syscall): the process as a whole: pid file
#include <fmt/format.h>
#include <sys/file.h>  // HOUSE(syscall): the process as a whole: pid file
#include <sys/stat.h>  // HOUSE(syscall): the process as a whole: pid file
#include <unistd.h>    // HOUSE(syscall): the process as a whole: pid file

#include <array>
#include <cerrno>
#include <string_view>

namespace penstock::server {

namespace {

std::unexpected<base::Error> could_not(std::string_view what, const std::string& path) {
  return base::fail(base::errno_error(base::kIoError, fmt::format("could not {} \"{}\"", what, path), errno));
}

// As the process that holds the file has written it.
std::string first_word(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t count = pread(descriptor, text.data(), text.size(), 0);
  const std::string_view read(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  return std::string(read.substr(0, read.find_first_not_of("0123456789")));
}

}  // namespace

base::Result<PidFile> PidFile::take(std::string path) {
  for (;;) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) return could_not("write", path);
    PidFile file(path, descriptor);
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      file.path_.clear();  // not ours to remove
      if (reason != EWOULDBLOCK) return could_not("lock", path);
      const std::string holder = first_word(descriptor);
      return base::fail(base::kObjectNotInPrerequisiteState,
                        fmt::format("\"{}\" belongs to another server that runs", path),
                        holder.empty() ? "" : fmt::format("Its process is {}.", holder),
                        "Stop that one first, or give each its own server.pid_file.");
    }
    if (!file.is_in_place()) {  // whoever held it has just removed it
      file.path_.clear();
      continue;
    }
    if (auto written = file.write(); !written) return base::fail(std::move(written.error()));
    return file;
  }
}

PidFile::~PidFile() {
  if (descriptor_ < 0) return;
  if (!path_.empty() && is_in_place()) unlink(path_.c_str());
  close(descriptor_);
}

bool PidFile::is_in_place() const {
  struct stat own{}, named{};
  return fstat(descriptor_, &own) == 0 && stat(path_.c_str(), &named) == 0 && own.st_dev == named.st_dev &&
         own.st_ino == named.st_ino;
}

base::Status PidFile::write() const {
  const std::string text = fmt::format("{}\n", getpid());
  const bool done = ftruncate(descriptor_, 0) == 0 &&
                    pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  if (!done) return could_not("write", path_);
  return {};
}

}  // namespace penstock::server
