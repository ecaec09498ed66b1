// Any text as a document: refused with a reason, or read so that writing it and reading that gives the same.
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "catalog/document.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const auto read = catalog::read_document({reinterpret_cast<const char*>(data), size});
  for (const catalog::Mistake& mistake : read.mistakes) PENSTOCK_ASSERT(!mistake.text.empty());
  if (!read.mistakes.empty()) return 0;
  std::vector<model::TenantSpec> tenants;
  for (const catalog::TenantEntry& entry : read.entries) tenants.push_back(catalog::merge(entry, nullptr));
  for (const auto format : {catalog::DocumentFormat::kYaml, catalog::DocumentFormat::kJson}) {
    const auto again =
        catalog::read_document(catalog::write_document(tenants, format, catalog::WithSecrets::kYes));
    PENSTOCK_ASSERT(again.mistakes.empty() && again.entries.size() == tenants.size());
    for (std::size_t i = 0; i < tenants.size(); ++i) PENSTOCK_ASSERT(again.entries[i].spec == tenants[i]);
  }
  return 0;
}
