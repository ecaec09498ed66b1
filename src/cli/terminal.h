// Terminal is what a command reads from and writes to, so that tests can run commands without a process.
//
// Home: the main thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::cli {

class Terminal {
 public:
  virtual ~Terminal() = default;

  virtual void out(std::string_view text) = 0;
  virtual void err(std::string_view text) = 0;
  // Whether all that out() was given has been written, now that nothing follows.
  virtual base::Status finish() { return {}; }
  // Whether a person can be asked.
  virtual bool is_interactive() const = 0;
  // Asks without echo. Errors: kIoError when there is no terminal or the input ends.
  virtual base::Result<std::string> ask_secret(std::string_view prompt) = 0;
  // The first line of the standard input, without its end; at most kLineBytesMax.
  virtual base::Result<std::string> read_line() = 0;

  static constexpr std::size_t kLineBytesMax = 64 * 1024;
};

class PosixTerminal final : public Terminal {
 public:
  void out(std::string_view text) override;
  void err(std::string_view text) override;
  base::Status finish() override;
  bool is_interactive() const override;
  base::Result<std::string> ask_secret(std::string_view prompt) override;
  base::Result<std::string> read_line() override;

 private:
  void flush();
  int failure_ = 0;  // errno of the first write of the standard output that failed
};

// The user that the process runs as, by the system's word and not the environment's; "uid 1000" for one without a name.
std::string name_of_user();

}  // namespace penstock::cli
