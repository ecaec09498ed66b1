#include "tls/engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "tls/certificate.h"
#include "tls/handshake_secrets.h"
#include "tls/openssl_error.h"

namespace penstock::tls {

// OpenSSL's view of the outside: reads from the bytes at hand, writes to the output.
struct Engine::Bio {
  static int read(BIO* bio, char* out, std::size_t size, std::size_t* taken) {
    auto* engine = static_cast<Engine*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    base::ByteView* input = engine->input_;
    *taken = input == nullptr ? 0 : std::min(size, input->size());
    if (*taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(out, input->data(), *taken);
    *input = input->subspan(*taken);
    return 1;
  }

  static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* taken) {
    auto* engine = static_cast<Engine*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (engine->output_ != nullptr) {
      engine->output_->on_encrypted({reinterpret_cast<const std::uint8_t*>(bytes), size});
    }
    *taken = size;
    return 1;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "penstock engine");
      PENSTOCK_ASSERT(method != nullptr);
      BIO_meth_set_read_ex(method, read);
      BIO_meth_set_write_ex(method, write);
      BIO_meth_set_ctrl(method, control);
      return method;
    }();
    return made;
  }
};

void Engine::FreeSsl::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

Engine::Engine(SSL* ssl) : ssl_(ssl) {
  BIO* bio = BIO_new(Bio::method());
  PENSTOCK_ASSERT(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
}

Engine::~Engine() = default;

base::Result<std::unique_ptr<Engine>> Engine::accepting(const ServerContext& context) {
  ERR_clear_error();
  SSL* ssl = SSL_new(context.native());
  if (ssl == nullptr) {
    return base::fail(base::kOutOfMemory, "could not begin a TLS connection: " + take_openssl_reason());
  }
  SSL_set_accept_state(ssl);
  std::unique_ptr<Engine> engine(new Engine(ssl));
  if (context.compact()) engine->secrets_ = std::make_unique<HandshakeSecrets>(ssl);
  return engine;
}

base::Result<std::unique_ptr<Engine>> Engine::connecting(const ClientContext& context,
                                                         const std::string& host) {
  ERR_clear_error();
  SSL* ssl = SSL_new(context.native());
  if (ssl == nullptr) {
    return base::fail(base::kOutOfMemory, "could not begin a TLS connection: " + take_openssl_reason());
  }
  std::unique_ptr<Engine> engine(new Engine(ssl));
  engine->host_ = host;
  static constexpr unsigned char kOffer[] = "\x0apostgresql";
  bool prepared = SSL_set_alpn_protos(ssl, kOffer, sizeof(kOffer) - 1) == 0;
  const bool is_ip = is_ip_address(host);
  if (!host.empty() && !is_ip) prepared = prepared && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
  if (context.verifies_host()) {
    if (host.empty()) {
      return base::fail(base::kConfigFileError, "host name must be specified for a verified TLS connection");
    }
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    prepared = prepared && (is_ip ? X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str())
                                  : X509_VERIFY_PARAM_set1_host(rules, host.c_str(), host.size())) == 1;
  }
  if (!prepared) {
    return base::fail(base::kConfigFileError,
                      "host name \"" + host + "\" cannot be used with TLS: " + take_openssl_reason());
  }
  SSL_set_connect_state(ssl);
  return engine;
}

base::Result<Engine::Progress> Engine::handshake(base::ByteView& input) {
  ERR_clear_error();
  input_ = &input;
  const int status = SSL_do_handshake(ssl_.get());
  input_ = nullptr;
  if (status == 1) {
    host_ = std::string();
    if (secrets_ != nullptr) records_ = secrets_->record_layer();
    secrets_.reset();
    return Progress::kDone;
  }
  if (SSL_get_error(ssl_.get(), status) == SSL_ERROR_WANT_READ) return Progress::kNeedsMore;
  return base::fail(error());
}

base::Result<Engine::Read> Engine::read(base::ByteView& input, std::span<std::uint8_t> out) {
  if (records_ != nullptr) return records_->read(input, out, *output_);
  ERR_clear_error();
  input_ = &input;
  std::size_t size = 0;
  const int status = SSL_read_ex(ssl_.get(), out.data(), out.size(), &size);
  input_ = nullptr;
  if (status == 1) return Read{.kind = Read::Kind::kData, .size = size};
  switch (SSL_get_error(ssl_.get(), status)) {
    case SSL_ERROR_WANT_READ:
      return Read{.kind = Read::Kind::kNeedsMore};
    case SSL_ERROR_ZERO_RETURN:
      return Read{.kind = Read::Kind::kClosed};
    default:
      return base::fail(error());
  }
}

base::Status Engine::write(base::ByteView plain) {
  if (records_ != nullptr) {
    records_->write(plain, *output_);
    return {};
  }
  ERR_clear_error();
  std::size_t written = 0;
  const int status = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &written);
  if (status != 1) return base::fail(error());
  PENSTOCK_ASSERT(written == plain.size());  // the output takes everything
  return {};
}

void Engine::send_close_notify() {
  if (records_ != nullptr) return records_->send_close_notify(*output_);
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void Engine::forget_handshake() {
  if (records_ == nullptr) return;
  SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // it has not failed
  ssl_.reset();
}

base::Error Engine::error() const {
  const bool accepting = SSL_is_server(ssl_.get()) == 1;
  if (!SSL_is_init_finished(ssl_.get())) {
    if (accepting) {
      return {.sqlstate = base::kProtocolViolation,
              .message = "could not accept TLS connection: " + failure_reason()};
    }
    return {.sqlstate = base::kConnectionFailure, .message = "TLS handshake failed: " + failure_reason()};
  }
  return {.sqlstate = accepting ? base::kProtocolViolation : base::kConnectionFailure,
          .message = "TLS connection failed: " + failure_reason()};
}

std::string Engine::failure_reason() const {
  const long verdict = SSL_get_verify_result(ssl_.get());
  std::string reason = take_openssl_reason();
  const bool verified = SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE;
  if (verdict == X509_V_OK || !verified || SSL_is_init_finished(ssl_.get())) return reason;
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    return "server certificate does not match host name \"" + host_ + "\"";
  }
  return std::string("certificate verify failed (") + X509_verify_cert_error_string(verdict) + ")";
}

bool Engine::has_decrypted() const {
  return records_ != nullptr ? records_->has_record() : SSL_pending(ssl_.get()) > 0;
}

std::string Engine::negotiated() const {
  return std::string(SSL_get_version(ssl_.get())) + "/" + SSL_get_cipher_name(ssl_.get());
}

std::string Engine::server_name() const {
  const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string() : std::string(name);
}

bool Engine::alpn_is_postgresql() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return base::as_text({name, size}) == kAlpn;
}

bool Engine::resumed() const {
  return SSL_session_reused(ssl_.get()) == 1;
}

std::string Engine::channel_binding() const {
  const bool accepting = SSL_is_server(ssl_.get()) == 1;
  const X509* certificate =
      accepting ? SSL_get_certificate(ssl_.get()) : SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? std::string() : end_point_hash(*certificate);
}

std::optional<PeerCertificate> Engine::peer_certificate() const {
  if (SSL_get_verify_mode(ssl_.get()) == SSL_VERIFY_NONE) return std::nullopt;
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return std::nullopt;
  return describe(*certificate);
}

}  // namespace penstock::tls
