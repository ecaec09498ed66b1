#include "tls/context.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <sstream>
#include <string_view>

#include "tls/handshake_secrets.h"
#include "tls/openssl_error.h"

namespace penstock::tls {

namespace {

using base::fail;
using base::kConfigFileError;
using model::TlsMode;

std::unexpected<base::Error> file_error(std::string_view what, const std::string& file) {
  return fail(kConfigFileError,
              "could not load " + std::string(what) + " file \"" + file + "\": " + take_openssl_reason());
}

base::Result<SslCtxPtr> make_context(const SSL_METHOD* method) {
  ERR_clear_error();
  SslCtxPtr context(SSL_CTX_new(method));
  if (context == nullptr) {
    return fail(base::kInternalError, "could not create TLS context: " + take_openssl_reason());
  }
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Never ask for a passphrase on the terminal.
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return -1; });
  return context;
}

base::Status set_min_protocol(SSL_CTX* context, std::string_view version) {
  if (version.starts_with("TLSv")) version.remove_prefix(4);
  if (version == "1.2") {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  } else if (version == "1.3") {
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  } else {
    return fail(kConfigFileError, "invalid TLS protocol version \"" + std::string(version) + "\"", {},
                "Use 1.2 or 1.3.");
  }
  return {};
}

// TLS 1.3 as OpenSSL has it, but for the order: CPUs have instructions for SHA-256 and none for SHA-384, of which a handshake makes
// more than a hundred blocks, and AES-128 takes two thirds of the time of AES-256.
constexpr const char* kQuickestFirst =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

// One list for both kinds, as users write it; OpenSSL wants the TLS 1.3 ones apart.
base::Status set_ciphers(SSL_CTX* context, const std::string& ciphers) {
  std::string suites;  // TLS 1.3
  std::string older;   // TLS 1.2
  std::istringstream words(ciphers);
  for (std::string word; std::getline(words, word, ':');) {
    std::string& list = word.starts_with("TLS_") ? suites : older;
    list += (list.empty() ? "" : ":") + word;
  }
  const bool good = (suites.empty() || SSL_CTX_set_ciphersuites(context, suites.c_str()) == 1) &&
                    (older.empty() || SSL_CTX_set_cipher_list(context, older.c_str()) == 1);
  if (good) return {};
  return fail(kConfigFileError, "could not set the TLS ciphers \"" + ciphers + "\": " + take_openssl_reason(),
              {}, "Names are those of \"openssl ciphers\", separated by colons.");
}

base::Status load_certificate(SSL_CTX* context, const std::string& cert_file, const std::string& key_file) {
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return file_error("certificate", cert_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return file_error("private key", key_file);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return fail(kConfigFileError, "private key file \"" + key_file +
                                      "\" does not belong to certificate file \"" + cert_file +
                                      "\": " + take_openssl_reason());
  }
  return {};
}

int choose_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
                unsigned offered_size, void* ours) {
  const auto* name = static_cast<const unsigned char*>(ours);  // its length in front
  unsigned char* found = nullptr;
  const int status = SSL_select_next_proto(&found, chosen_size, name, 1U + name[0], offered, offered_size);
  *chosen = found;
  // Another protocol on our port: somebody was sent here by a trick (ALPACA); Postgres refuses too.
  return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

constexpr unsigned char kPostgresAlpn[] = "\x0apostgresql";
constexpr unsigned char kHttpAlpn[] = "\x08http/1.1";

// OpenSSL works out a certificate's extensions at its first use and keeps them. Here nobody shares the
// context yet; later, workers would do it at the same time.
void complete_authorities(SSL_CTX* context) {
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    X509* certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    if (certificate != nullptr) X509_check_purpose(certificate, -1, 0);
  }
}

base::Status set_client_authorities(SSL_CTX* context, const ServerOptions& options) {
  const bool required = options.mode >= TlsMode::kVerifyCa;
  if (options.ca_file.empty()) {
    if (!required) return {};
    return fail(kConfigFileError, "client certificates cannot be verified without a file of authorities", {},
                "Set client_tls_ca_file, or a client_tls_mode below verify-ca.");
  }
  if (SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) != 1) {
    return file_error("root certificate", options.ca_file);
  }
  complete_authorities(context);
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.ca_file.c_str());
  if (names == nullptr) return file_error("root certificate", options.ca_file);
  SSL_CTX_set_client_CA_list(context, names);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  return {};
}

