#include <algorithm>

#include "pgwire/startup.h"

namespace penstock::pgwire {

using base::Result;

namespace {

constexpr base::SqlState kSyntaxError{"42601"};
constexpr std::string_view kReference = "reference";

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  bool escaped = false;
  for (const char c : text) {
    if (!escaped && is_space(c)) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (!escaped && c == '\\') {
      escaped = true;
      continue;
    }
    words.back() += c;
    escaped = false;
  }
  return words;
}

std::unexpected<base::Error> unknown_form(const std::string& word) {
  return base::fail(kSyntaxError, "invalid command-line argument for server process: " + word, {},
                    "Use \"-c name=value\" or \"--name=value\" in the connection parameter \"options\".");
}

base::Status add_setting(std::string_view assignment, const std::string& as_written, ClientOptions& found) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) return base::fail(kSyntaxError, as_written + " requires a value");
  if (equals == 0) return unknown_form(as_written);
  std::string name(assignment.substr(0, equals));
  std::ranges::replace(name, '-', '_');
  std::string value(assignment.substr(equals + 1));
  if (name == kReference) {
    found.reference = std::move(value);
  } else {
    found.settings.emplace_back(std::move(name), std::move(value));
  }
  return {};
}

}  // namespace

Result<ClientOptions> parse_options(std::string_view text) {
  const std::vector<std::string> words = split(text);
  ClientOptions found;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    base::Status added;
    if (word == "-c") {
      if (i + 1 == words.size()) return base::fail(kSyntaxError, "-c requires a value");
      ++i;
      added = add_setting(words[i], "-c " + words[i], found);
    } else if (word.starts_with("-c")) {
      added = add_setting(std::string_view(word).substr(2), "-c " + word.substr(2), found);
    } else if (word.starts_with("--") && word.size() > 2) {
      added = add_setting(std::string_view(word).substr(2), word, found);
    } else if (word.starts_with("reference=")) {
      added = add_setting(word, word, found);
    } else {
      added = unknown_form(word);
    }
    if (!added) return std::unexpected(std::move(added.error()));
  }
  return found;
}

std::string format_options(const Parameters& settings) {
  std::string text;
  const auto append_escaped = [&text](std::string_view part) {
    for (const char c : part) {
      if (is_space(c) || c == '\\') text += '\\';
      text += c;
    }
  };
  for (const auto& [name, value] : settings) {
    if (!text.empty()) text += ' ';
    text += "-c ";
    append_escaped(name);
    text += '=';
    append_escaped(value);
  }
  return text;
}

}  // namespace penstock::pgwire
