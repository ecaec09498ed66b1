#include "cli/plan_words.h"

#include <fmt/format.h>

#include "catalog/tenant_fields.h"
#include "cli/columns.h"

namespace penstock::cli {

namespace {

namespace json = boost::json;

// The answer of a server may be anybody's: what is missing is empty.
std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::array& list_of(const json::object& object, const char* name) {
  static const json::array kNone;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

template <class Do>
void each_of(const json::object& object, const char* name, Do call) {
  for (const json::value& value : list_of(object, name)) {
    if (value.is_object()) call(value.get_object());
  }
}

template <class Spec>
std::string words_of_field(const catalog::FieldTable<Spec>& table, const json::object& change) {
  const std::string name = text_of(change, "field"), action = text_of(change, "action");
  const catalog::Field<Spec>* field = find_field(table, name);
  if (field != nullptr && field->kind == catalog::FieldKind::kSecret) {
    return fmt::format("{}: {}\n", name,
                       action == "add"      ? "set"
                       : action == "remove" ? "removed"
                                            : "changed");
  }
  const std::string before = text_of(change, "before"), after = text_of(change, "after");
  const auto unset = [&] {
    return field == nullptr ? "(not set)" : fmt::format("(not set: {})", field->preset);
  };
  return fmt::format("{}: {} -> {}\n", name, action == "add" ? unset() : before,
                     action == "remove" ? unset() : after);
}

// What is new has no before.
template <class Spec>
std::string words_of_fields(const catalog::FieldTable<Spec>& table, const json::object& change) {
  std::string text;
  const bool is_new = text_of(change, "action") == "add";
  each_of(change, "fields", [&](const json::object& field) {
    const bool has_value = field.contains("after");
    text += is_new && has_value ? fmt::format("{}: {}\n", text_of(field, "field"), text_of(field, "after"))
                                : words_of_field(table, field);
  });
  return text;
}

std::string sign_of(const json::object& change) {
  const std::string action = text_of(change, "action");
  return action == "add" ? "+" : action == "remove" ? "-" : "~";
}

std::string words_of_tenant(const json::object& change) {
  std::string text = fmt::format("{} tenant {}", sign_of(change), text_of(change, "tenant"));
  const std::size_t users = list_of(change, "users").size();
  if (text_of(change, "action") == "remove") {
    return users == 0 ? text + "\n" : fmt::format("{}, with {} user{}\n", text, users, users == 1 ? "" : "s");
  }
  text += "\n" + indented(words_of_fields(catalog::tenant_fields(), change), 4);
  each_of(change, "users", [&](const json::object& user) {
    text += fmt::format("    {} user {}\n", sign_of(user), text_of(user, "user"));
    text += indented(words_of_fields(catalog::user_fields(), user), 8);
  });
  return text;
}

}  // namespace

std::string words_of_plan(const json::object& plan) {
  std::string text;
  each_of(plan, "changes", [&](const json::object& change) { text += words_of_tenant(change); });
  std::string strays;
  each_of(plan, "strays", [&](const json::object& stray) {
    const std::string user = text_of(stray, "user"), tenant = text_of(stray, "tenant");
    strays += (strays.empty() ? "" : ", ") +
              (user.empty() ? "tenant " + tenant : fmt::format("user {} of tenant {}", user, tenant));
  });
  if (!strays.empty()) text += fmt::format("Not in the files, and left alone without --prune: {}.\n", strays);
  for (const json::value& warning : list_of(plan, "warnings")) {
    if (warning.is_string()) text += fmt::format("Warning: {}.\n", std::string(warning.get_string()));
  }
  return text;
}

std::string count_of_plan(const json::object& plan) {
  int added = 0, changed = 0, removed = 0;
  each_of(plan, "changes", [&](const json::object& change) {
    const std::string action = text_of(change, "action");
    ++(action == "add" ? added : action == "remove" ? removed : changed);
  });
  return fmt::format("{} to add, {} to change, {} to remove", added, changed, removed);
}

}  // namespace penstock::cli
