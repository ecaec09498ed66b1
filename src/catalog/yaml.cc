#include "catalog/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>

namespace penstock::catalog {

namespace json = boost::json;

namespace {

// Thrown only between here and parse_yaml().
struct Refused {
  std::string reason;
};

bool is_null(const YAML::Node& node) {
  if (node.IsNull()) return true;
  const std::string& text = node.Scalar();
  return node.Tag() == "?" &&
         (text == "null" || text == "~" || text == "Null" || text == "NULL" || text.empty());
}

json::value convert(const YAML::Node& node, int depth, std::size_t& nodes) {
  if (depth > kYamlDepthMax) throw Refused{"the document is nested too deeply"};
  if (++nodes > kYamlNodesMax) throw Refused{"the document is too large"};
  if (node.IsSequence()) {
    json::array list;
    for (const YAML::Node& part : node) list.push_back(convert(part, depth + 1, nodes));
    return list;
  }
  if (node.IsMap()) {
    json::object object;
    for (const auto& part : node) {
      if (!part.first.IsScalar()) throw Refused{"a name must be a text"};
      const std::string& name = part.first.Scalar();
      if (object.contains(name)) {
        throw Refused{fmt::format("line {}: \"{}\" is there twice", part.first.Mark().line + 1, name)};
      }
      object[name] = convert(part.second, depth + 1, nodes);
    }
    return object;
  }
  if (is_null(node)) return nullptr;
  return json::string(node.Scalar());
}

int line_of(YAML::Node node, const std::vector<std::string>& place) {
  int line = node.Mark().line + 1;
  for (const std::string& part : place) {
    YAML::Node next;
    if (node.IsMap()) {
      for (const auto& entry : node) {
        if (!entry.first.IsScalar() || entry.first.Scalar() != part) continue;
        line = entry.first.Mark().line + 1;
        next.reset(entry.second);
      }
    } else if (node.IsSequence()) {
      const std::size_t index = std::strtoull(part.c_str(), nullptr, 10);
      if (index < node.size()) {
        next.reset(node[index]);
        line = next.Mark().line + 1;
      }
    }
    if (!next.IsDefined() || next.IsNull()) return line;
    node.reset(next);
  }
  return line;
}

// Whether a text stands for itself without quotation marks, for every reader of YAML.
bool is_simple(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto fits = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/';
  };
  if (text.empty() || text.size() > 200 || !is_letter(text.front()) || !std::ranges::all_of(text, fits))
    return false;
  constexpr std::string_view kWords[] = {"true", "false", "yes", "no",  "on", "off",
                                         "null", "y",     "n",   "nan", "inf"};
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return std::ranges::find(kWords, lower) == std::end(kWords);
}

void emit(YAML::Emitter& out, const json::value& value) {
  if (const json::object* object = value.if_object()) {
    if (object->empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& part : *object) {
      const std::string name(part.key());
      out << YAML::Key;
      if (!is_simple(name)) out << YAML::DoubleQuoted;
      out << name << YAML::Value;
      emit(out, part.value());
    }
    out << YAML::EndMap;
  } else if (const json::array* list = value.if_array()) {
    if (list->empty()) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const json::value& part : *list) emit(out, part);
    out << YAML::EndSeq;
  } else if (const json::string* text = value.if_string()) {
    const std::string plain(*text);
    if (!is_simple(plain)) out << YAML::DoubleQuoted;
    out << plain;
  } else {
    out << json::serialize(value);
  }
}

}  // namespace

base::Result<json::value> parse_yaml(std::string_view text) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() > 1) throw Refused{"there is more than one document"};
    std::size_t nodes = 0;
    return documents.empty() ? json::value(nullptr) : convert(documents.front(), 0, nodes);
  } catch (const Refused& refused) {
    return base::fail(base::kInvalidParameterValue, refused.reason);
  } catch (const YAML::Exception& error) {
    return base::fail(base::kInvalidParameterValue, fmt::format("line {}, column {}: {}", error.mark.line + 1,
                                                                error.mark.column + 1, error.msg));
  }
}

std::vector<int> lines_of(std::string_view text, const std::vector<std::vector<std::string>>& places) {
  std::vector<int> lines(places.size());
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    for (std::size_t i = 0; i < places.size(); ++i) lines[i] = line_of(root, places[i]);
  } catch (const YAML::Exception&) {
    return lines;
  }
  return lines;
}

std::string to_yaml(const json::value& value) {
  YAML::Emitter out;
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

}  // namespace penstock::catalog