// Tickets carry the client's verified certificate: one issued under other authorities must not be honoured. Nor one
// issued with another certificate of ours: the client would bind its SCRAM log-in to that.
void bind_tickets_to_rules(SSL_CTX* context, const ServerOptions& options, const TicketKeys& ticket_keys) {
  auto keys = ticket_keys.bytes();
  SSL_CTX_set_tlsext_ticket_keys(context, keys.data(), keys.size());
  OPENSSL_cleanse(keys.data(), keys.size());
  unsigned char ours[SHA256_DIGEST_LENGTH];
  unsigned ours_size = 0;
  X509_digest(SSL_CTX_get0_certificate(context), EVP_sha256(), ours, &ours_size);
  std::ostringstream rules;
  rules << static_cast<int>(options.mode) << '\n';
  rules.write(reinterpret_cast<const char*>(ours), ours_size);
  // Last: when there is nothing in the file, the stream takes no more.
  rules << std::ifstream(options.ca_file, std::ios::binary).rdbuf();
  const std::string text = rules.str();
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  SSL_CTX_set_session_id_context(context, digest, sizeof(digest));
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
}

base::Status configure_server(SSL_CTX* context, const ServerOptions& options, const TicketKeys& ticket_keys) {
  if (auto done = set_min_protocol(context, options.min_protocol); !done) return done;
  SSL_CTX_set_ciphersuites(context, kQuickestFirst);
  if (auto done = set_ciphers(context, options.ciphers); !done) return done;
  if (auto done = load_certificate(context, options.cert_file, options.key_file); !done) return done;
  if (auto done = set_client_authorities(context, options); !done) return done;
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_dh_auto(context, 1);
  const unsigned char* alpn = options.inside == Inside::kHttp ? kHttpAlpn : kPostgresAlpn;
  SSL_CTX_set_alpn_select_cb(context, choose_alpn, const_cast<unsigned char*>(alpn));
  // Accepts any name; which tenant it leads to is decided after the handshake.
  SSL_CTX_set_tlsext_servername_callback(
      context, +[](SSL*, int*, void*) -> int { return SSL_TLSEXT_ERR_OK; });
  bind_tickets_to_rules(context, options, ticket_keys);
  if (options.compact) HandshakeSecrets::allow(context);
  return {};
}

// All certificates of a PEM text, as SSL_CTX_load_verify_locations() takes them from a file.
bool add_authorities(SSL_CTX* context, const std::string& pem) {
  const std::unique_ptr<BIO, int (*)(BIO*)> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                 BIO_free);
  int count = 0;
  while (X509* certificate = PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)) {
    count += X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
    X509_free(certificate);
  }
  ERR_clear_error();  // the last one says that there are no more
  return count > 0;
}

base::Status set_server_authorities(SSL_CTX* context, const std::string& ca_file, const std::string& ca_pem) {
  if (!ca_pem.empty()) {
    if (!add_authorities(context, ca_pem)) {
      return fail(base::kConfigFileError, "no certificate could be read from upstream_tls_ca");
    }
    complete_authorities(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    return {};
  }
  const bool system = ca_file.empty() || ca_file == "system";
  const int loaded = system ? SSL_CTX_set_default_verify_paths(context)
                            : SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr);
  if (loaded != 1) return file_error("root certificate", system ? "system" : ca_file);
  complete_authorities(context);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return {};
}

base::Status configure_client(SSL_CTX* context, const ClientOptions& options) {
  if (auto done = set_min_protocol(context, options.min_protocol); !done) return done;
  if (auto done = set_ciphers(context, options.ciphers); !done) return done;
  if (!options.cert_file.empty()) {
    if (auto done = load_certificate(context, options.cert_file, options.key_file); !done) return done;
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // Postgres gives no tickets
  const bool verifies =
      options.mode >= TlsMode::kVerifyCa ||
      (options.mode == TlsMode::kRequire && !(options.ca_file.empty() && options.ca_pem.empty()));
  if (verifies) return set_server_authorities(context, options.ca_file, options.ca_pem);
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  return {};
}

}  // namespace

void FreeSslCtx::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

base::Result<std::shared_ptr<const ServerContext>> ServerContext::build(const ServerOptions& options,
                                                                        const TicketKeys& ticket_keys) {
  auto context = make_context(TLS_server_method());
  if (!context) return fail(context.error());
  if (auto done = configure_server(context->get(), options, ticket_keys); !done) return fail(done.error());
  return std::shared_ptr<const ServerContext>(new ServerContext(std::move(*context), options.compact));
}

base::Result<std::shared_ptr<const ClientContext>> ClientContext::build(const ClientOptions& options) {
  auto context = make_context(TLS_client_method());
  if (!context) return fail(context.error());
  if (auto done = configure_client(context->get(), options); !done) return fail(done.error());
  const bool verifies_host = options.mode == TlsMode::kVerifyFull;
  return std::shared_ptr<const ClientContext>(new ClientContext(std::move(*context), verifies_host));
}

}  // namespace penstock::tls
