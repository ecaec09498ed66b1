// Any text as a record: refused with a reason, or read so that writing it and reading that gives the same.
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "catalog/record.h"

namespace {

template <class Spec>
void read_write_read(std::string_view text) {
  using namespace penstock;
  Spec spec;
  const base::Status status = catalog::from_record(text, spec);
  if (!status) {
    PENSTOCK_ASSERT(!status.error().message.empty());
    return;
  }
  Spec again;
  PENSTOCK_ASSERT(catalog::from_record(catalog::record_of(spec), again).has_value());
  PENSTOCK_ASSERT(again == spec);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_write_read<penstock::model::TenantSpec>(text);
  read_write_read<penstock::model::UserSpec>(text);
  return 0;
}
