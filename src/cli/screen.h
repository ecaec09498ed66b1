// Screen: the terminal as a whole, for a program that draws on it: raw keys, a screen of its own, and all as before when
// it is over, however it ends.
//
// Owner:      a command; at most one.
// Home:       the main thread.
// Invariants: after its end, or a signal that ends the program, the terminal has its old modes, contents and cursor.
// Errors:     kIoError when standard input or output is no terminal.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::cli {

class Screen {
 public:
  static base::Result<std::unique_ptr<Screen>> open();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  struct Size {
    std::size_t width = 80;
    std::size_t height = 24;
    friend bool operator==(const Size&, const Size&) = default;
  };
  static Size size();
  void draw(const std::vector<std::string>& lines);

  enum class Event : unsigned char { kNone, kKeys, kResized, kEnded };
  // Waits for the next one; kEnded: the terminal is gone, or a signal asks to end. `keys` gets what was typed.
  Event wait(std::chrono::milliseconds timeout, std::string& keys);

 private:
  struct Before;
  explicit Screen(std::unique_ptr<Before> before);
  std::unique_ptr<Before> before_;
};

}  // namespace penstock::cli
