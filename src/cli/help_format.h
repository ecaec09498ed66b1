// How --help looks: CLI11's layout, with long texts broken into lines and nothing but the kind of value
// behind an option.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace penstock::cli {

class HelpFormat final : public CLI::Formatter {
 public:
  HelpFormat() { column_width(30); }
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

// Broken at blanks into lines of at most `width` characters, as far as its words allow.
std::string wrap(const std::string& text, std::size_t width);

}  // namespace penstock::cli
