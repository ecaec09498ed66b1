// Any body for every parser of client messages; prefixes of what is accepted never fail, and say the same
// once they are long enough.
#include "base/assert.h"
#include "pgwire/frontend.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const base::ByteView body(bytes, count);
  (void)pgwire::parse_query(body);
  (void)pgwire::parse_describe(body);
  (void)pgwire::parse_close(body);
  (void)pgwire::parse_execute(body);
  (void)pgwire::parse_password(body);
  (void)pgwire::parse_sasl_initial_response(body);
  (void)pgwire::parse_copy_fail(body);
  if (const auto message = pgwire::parse_parse(body, count); message && *message) {
    base::ByteWriter out;
    pgwire::parse_raw(out, (*message)->name, (*message)->query, (*message)->types);
    PENSTOCK_ASSERT(base::as_text(out.view().subspan(pgwire::kHeaderBytes)) == base::as_text(body));
    const auto prefix = pgwire::parse_parse_prefix(body, count);
    PENSTOCK_ASSERT(prefix && *prefix && (*prefix)->name == (*message)->name);
  }
  const auto whole = pgwire::parse_bind_prefix(body, count);
  for (std::size_t length = 0; length < count && length < 256; ++length) {
    const auto prefix = pgwire::parse_bind_prefix(body.first(length), count);
    PENSTOCK_ASSERT(prefix);  // more may come: nothing is wrong yet
    if (!*prefix) continue;
    PENSTOCK_ASSERT(whole && *whole && (*whole)->statement == (*prefix)->statement);
    PENSTOCK_ASSERT((*prefix)->rest_offset <= length && (*whole)->rest_offset == (*prefix)->rest_offset);
  }
  return 0;
}
