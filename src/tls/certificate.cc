#include "tls/certificate.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

namespace penstock::tls {

namespace {

// As UTF-8; empty when it holds a zero byte or cannot be converted.
std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, string);
  if (size < 0) return {};
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return text.find('\0') == text.npos ? text : std::string();
}

std::string common_name(const X509_NAME* subject) {
  // The first one counts, as in Postgres.
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  return at < 0 ? std::string() : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

std::string distinguished_name(const X509_NAME* subject) {
  BIO* bio = BIO_new(BIO_s_mem());
  if (bio == nullptr) return {};
  X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text.find('\0') == text.npos ? text : std::string();
}

std::vector<std::string> dns_names(const X509& certificate) {
  std::vector<std::string> names;
  auto* general =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(general); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(general, i);
    if (name->type != GEN_DNS) continue;
    if (std::string text = text_of(name->d.dNSName); !text.empty()) names.push_back(std::move(text));
  }
  GENERAL_NAMES_free(general);
  return names;
}

}  // namespace

bool is_ip_address(const std::string& host) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  const bool is_ip = address != nullptr;
  ASN1_OCTET_STRING_free(address);
  return is_ip;
}

std::string end_point_hash(const X509& certificate) {
  int hash_nid = NID_undef;
  // OpenSSL caches inside the certificate what it computes here, with a lock of its own.
  if (X509_get_signature_info(const_cast<X509*>(&certificate), &hash_nid, nullptr, nullptr, nullptr) != 1)
    return {};
  if (hash_nid == NID_md5 || hash_nid == NID_sha1) hash_nid = NID_sha256;
  const EVP_MD* hash = EVP_get_digestbynid(hash_nid);
  if (hash == nullptr) return {};
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(&certificate, hash, digest, &size) != 1) return {};
  return {reinterpret_cast<const char*>(digest), size};
}

PeerCertificate describe(const X509& certificate) {
  const X509_NAME* subject = X509_get_subject_name(&certificate);
  return PeerCertificate{.common_name = common_name(subject),
                         .distinguished_name = distinguished_name(subject),
                         .dns_names = dns_names(certificate)};
}

}  // namespace penstock::tls
