// What we read out of certificates: names for logins, a hash for channel binding.
//
// Home: any thread (pure functions).
#pragma once

#include <openssl/types.h>

#include <string>

#include "tls/engine.h"

namespace penstock::tls {

bool is_ip_address(const std::string& host);

// RFC 5929, section 4.1: the certificate hashed with the hash of its signature, SHA-256 instead of MD5 and
// SHA-1. Empty for signatures without a hash of their own (Ed25519).
std::string end_point_hash(const X509& certificate);

// Names that contain a zero byte are left out: they were made to be misread.
PeerCertificate describe(const X509& certificate);

}  // namespace penstock::tls
