// The file layer: TOML by toml++, every value by the table.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>

#include "config/draft.h"
#include "config/listener_text.h"
#include "config/suggest.h"

namespace penstock::config {
namespace {

base::Result<Value> wrong_type(const Allowed& allowed, const toml::node& node) {
  constexpr std::string_view kNames[] = {"nothing",        "a section",      "a list",        "a text",
                                         "a whole number", "a fraction",     "true or false", "a date",
                                         "a time",         "a date and time"};
  const auto type = static_cast<std::size_t>(node.type());
  std::string hint;
  if (node.is_string() && allowed.kind != Kind::kList) hint = "Leave out the quotes.";
  if (node.is_number() && allowed.kind == Kind::kOctal) hint = "Write it in quotes: \"0777\".";
  if (node.is_string() && allowed.kind == Kind::kList) hint = "Write it in brackets: [\"a\", \"b\"].";
  return base::fail(base::kInvalidParameterValue,
                    fmt::format("found {}", type < std::size(kNames) ? kNames[type] : "something else"),
                    fmt::format("Allowed: {}.", describe(allowed)), hint);
}

base::Result<Value> read_number(const Allowed& allowed, std::int64_t number) {
  if (allowed.kind == Kind::kDuration && number != 0) {
    return base::fail(base::kInvalidParameterValue, fmt::format("{} has no unit", number),
                      fmt::format("Allowed: {}.", describe(allowed)),
                      fmt::format("Write \"{0}s\" for seconds or \"{0}ms\" for milliseconds.", number));
  }
  return check_value(allowed, number);
}

base::Result<Value> read_list(const Allowed& allowed, const toml::node& node) {
  std::vector<std::string> items;
  for (const toml::node& item : *node.as_array()) {
    if (!item.is_string()) return wrong_type(allowed, item);
    items.push_back(item.as_string()->get());
  }
  return check_value(allowed, std::move(items));
}

base::Result<Value> read_value(const Allowed& allowed, const toml::node& node) {
  const Kind kind = allowed.kind;
  const bool counts = kind == Kind::kInteger || kind == Kind::kDuration || kind == Kind::kBytes;
  if (kind == Kind::kBool && node.is_boolean()) return node.as_boolean()->get();
  if (kind == Kind::kList && node.is_array()) return read_list(allowed, node);
  if (counts && node.is_integer()) return read_number(allowed, node.as_integer()->get());
  if (node.is_string() && kind != Kind::kBool && kind != Kind::kInteger && kind != Kind::kList) {
    return parse_value(allowed, node.as_string()->get());
  }
  return wrong_type(allowed, node);
}

// Reads one document. toml++ iterates by name; mistakes are put back into the order of the file at the end.
class FileReader {
 public:
  FileReader(Draft& draft, std::string_view file_name) : draft_(draft), file_name_(file_name) {}

  void read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (key == "listener") {
        read_listeners(node);
      } else {
        read_section(key, node);
      }
    }
    std::ranges::sort(found_, {}, &Found::position);
    for (Found& found : found_) draft_.errors.push_back(std::move(found.error));
  }

 private:
  using Position = std::pair<std::uint32_t, std::uint32_t>;  // line, column
  struct Found {
    Position position;
    base::Error error;
  };

  static Position position_of(const toml::source_region& source) {
    return {source.begin.line, source.begin.column};
  }
  std::string where(Position at) const { return fmt::format("{}:{}:{}", file_name_, at.first, at.second); }

  // Runs `report` on the draft and takes the error it adds, with its place.
  template <class Report>
  void note(const toml::source_region& source, Report&& report) {
    const Position at = position_of(source);
    const std::size_t before = draft_.errors.size();
    report(where(at));
    if (draft_.errors.size() == before) return;
    found_.push_back({at, std::move(draft_.errors.back())});
    draft_.errors.pop_back();
  }

