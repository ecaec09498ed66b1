#include "config/table_row.h"

namespace penstock::config {

using S = Settings;

namespace {

Rows door_rows() {
  return {
      entry<&S::api_address>({.section = "api",
                              .key = "address",
                              .doc = "An IP address, or `*` for all. Whatever else than the loopback is "
                                     "listened on should have TLS.",
                              .reloadable = false}),
      entry<&S::api_port>({.section = "api",
                           .key = "port",
                           .doc = "The TCP port of the API, the metrics and the web page.",
                           .reloadable = false,
                           .max = 65535,
                           .zero = kOff}),
      entry<&S::api_tls_cert_file>({.section = "api",
                                    .key = "tls_cert_file",
                                    .doc = "The certificate with its chain, PEM; read again on reload.",
                                    .zero = "no TLS"}),
      entry<&S::api_tls_key_file>({.section = "api",
                                   .key = "tls_key_file",
                                   .doc = "The private key of the certificate, PEM.",
                                   .zero = "no TLS"}),
      entry<&S::api_tls_ca_file>({.section = "api",
                                  .key = "tls_ca_file",
                                  .doc = "The authorities that sign client certificates, PEM.",
                                  .zero = "client certificates are not asked for"}),
      entry<&S::api_require_client_certificate>(
          {.section = "api",
           .key = "require_client_certificate",
           .doc = "Whether clients without a certificate signed by tls_ca_file are refused. A certificate "
                  "comes on top of the token and does not replace it."}),
      entry<&S::api_max_connections>({.section = "api",
                                      .key = "max_connections",
                                      .doc = "Connections at the same time; then the longest idle one ends.",
                                      .reloadable = false,
                                      .min = 4,
                                      .max = 10'000,
                                      .unit = "connections"}),
      entry<&S::api_body_bytes_max>({.section = "api",
                                     .key = "body_bytes_max",
                                     .doc = "The largest body of a request.",
                                     .reloadable = false,
                                     .min = kKilobyte,
                                     .max = 64 * kKilobyte * kKilobyte}),
      entry<&S::api_requests_per_second>(
          {.section = "api",
           .key = "requests_per_second",
           .doc = "Requests from one address; further ones are answered 429. Bursts of ten seconds' worth "
                  "are let through.",
           .max = 1'000'000,
           .unit = "requests",
           .zero = kNoLimit}),
  };
}

Rows token_rows() {
  return {
      entry<&S::api_token_secret_file>(
          {.section = "api",
           .key = "token_secret_file",
           .doc = "The secrets that tokens may be signed with (HS256, HS384, HS512), one per line; the first "
                  "is the one that `penstock token` signs with. Each at least 32 characters long.",
           .zero = "no such tokens are accepted"}),
      entry<&S::api_token_public_key_file>(
          {.section = "api",
           .key = "token_public_key_file",
           .doc = "Public keys (RS256, ES256), PEM, any number of them in one file.",
           .zero = "no such tokens are accepted"}),
      entry<&S::api_metrics_token_secret_file>(
          {.section = "api",
           .key = "metrics_token_secret_file",
           .doc = "Secrets for tokens that are good for the metrics only, whatever else they claim.",
           .zero = "none"}),
      entry<&S::api_tokens_need_expiry>({.section = "api",
                                         .key = "tokens_need_expiry",
                                         .doc = "Whether a token without `exp` is refused."}),
      entry<&S::api_token_claims>(
          {.section = "api",
           .key = "token_claims",
           .doc = "Claims that every token must have, as name=value: `iss=https://id.example`."}),
      entry<&S::api_token_deny_file>(
          {.section = "api",
           .key = "token_deny_file",
           .doc = "Tokens that are no longer good, one per line: the token itself, or its `jti`.",
           .zero = "none"}),
      entry<&S::api_metrics_without_token>(
          {.section = "api",
           .key = "metrics_without_token",
           .doc = "Whether anybody who reaches the port may read the metrics."}),
      entry<&S::api_metrics_pools_max>(
          {.section = "api",
           .key = "metrics_pools_max",
           .doc = "Pools with counters of their own, at most half of them one tenant's; "
                  "those beyond share the labels `_other`.",
           .reloadable = false,
           .max = 1'000'000,
           .unit = "pools"}),
  };
}

}  // namespace

Rows api_rows() {
  Rows all = door_rows();
  for (auto& row : token_rows()) all.push_back(std::move(row));
  return all;
}

}  // namespace penstock::config
