#include "cli/help_format.h"

#include <sstream>

namespace penstock::cli {

namespace {

constexpr std::size_t kDescriptionWidth = 70;

}  // namespace

std::string wrap(const std::string& text, std::size_t width) {
  std::istringstream words(text);
  std::string result;
  std::string word;
  std::size_t line = 0;
  while (words >> word) {
    if (line > 0 && line + 1 + word.size() > width) {
      result += '\n';
      line = 0;
    } else if (line > 0) {
      result += ' ';
      ++line;
    }
    result += word;
    line += word.size();
  }
  return result;
}

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  if (option->get_positional() || option->get_type_size() == 0) return {};
  return option->get_type_name().empty() ? std::string() : " " + option->get_type_name();
}

std::string HelpFormat::make_option_desc(const CLI::Option* option) const {
  return wrap(option->get_description(), kDescriptionWidth);
}

}  // namespace penstock::cli
