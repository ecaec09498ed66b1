#include "cli/terminal.h"

#include <pwd.h>      // HOUSE(syscall): who gives a command
#include <termios.h>  // HOUSE(syscall): a command talks to the terminal itself
#include <unistd.h>   // HOUSE(syscall): a command talks to the terminal itself

#include <cerrno>
#include <cstdio>

namespace penstock::cli {

namespace {

// Typed characters are not shown until this dies.
class EchoOff {
 public:
  explicit EchoOff(int descriptor) : descriptor_(descriptor) {
    changed_ = ::tcgetattr(descriptor_, &before_) == 0;
    if (!changed_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet.c_lflag |= ECHONL;
    ::tcsetattr(descriptor_, TCSAFLUSH, &quiet);
  }
  ~EchoOff() {
    if (changed_) ::tcsetattr(descriptor_, TCSAFLUSH, &before_);
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  int descriptor_;
  termios before_ = {};
  bool changed_ = false;
};

}  // namespace

std::string name_of_user() {
  const uid_t user = ::getuid();
  const passwd* entry = ::getpwuid(user);
  return entry != nullptr ? std::string(entry->pw_name) : "uid " + std::to_string(user);
}

void PosixTerminal::out(std::string_view text) {
  const bool is_taken = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!is_taken && failure_ == 0) failure_ = errno;
}
void PosixTerminal::flush() {
  if (std::fflush(stdout) != 0 && failure_ == 0) failure_ = errno;
}
base::Status PosixTerminal::finish() {
  flush();
  if (failure_ == 0) return {};
  return base::fail(base::errno_error(base::kIoError, "the standard output cannot be written", failure_));
}
void PosixTerminal::err(std::string_view text) {
  flush();
  std::fwrite(text.data(), 1, text.size(), stderr);
}

bool PosixTerminal::is_interactive() const {
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

base::Result<std::string> PosixTerminal::ask_secret(std::string_view prompt) {
  err(prompt);
  const EchoOff quiet(STDIN_FILENO);
  return read_line();
}

base::Result<std::string> PosixTerminal::read_line() {
  std::string line;
  while (line.size() <= kLineBytesMax) {
    char c = 0;
    const ssize_t count = ::read(STDIN_FILENO, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return base::fail(base::errno_error(base::kIoError, "the standard input cannot be read", errno));
    if (count == 0 && line.empty())
      return base::fail(base::kIoError, "the standard input ended before a line was there");
    if (count == 0 || c == '\n') {
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    line += c;
  }
  return base::fail(base::kIoError, "the line is too long");
}

}  // namespace penstock::cli
