// TopView: what `penstock top` shows, and what keys do to it.
//
// Owner:  the command.
// Home:   the main thread (no system call: keys in, lines out).
// Bounds: a line is never wider, nor are there more of them, than the screen it is drawn for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/top_sample.h"

namespace penstock::cli {

class TopView {
 public:
  enum class Page : unsigned char { kPools, kTenants, kSlow };
  enum class Key : unsigned char { kText, kEnter, kEscape, kBackspace, kUp, kDown, kPageUp, kPageDown, kTab };
  enum class Answer : unsigned char { kNone, kQuit, kFaster, kSlower };

  // Names of columns, for --sort.
  static std::vector<std::string> columns();

  void show(TopSample sample);
  // The server did not answer; what was shown last stays.
  void complain(std::string trouble) { trouble_ = std::move(trouble); }
  void set_page(Page page) { page_ = page; }
  // False: there is no such column.
  bool sort_by(std::string_view column);
  void filter_by(std::string text) { filter_ = std::move(text); }
  void set_interval(double seconds) { interval_ = seconds; }

  Answer press(Key key, char letter = 0);
  bool is_paused() const { return is_paused_; }

  struct Size {
    std::size_t width = 80;
    std::size_t height = 24;
  };
  // With `colours`: ANSI for what needs attention.
  std::vector<std::string> draw(Size size, bool colours);

 private:
  Answer press_while_typing(Key key, char letter);
  void next_column(int step);
  std::vector<std::string> heading(std::size_t width, bool colours) const;
  void add_rows(std::vector<std::string>& lines, Size size, bool colours);
  void add_slow(std::vector<std::string>& lines, Size size, bool colours);
  std::vector<TopRow> wanted_rows() const;
  std::size_t scrolled(std::size_t rows, std::size_t room);

  std::optional<TopSample> before_, now_;
  std::string trouble_;
  Page page_ = Page::kPools;
  std::size_t column_ = 3;  // sorted by: queries per second
  bool is_reversed_ = false;
  bool is_paused_ = false;
  bool is_typing_ = false;  // the filter
  bool shows_help_ = false;
  std::string filter_;
  std::size_t first_row_ = 0;
  std::size_t page_rows_ = 10;
  double interval_ = 2;
};

}  // namespace penstock::cli
