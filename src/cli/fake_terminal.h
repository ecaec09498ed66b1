// A terminal for tests: remembers what was written, answers what it was told to.
#pragma once

#include <deque>
#include <string>

#include "cli/terminal.h"

namespace penstock::cli {

class FakeTerminal final : public Terminal {
 public:
  void out(std::string_view text) override { written += text; }
  void err(std::string_view text) override { complaints += text; }
  base::Status finish() override { return finished; }
  bool is_interactive() const override { return interactive; }
  base::Result<std::string> ask_secret(std::string_view prompt) override {
    complaints += prompt;
    return next();
  }
  base::Result<std::string> read_line() override { return next(); }

  std::string written;
  std::string complaints;
  base::Status finished;
  bool interactive = false;
  std::deque<std::string> answers;

 private:
  base::Result<std::string> next() {
    if (answers.empty()) return base::fail(base::kIoError, "the input has ended");
    std::string answer = answers.front();
    answers.pop_front();
    return answer;
  }
};

}  // namespace penstock::cli
