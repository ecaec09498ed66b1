#include "catalog/manual.h"

#include <fmt/format.h>

#include "catalog/tenant_fields.h"

namespace penstock::catalog {

namespace {

std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) result += c == '|' ? std::string("\\|") : std::string(1, c);
  return result;
}

template <class Spec>
std::string table(const FieldTable<Spec>& fields) {
  std::string text =
      "| field | option | meaning | allowed | when not set |\n| --- | --- | --- | --- | --- |\n";
  for (const Field<Spec>& field : fields) {
    if (field.standing == Standing::kReserved) continue;
    std::string options = "`" + option_name(field.name) + "`";
    if (!field.short_option.empty()) options = fmt::format("`{}`, {}", field.short_option, options);
    const std::string& operators = field.operators.words;
    const std::string meaning = field.meaning + (operators.empty() ? "" : " *" + operators + "*");
    text += fmt::format("| `{}` | {} | {} | {} | {} |\n", field.name, options, cell(meaning),
                        cell(field.allowed), cell(field.preset));
  }
  return text;
}

}  // namespace

std::string fields_for_manual() {
  return "\n## Fields of a tenant\n\n" + table(tenant_fields()) + "\n## Fields of a user\n\n" +
         table(user_fields()) + "\n";
}

std::string with_fields(const std::string& page) {
  const std::size_t begin = page.find(kFieldsBegin);
  const std::size_t end = page.find(kFieldsEnd);
  if (begin == std::string::npos || end == std::string::npos) return "the markers are missing";
  return page.substr(0, begin) + kFieldsBegin + fields_for_manual() + page.substr(end);
}

}  // namespace penstock::catalog
