// Certificates for tests, made on the spot: an authority, and what it signs, as PEM files in a directory of
// their own.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/assert.h"

namespace penstock::tls::testing {

class Certificates {
 public:
  struct Pair {
    std::string cert_file;
    std::string key_file;
  };

  Certificates() {
    char pattern[] = "/tmp/penstock-certificates-XXXXXX";
    directory_ = mkdtemp(pattern);
    authority_key_ = EVP_EC_gen("P-256");
    authority_ = make("Authority of " + directory_, "", authority_key_, nullptr);
    store(authority_, "ca.crt");
  }
  ~Certificates() {
    X509_free(authority_);
    EVP_PKEY_free(authority_key_);
    std::filesystem::remove_all(directory_);
  }

  std::string ca_file() const { return directory_ + "/ca.crt"; }
  std::string directory() const { return directory_; }
  X509* authority() const { return authority_; }

  // `names`: subject alternative names in OpenSSL's words ("DNS:localhost,IP:127.0.0.1"), may be empty.
  Pair issue(const std::string& common_name, const std::string& names, EVP_PKEY* key = EVP_EC_gen("P-256")) {
    X509* certificate = make(common_name, names, key, authority_);
    const std::string stem = "issued" + std::to_string(++count_);
    store(certificate, stem + ".crt");
    FILE* file = fopen((directory_ + "/" + stem + ".key").c_str(), "w");
    PENSTOCK_ASSERT(file != nullptr &&
                    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return {directory_ + "/" + stem + ".crt", directory_ + "/" + stem + ".key"};
  }

 private:
  X509* make(const std::string& common_name, const std::string& names, EVP_PKEY* key, X509* issuer) {
    X509* certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++count_);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("Test"),
                               -1, -1, 0);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer == nullptr ? certificate : issuer));
    if (issuer == nullptr) extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (!names.empty()) extend(certificate, NID_subject_alt_name, names);
    PENSTOCK_ASSERT(X509_sign(certificate, authority_key_, EVP_sha256()) > 0);
    return certificate;
  }
  static void extend(X509* certificate, int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    PENSTOCK_ASSERT(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  }
  void store(X509* certificate, const std::string& name) {
    FILE* file = fopen((directory_ + "/" + name).c_str(), "w");
    PENSTOCK_ASSERT(file != nullptr && PEM_write_X509(file, certificate) == 1);
    fclose(file);
  }

  std::string directory_;
  EVP_PKEY* authority_key_ = nullptr;
  X509* authority_ = nullptr;
  int count_ = 0;
};

}  // namespace penstock::tls::testing
