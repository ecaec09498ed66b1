// What a single value must look like, and the words that say so.
//
// Home:   any thread (pure functions).
// Errors: kInvalidParameterValue with what is allowed and what was found; a secret is never repeated.
#pragma once

#include <string_view>

#include "base/error.h"

namespace penstock::catalog {

inline constexpr std::string_view kNameAllowed = "1 to 63 bytes of printable UTF-8";
inline constexpr std::string_view kTenantIdAllowed = "1 to 63 characters: letters, digits, '_' and '-'";
inline constexpr std::string_view kPathAllowed = "the path of a PEM file";
inline constexpr std::string_view kServerNameAllowed = "a DNS name such as db.example.com";
inline constexpr std::string_view kAuthQueryAllowed =
    "an SQL query that uses $1 (the user's name), at most 64 KiB";
inline constexpr std::string_view kQueryAllowed = "an SQL query, at most 64 KiB";
inline constexpr std::string_view kParametersAllowed =
    "NAME=VALUE with the name of a setting of Postgres; not user, database, options or replication";
inline constexpr std::string_view kSecretAllowed =
    "a password, \"md5\" and 32 hex digits, or a whole SCRAM-SHA-256 verifier as in pg_authid.rolpassword";
inline constexpr std::string_view kHostsAllowed =
    "HOST[:PORT]: a name, an IP address ([...] around IPv6 with a port), a socket directory or @name";

inline constexpr std::string_view kMomentAllowed = "a moment such as 2026-11-22T10:53:43Z";
inline constexpr std::string_view kNetworkAllowed =
    "an IP address, or a network such as 192.0.2.0/24 or 2001:db8::/32";
inline constexpr std::string_view kReasonAllowed = "a line of text, at most 500 bytes";
inline constexpr std::string_view kPemAllowed = "certificates in PEM, at most 64 KiB";
inline constexpr std::string_view kUrlAllowed = "an http or https URL";
inline constexpr std::string_view kFlagsAllowed = "NAME=VALUE";

base::Status check_network(std::string_view network);
base::Status check_reason(std::string_view text);
base::Status check_pem(std::string_view text);
base::Status check_url(std::string_view url);
base::Status check_flag(std::string_view name, std::string_view value);
base::Status check_tenant_id(std::string_view id);
base::Status check_name(std::string_view name);  // of a role or a database
base::Status check_path(std::string_view path);
base::Status check_server_name(std::string_view name);
base::Status check_query(std::string_view query);
base::Status check_auth_query(std::string_view query);
base::Status check_secret(std::string_view secret);
base::Status check_parameter(std::string_view name, std::string_view value);

// "must be <allowed>, not "<found>"", with `found` cut and made printable, whatever it is.
std::unexpected<base::Error> refuse_value(std::string_view allowed, std::string_view found);

}  // namespace penstock::catalog
