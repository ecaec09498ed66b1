// Any body for every parser of server messages; what is accepted can be built again.
#include "base/assert.h"
#include "pgwire/backend.h"

using namespace penstock;

namespace {

void expect_body(const base::ByteWriter& out, base::ByteView body) {
  PENSTOCK_ASSERT(base::as_text(out.view().subspan(pgwire::kHeaderBytes)) == base::as_text(body));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const base::ByteView body(bytes, count);
  base::ByteWriter out;
  if (const auto error = pgwire::parse_error(body)) {
    pgwire::error_response(out, error->error, error->severity);
    const auto again = pgwire::parse_error(out.view().subspan(pgwire::kHeaderBytes));
    PENSTOCK_ASSERT(again && again->error.message == error->error.message &&
                    again->severity == error->severity);
    out.clear();
  }
  if (const auto row = pgwire::parse_data_row(body)) {
    pgwire::data_row(out, *row);
    expect_body(out, body);
    out.clear();
  }
  if (const auto key = pgwire::parse_backend_key_data(body)) {
    pgwire::backend_key_data(out, key->process_id, key->key);
    expect_body(out, body);
    out.clear();
  }
  if (const auto status = pgwire::parse_parameter_status(body)) {
    pgwire::parameter_status(out, status->name, status->value);
    expect_body(out, body);
    out.clear();
  }
  if (const auto notification = pgwire::parse_notification(body)) {
    pgwire::notification_response(out, notification->process_id, notification->channel,
                                  notification->payload);
    expect_body(out, body);
  }
  (void)pgwire::parse_authentication(body);
  (void)pgwire::parse_negotiate_protocol_version(body);
  (void)pgwire::parse_command_complete(body);
  (void)pgwire::parse_ready_for_query(body);
  return 0;
}
