// What only shows when all values are known.
#include <fmt/format.h>

#include "config/draft.h"
#include "config/listener_text.h"
#include "config/words.h"
#include "model/network.h"

namespace penstock::config {
namespace {

using model::TlsMode;

// Where a setting got its value, for an error that involves it.
std::string origin(const Draft& draft, const std::string& name) {
  const auto found = draft.loaded.origins.find(name);
  return found == draft.loaded.origins.end() ? "default" : found->second;
}

void check_listeners(Draft& draft) {
  const auto& listeners = draft.loaded.settings.listeners;
  if (listeners.empty()) {
    draft.fail(origin(draft, "listeners"), "listeners: there is none", "At least one is needed.",
               "Leave the setting out to listen on 127.0.0.1:6432.");
  }
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const bool same =
          listeners[i].address == listeners[j].address && listeners[i].port == listeners[j].port;
      if (!same) continue;
      draft.fail(origin(draft, "listeners"), fmt::format("listeners: {} port {} is named twice",
                                                         listeners[i].address, listeners[i].port));
    }
  }
}

void check_tls(Draft& draft) {
  const Settings& s = draft.loaded.settings;
  const bool has_certificate = !s.client_tls_cert_file.empty();
  if (has_certificate != !s.client_tls_key_file.empty()) {
    const std::string given = has_certificate ? "client_tls.cert_file" : "client_tls.key_file";
    draft.fail(origin(draft, given),
               fmt::format("{} is set, but {} is not", given,
                           has_certificate ? "client_tls.key_file" : "client_tls.cert_file"),
               "A certificate and its key come together.");
  }
  const std::string mode(model::word_of(s.client_tls_mode));
  if (s.client_tls_mode >= TlsMode::kRequire && !has_certificate) {
    draft.fail(origin(draft, "client_tls.mode"), fmt::format("client_tls.mode: {} needs a certificate", mode),
               "", "Set client_tls.cert_file and client_tls.key_file.");
  }
  if (s.client_tls_mode >= TlsMode::kVerifyCa && s.client_tls_ca_file.empty()) {
    draft.fail(origin(draft, "client_tls.mode"),
               fmt::format("client_tls.mode: {} needs authorities to verify clients with", mode), "",
               "Set client_tls.ca_file.");
  }
}

void check_api(Draft& draft) {
  const Settings& s = draft.loaded.settings;
  const bool has_certificate = !s.api_tls_cert_file.empty();
  if (has_certificate != !s.api_tls_key_file.empty()) {
    const std::string given = has_certificate ? "api.tls_cert_file" : "api.tls_key_file";
    draft.fail(origin(draft, given),
               fmt::format("{} is set, but {} is not", given,
                           has_certificate ? "api.tls_key_file" : "api.tls_cert_file"),
               "A certificate and its key come together.");
  }
  if (s.api_require_client_certificate && s.api_tls_ca_file.empty()) {
    draft.fail(origin(draft, "api.require_client_certificate"),
               "api.require_client_certificate needs authorities to verify clients with", "",
               "Set api.tls_ca_file.");
  }
  if (!s.api_tls_ca_file.empty() && !has_certificate) {
    draft.fail(origin(draft, "api.tls_ca_file"), "api.tls_ca_file is set, but there is no TLS", "",
               "Set api.tls_cert_file and api.tls_key_file.");
  }
  for (const std::string& claim : s.api_token_claims) {
    if (claim.find('=') != std::string::npos && !claim.starts_with('=')) continue;
    draft.fail(origin(draft, "api.token_claims"),
               fmt::format("api.token_claims: {} is not name=value", show(claim)));
  }
}

void check_networks(Draft& draft) {
  for (const std::string& network : draft.loaded.settings.ban_exempt) {
    if (model::parse_network(network)) continue;
    draft.fail(origin(draft, "auth.ban_exempt"),
               fmt::format("auth.ban_exempt: {} is no network", show(network)),
               "A network is an IP address, or such as 192.0.2.0/24 or 2001:db8::/32.");
  }
}

template <class T>
void check_order(Draft& draft, const std::string& small_name, const T& small, const std::string& large_name,
                 const T& large) {
  if (small <= large) return;
  const bool blame_large = !draft.loaded.origins.contains(small_name);
  draft.fail(origin(draft, blame_large ? large_name : small_name),
             fmt::format("{} is larger than {}", small_name, large_name));
}

}  // namespace

void check_together(Draft& draft) {
  const Settings& s = draft.loaded.settings;
  check_listeners(draft);
  check_tls(draft);
  check_api(draft);
  check_networks(draft);
  check_order(draft, "pool.min_size", s.min_pool_size, "pool.size", s.pool_size);
  check_order(draft, "timeouts.upstream_login_retry", s.upstream_login_retry,
              "timeouts.upstream_login_retry_max", s.upstream_login_retry_max);
}

}  // namespace penstock::config
