#include "cli/files.h"

#include <fcntl.h>  // HOUSE(syscall): a command writes its file itself
#include <fmt/format.h>
#include <sys/stat.h>  // HOUSE(syscall): a command writes its file itself
#include <unistd.h>    // HOUSE(syscall): a command writes its file itself

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

namespace penstock::cli {

namespace {

base::Error failure(const std::string& path, std::string_view what) {
  return base::errno_error(base::kIoError, fmt::format("\"{}\" cannot be {}", path, what), errno);
}

// Opening a directory works; only reading it fails.
base::Result<std::ifstream> open(const std::string& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (stream) stream.peek();
  if (stream.bad() || !stream.is_open()) return base::fail(failure(path, "read"));
  stream.clear();
  return stream;
}

}  // namespace

base::Result<std::string> read_file(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  base::Result<std::ifstream> stream = open(path);
  if (!stream) return base::fail(stream.error());
  return std::string(std::istreambuf_iterator<char>(*stream), {});
}

base::Result<std::string> first_line_of(const std::string& path) {
  base::Result<std::ifstream> stream = open(path);
  if (!stream) return base::fail(stream.error());
  std::string line;
  std::getline(*stream, line);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

namespace {

base::Status write_to(int descriptor, const std::string& path, const std::string& text) {
  if (descriptor < 0) return base::fail(failure(path, "written"));
  FILE* file = ::fdopen(descriptor, "w");
  const bool done = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 &&
                    (::fsync(descriptor) == 0 || errno == EINVAL);  // a pipe has no disk
  base::Status status;
  if (!done) status = base::fail(failure(path, "written"));
  std::fclose(file);
  return status;
}

}  // namespace

// A new file in the place of the old one: what was readable for others would stay so, also for those who have it open.
base::Status write_file(const std::string& path, const std::string& text) {
  std::error_code ignored;
  const std::filesystem::path target = std::filesystem::weakly_canonical(path, ignored);  // a link stays one
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    return write_to(::open(path.c_str(), O_WRONLY | O_CLOEXEC), path, text);  // a pipe, a terminal
  }
  std::string draft = target.string() + ".XXXXXX";
  const int descriptor = ::mkostemp(draft.data(), O_CLOEXEC);  // with mode 0600
  if (descriptor < 0) return base::fail(failure(path, "written"));
  base::Status status = write_to(descriptor, path, text);
  if (status && ::rename(draft.c_str(), target.c_str()) != 0) status = base::fail(failure(path, "written"));
  if (!status) ::unlink(draft.c_str());
  return status;
}

}  // namespace penstock::cli
