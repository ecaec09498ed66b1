#include "catalog/rotation.h"

namespace penstock::catalog {

namespace {

using Secret = std::optional<std::string>;

// True: `previous` is the old secret now.
base::Result<bool> settle(const Secret& old, const Secret& fresh, const Secret& old_previous,
                          Secret& previous, bool keeps) {
  if (fresh == old || previous != old_previous) return false;
  previous.reset();
  if (!keeps || !fresh) return false;
  if (!old) return base::fail(base::kInvalidParameterValue, "there is no old secret that could be kept");
  previous = old;
  return true;
}

}  // namespace

base::Status settle_previous(const model::UserSpec& before, model::UserSpec& after, KeepPrevious keep,
                             model::WallTime now) {
  const auto client =
      settle(before.secret, after.secret, before.previous_secret, after.previous_secret, keep.has_value());
  if (!client) return base::fail(client.error());
  const auto server = settle(before.upstream_secret, after.upstream_secret, before.previous_upstream_secret,
                             after.previous_upstream_secret, keep.has_value());
  if (!server) return base::fail(server.error());
  if (*client) {
    after.previous_secret_until.reset();
    if (keep->count() > 0) after.previous_secret_until = now + *keep;
  } else if (!after.previous_secret) {
    after.previous_secret_until.reset();
  }
  return {};
}

}  // namespace penstock::catalog
