#include "model/words.h"

namespace penstock::model {

namespace {

constexpr Word<PoolMode> kPoolModes[] = {
    {"transaction", PoolMode::kTransaction},
    {"session", PoolMode::kSession},
    {"statement", PoolMode::kStatement},
};

constexpr Word<TlsMode> kTlsModes[] = {
    {"disable", TlsMode::kDisable}, {"allow", TlsMode::kAllow},        {"prefer", TlsMode::kPrefer},
    {"require", TlsMode::kRequire}, {"verify-ca", TlsMode::kVerifyCa}, {"verify-full", TlsMode::kVerifyFull},
};

constexpr Word<AuthMethod> kAuthMethods[] = {
    {"scram-sha-256", AuthMethod::kScram},
    {"scram", AuthMethod::kScram},
    {"md5", AuthMethod::kMd5},
    {"password", AuthMethod::kPassword},
    {"plain", AuthMethod::kPassword},
    {"cert", AuthMethod::kCertificate},
    {"certificate", AuthMethod::kCertificate},
    {"trust", AuthMethod::kTrust},
    {"peer", AuthMethod::kPeer},
};

constexpr Word<IpVersion> kIpVersions[] = {
    {"auto", IpVersion::kAuto},
    {"v4", IpVersion::kV4},
    {"v6", IpVersion::kV6},
};

constexpr Word<ClusterRole> kClusterRoles[] = {
    {"write", ClusterRole::kWrite},
    {"read", ClusterRole::kRead},
};

}  // namespace

template <>
std::span<const Word<PoolMode>> words() {
  return kPoolModes;
}
template <>
std::span<const Word<TlsMode>> words() {
  return kTlsModes;
}
template <>
std::span<const Word<AuthMethod>> words() {
  return kAuthMethods;
}

template <>
std::span<const Word<IpVersion>> words() {
  return kIpVersions;
}

template <>
std::span<const Word<ClusterRole>> words() {
  return kClusterRoles;
}

}  // namespace penstock::model
