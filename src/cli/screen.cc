#include "cli/screen.h"

#include <poll.h>       // HOUSE(syscall): a command talks to the terminal itself
#include <signal.h>     // HOUSE(syscall): a command talks to the terminal itself
#include <sys/ioctl.h>  // HOUSE(syscall): a command talks to the terminal itself
#include <termios.h>    // HOUSE(syscall): a command talks to the terminal itself
#include <unistd.h>     // HOUSE(syscall): a command talks to the terminal itself

#include <array>
#include <cerrno>
#include <string_view>

namespace penstock::cli {

namespace {

// Another screen, no cursor; and back.
constexpr std::string_view kEnter = "\033[?1049h\033[?25l\033[2J";
constexpr std::string_view kLeave = "\033[?25h\033[?1049l";
constexpr std::string_view kHome = "\033[H", kEndOfLine = "\033[K", kBelow = "\033[J";

constexpr std::array<int, 5> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};

volatile sig_atomic_t ended = 0;
volatile sig_atomic_t resized = 0;

extern "C" void on_screen_signal(int number) {
  if (number == SIGWINCH) {
    resized = 1;
  } else {
    ended = 1;
  }
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

struct Screen::Before {
  termios modes = {};
  std::array<struct sigaction, kSignals.size()> actions = {};
};

Screen::Screen(std::unique_ptr<Before> before) : before_(std::move(before)) {
  ended = 0;
  resized = 0;
  struct sigaction action = {};
  action.sa_handler = on_screen_signal;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before_->actions[i]);
  termios raw = before_->modes;
  raw.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);  // Ctrl-C stays a signal
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  write_all(kEnter);
}

base::Result<std::unique_ptr<Screen>> Screen::open() {
  auto before = std::make_unique<Before>();
  if (::isatty(STDOUT_FILENO) != 1 || ::tcgetattr(STDIN_FILENO, &before->modes) != 0) {
    return base::fail(base::kIoError, "there is no terminal to draw on", {},
                      "--once prints everything once.");
  }
  return std::unique_ptr<Screen>(new Screen(std::move(before)));
}

Screen::~Screen() {
  write_all(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_->modes);
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_->actions[i], nullptr);
}

Screen::Size Screen::size() {
  winsize window = {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return {};
  return {.width = window.ws_col, .height = window.ws_row};
}

void Screen::draw(const std::vector<std::string>& lines) {
  std::string all(kHome);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) all += "\r\n";
    // Before the text, not behind it: there a terminal would clear the last column.
    all += kEndOfLine;
    all += lines[i];
  }
  if (lines.size() < size().height) {
    all += "\r\n";
    all += kBelow;
  }
  write_all(all);
}

Screen::Event Screen::wait(std::chrono::milliseconds timeout, std::string& keys) {
  keys.clear();
  if (ended != 0) return Event::kEnded;
  if (resized != 0) {
    resized = 0;
    return Event::kResized;
  }
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&input, 1, static_cast<int>(timeout.count()));
  if (ended != 0) return Event::kEnded;
  if (resized != 0) {
    resized = 0;
    return Event::kResized;
  }
  if (ready <= 0) return Event::kNone;
  std::array<char, 256> buffer{};
  const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (count < 0 && errno == EINTR) return Event::kNone;
  if (count <= 0) return Event::kEnded;
  keys.assign(buffer.data(), static_cast<std::size_t>(count));
  return Event::kKeys;
}

}  // namespace penstock::cli
