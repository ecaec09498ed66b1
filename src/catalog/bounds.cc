#include "catalog/bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "catalog/tenant_fields.h"

namespace penstock::catalog {

namespace {

using model::TenantSpec;
using model::UserSpec;
using Problems = std::vector<Problem>;

void check_entries(Problems& problems, FieldKind kind, const Values& values, const std::string& path) {
  const std::size_t most = kind == FieldKind::kMap ? kMapEntriesMax : kListEntriesMax;
  if (values.size() > most) {
    problems.push_back(
        {.path = path, .text = fmt::format("must have at most {} entries, not {}", most, values.size())});
  }
  const auto longest = std::ranges::max_element(values, {}, &std::string::size);
  if (longest != values.end() && longest->size() > kEntryBytesMax) {
    problems.push_back({.path = path,
                        .text = fmt::format("must have at most {} bytes in an entry, not {}", kEntryBytesMax,
                                            longest->size())});
  }
}

template <class Spec>
void check(Problems& problems, const FieldTable<Spec>& table, const Spec& spec, const std::string& path) {
  const std::size_t found_before = problems.size();
  std::size_t all_bytes = 0, largest_bytes = 0;
  std::string largest = path;
  for (const Field<Spec>& field : table) {
    const Values values = field.get(spec);
    if (field.takes_many()) check_entries(problems, field.kind, values, path + "." + field.name);
    std::size_t bytes = 0;
    for (const std::string& value : values) bytes += value.size();
    all_bytes += bytes;
    if (bytes <= largest_bytes) continue;
    largest_bytes = bytes;
    largest = path + "." + field.name;
  }
  // Said already, or surely short: as JSON a byte takes six at most.
  if (problems.size() > found_before || all_bytes < kStoredBytesMax / 8) return;
  const std::size_t stored = record_of(spec).size();
  if (stored <= kStoredBytesMax) return;
  problems.push_back({.path = std::move(largest),
                      .text = fmt::format("must be shorter: {} takes {} bytes, and at most {} may be stored",
                                          path, stored, kStoredBytesMax)});
}

}  // namespace

Problems beyond_bounds(const TenantSpec& tenant, const std::string& path) {
  Problems problems;
  check(problems, tenant_fields(), tenant, path);
  for (const UserSpec& user : tenant.users) {
    check(problems, user_fields(), user, path + ".users." + user.name);
  }
  return problems;
}

}  // namespace penstock::catalog
