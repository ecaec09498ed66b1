// Any text: no crash, no leak, and no string constant in the form of a query.
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "sql/query_form.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string query(reinterpret_cast<const char*>(data), size < 4096 ? size : 4096);
  const sql::QueryForm form = sql::form_of(query);
  PENSTOCK_ASSERT(form.fingerprint.empty() || form.fingerprint.size() == 16);
  // A constant that stands alone is the simplest value an application can send.
  const sql::QueryForm quoted = sql::form_of("SELECT 'canary" + std::to_string(size) + "'");
  PENSTOCK_ASSERT(quoted.text == "SELECT $1");
  return 0;
}
