#include <algorithm>
#include <charconv>
#include <span>

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

// A switch of one letter, and the setting that it stands for.
struct Switch {
  char letter;
  std::string_view setting = {};  // empty: Postgres passes the switch over
  std::string_view value = {};    // empty: it stands behind the letter, or in the next word
};
constexpr std::string_view kIgnored = "-";
constexpr Switch kSwitches[] = {
    {'B', "shared_buffers"},
    {'C', "", ""},
    {'D', "", ""},
    {'E', "", kIgnored},
    {'F', "fsync", "off"},
    {'N', "max_connections"},
    {'O', "allow_system_table_mods", "on"},
    {'P', "ignore_system_indexes", "on"},
    {'S', "work_mem"},
    {'T', "", kIgnored},
    {'W', "post_auth_delay"},
    {'b', "", kIgnored},
    {'e', "datestyle", "euro"},
    {'h', "listen_addresses"},
    {'i', "listen_addresses", "*"},
    {'j', "", kIgnored},
    {'k', "unix_socket_directories"},
    {'l', "ssl", "on"},
    {'n', "", kIgnored},
    {'p', "port"},
    {'r', "", ""},
    {'s', "log_statement_stats", "on"},
    {'v', "", ""},
};

// What -f switches off, and what -t switches on.
constexpr std::pair<std::string_view, std::string_view> kPlans[] = {
    {"s", "enable_seqscan"},    {"i", "enable_indexscan"}, {"o", "enable_indexonlyscan"},
    {"b", "enable_bitmapscan"}, {"t", "enable_tidscan"},   {"n", "enable_nestloop"},
    {"m", "enable_mergejoin"},  {"h", "enable_hashjoin"},
};
constexpr std::pair<std::string_view, std::string_view> kStatistics[] = {
    {"pa", "log_parser_stats"}, {"pl", "log_planner_stats"}, {"e", "log_executor_stats"}};

std::string_view named_by(std::span<const std::pair<std::string_view, std::string_view>> names,
                          std::string_view text) {
  const auto found =
      std::ranges::find_if(names, [&](const auto& name) { return text.starts_with(name.first); });
  return found == names.end() ? std::string_view() : found->second;
}

// -d: as set_debug_options() has it.
void add_debug_settings(std::string_view argument, Parameters& settings) {
  int level = 0;
  std::from_chars(argument.data(), argument.data() + argument.size(), level);
  settings.emplace_back("log_min_messages",
                        level > 0 ? "debug" + std::to_string(std::min(level, 5)) : "notice");
  if (level >= 2) settings.emplace_back("log_statement", "all");
  if (level >= 3) settings.emplace_back("debug_print_parse", "on");
  if (level >= 4) settings.emplace_back("debug_print_plan", "on");
  if (level >= 5) settings.emplace_back("debug_print_rewritten", "on");
}

// The words of `options`, one after the other, as getopt takes them: letters without an argument may stand together.
class Reader {
 public:
  explicit Reader(std::vector<std::string> words) : words_(std::move(words)) {}

  Result<ClientOptions> read() {
    for (; at_ < words_.size(); ++at_) {
      const std::string word = words_[at_];
      base::Status added;
      if (word.starts_with("--") && word.size() > 2) {
        added = add_setting(std::string_view(word).substr(2), word, found_);
      } else if (word.starts_with("reference=")) {
        added = add_setting(word, word, found_);
      } else if (word.starts_with('-') && word.size() > 1) {
        added = add_letters(word);
      } else {
        added = unknown_form(word);
      }
      if (!added) return std::unexpected(std::move(added.error()));
    }
    return std::move(found_);
  }

 private:
  base::Status add_letters(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const char letter = word[i];
      const auto known = std::ranges::find(kSwitches, letter, &Switch::letter);
      const bool is_known = known != std::end(kSwitches);
      if (is_known && !known->value.empty()) {
        if (!known->setting.empty()) found_.settings.emplace_back(known->setting, known->value);
        continue;
      }
      if (!is_known && !std::string_view("cdft").contains(letter)) return unknown_form(word);
      const bool is_next = i + 1 == word.size();
      if (is_next && ++at_ == words_.size()) {
        return base::fail(kSyntaxError, std::string("-") + letter + " requires a value");
      }
      const std::string argument = is_next ? words_[at_] : word.substr(i + 1);
      if (!is_known) return add_special(letter, argument);
      if (!known->setting.empty()) found_.settings.emplace_back(known->setting, argument);
      return {};
    }
    return {};
  }

  base::Status add_special(char letter, const std::string& argument) {
    const std::string as_written = std::string("-") + letter + " " + argument;
    if (letter == 'c') return add_setting(argument, as_written, found_);
    if (letter == 'd') {
      add_debug_settings(argument, found_.settings);
      return {};
    }
    const std::string_view setting =
        letter == 'f' ? named_by(kPlans, argument) : named_by(kStatistics, argument);
    if (setting.empty()) return unknown_form(as_written);
    found_.settings.emplace_back(setting, letter == 'f' ? "off" : "on");
    return {};
  }

  const std::vector<std::string> words_;
  std::size_t at_ = 0;
  ClientOptions found_;
};

}  // namespace

Result<ClientOptions> parse_options(std::string_view text) {
  return Reader(split(text)).read();
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