  void read_section(const toml::key& name, const toml::node& node) {
    const bool known = std::ranges::find(sections(), name.str(), &Section::name) != sections().end();
    if (!known) {
      note(name.source(),
           [&](std::string at) { fail_unknown_section(std::move(at), name.str(), node.is_table()); });
    } else if (!node.is_table()) {
      note(name.source(), [&](std::string at) {
        draft_.fail(std::move(at), fmt::format("{} is a section", name.str()), "",
                    fmt::format("Write [{}] on a line of its own, and its settings below.", name.str()));
      });
    } else {
      for (const auto& [key, value] : *node.as_table()) read_setting(name.str(), key, value);
    }
  }

  void fail_unknown_section(std::string at, std::string_view name, bool is_table) {
    if (!is_table) return draft_.fail_unknown(std::move(at), "", name);
    std::vector<std::string_view> names = {"listener"};
    for (const Section& section : sections()) names.push_back(section.name);
    const std::string_view like = nearest(name, names);
    draft_.fail_unknown(std::move(at), name, "");
    draft_.errors.back().hint = like.empty() ? "" : fmt::format("Did you mean [{}]?", like);
  }

  void read_setting(std::string_view section, const toml::key& key, const toml::node& node) {
    const auto* entry = find_setting(section, key.str());
    if (entry == nullptr) {
      note(key.source(), [&](std::string at) { draft_.fail_unknown(std::move(at), section, key.str()); });
    } else {
      note(node.source(),
           [&](const std::string& at) { draft_.set(*entry, read_value(entry->allowed, node), at); });
    }
  }

  void read_listeners(const toml::node& node) {
    const toml::array* all = node.as_array();
    if (all == nullptr || (!all->empty() && !all->is_homogeneous(toml::node_type::table))) {
      note(node.source(), [&](std::string at) {
        draft_.fail(std::move(at), "listener: found no list of sections",
                    "Each listener is a section of its own.",
                    "Write [[listener]], with two brackets, above each.");
      });
      return;
    }
    draft_.loaded.settings.listeners.clear();
    draft_.loaded.origins["listeners"] = where(position_of(node.source()));
    for (const toml::node& item : *all) {
      draft_.loaded.settings.listeners.emplace_back();
      for (const auto& [key, value] : *item.as_table()) read_listener_setting(key, value);
    }
  }

  void read_listener_setting(const toml::key& key, const toml::node& node) {
    const auto* entry = find_listener_setting(key.str());
    if (entry == nullptr) {
      note(key.source(), [&](std::string at) { fail_unknown_listener_key(std::move(at), key.str()); });
      return;
    }
    note(node.source(), [&](std::string at) {
      base::Result<Value> value = read_value(entry->allowed, node);
      if (value && key == "address") {
        const base::Status status = check_address(std::get<std::string>(*value));
        if (!status) value = base::fail(status.error());
      }
      if (!value) return draft_.fail(std::move(at), "listener." + entry->name(), std::move(value.error()));
      entry->set(draft_.loaded.settings.listeners.back(), *value);
    });
  }

  void fail_unknown_listener_key(std::string at, std::string_view key) {
    std::vector<std::string_view> keys;
    for (const auto& entry : listener_table()) keys.push_back(entry.key);
    const std::string_view like = nearest(key, keys);
    draft_.fail(std::move(at), fmt::format("a listener has no {}", show(key)),
                fmt::format("Allowed: {}.", fmt::join(keys, ", ")),
                like.empty() ? "" : fmt::format("Did you mean {}?", like));
  }

  Draft& draft_;
  std::string_view file_name_;
  std::vector<Found> found_;
};

}  // namespace

namespace {

// Whoever comes from PgBouncer tries its file first.
std::string hint_for(std::string_view file_name) {
  if (!file_name.ends_with(".ini")) return {};
  return "Files of PgBouncer are not read: the manual's page from-pgbouncer.md shows how to translate one.";
}

}  // namespace

void apply_file(Draft& draft, std::string_view text, std::string_view file_name) {
  std::optional<toml::table> root;
  try {
    root = toml::parse(text, file_name);
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    draft.fail(fmt::format("{}:{}:{}", file_name, at.line, at.column), "this is not TOML",
               fmt::format("{}.", error.description()), hint_for(file_name));
    return;
  }
  FileReader(draft, file_name).read(*root);
}

}  // namespace penstock::config
