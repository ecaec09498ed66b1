#include "catalog/resolve.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "catalog/lower.h"

namespace penstock::catalog {

namespace {

constexpr std::string_view kReference = "reference=";
constexpr std::string_view kCluster = ".cluster.";

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// One word of `options`: where it stands, and what it says once backslashes are gone.
struct Word {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text = {};
};

// As pg_split_opts() of PostgreSQL.
std::vector<Word> split_words(std::string_view options) {
  std::vector<Word> words;
  std::size_t at = 0;
  while (true) {
    while (at < options.size() && is_blank(options[at])) ++at;
    if (at == options.size()) return words;
    Word word{.begin = at};
    while (at < options.size() && !is_blank(options[at])) {
      if (options[at] == '\\' && at + 1 < options.size()) ++at;
      word.text += options[at++];
    }
    word.end = at;
    words.push_back(std::move(word));
  }
}

// The value of "reference=acme", "-creference=acme" or "--reference=acme".
std::optional<std::string> reference_in(std::string_view word) {
  for (const std::string_view prefix : {"", "-c", "--"}) {
    if (!word.starts_with(prefix)) continue;
    const std::string_view rest = word.substr(prefix.size());
    if (rest.starts_with(kReference)) return std::string(rest.substr(kReference.size()));
  }
  return std::nullopt;
}

model::TenantPtr by_server_name(const model::CatalogSnapshot& snapshot, std::string_view server_name) {
  if (server_name.empty()) return nullptr;
  // What a tenant is called leads to no other one, whatever others have listed.
  const std::string_view label = server_name.substr(0, server_name.find('.'));
  if (model::TenantPtr tenant = snapshot.by_id(label)) return tenant;
  if (model::TenantPtr tenant = snapshot.by_id(lower(label))) return tenant;  // DNS names come in any case
  return snapshot.by_sni(server_name);
}

std::string reason_nobody(const ClientNames& names) {
  return fmt::format(
      "user \"{}\", TLS server name \"{}\" and database \"{}\" lead to no tenant, and there is no default "
      "one",
      names.user, names.server_name, names.database);
}

}  // namespace

OptionsParts split_options(std::string_view options) {
  OptionsParts parts;
  std::size_t kept = 0;  // everything before has been copied or taken out
  const std::vector<Word> words = split_words(options);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_flag = words[i].text == "-c" && i + 1 < words.size();
    const Word& last = words[has_flag ? i + 1 : i];
    const std::optional<std::string> reference = reference_in(last.text);
    if (!reference) {
      if (has_flag) ++i;  // the value of a flag is no word of its own
      continue;
    }
    std::size_t begin = words[i].begin;
    if (begin > kept && is_blank(options[begin - 1])) --begin;
    parts.rest += options.substr(kept, begin - kept);
    kept = last.end;
    parts.reference = *reference;
    if (has_flag) ++i;
  }
  parts.rest += options.substr(kept);
  return parts;
}

std::expected<Resolved, Unresolved> resolve(const model::CatalogSnapshot& snapshot,
                                            const ClientNames& names) {
  const auto found = [&](model::TenantPtr tenant, std::string_view user, ResolveRule rule) {
    return Resolved{.tenant = std::move(tenant), .user = std::string(user), .rule = rule};
  };
  if (const std::string id = split_options(names.options).reference; !id.empty()) {
    if (model::TenantPtr tenant = snapshot.by_id(id)) {
      return found(std::move(tenant), names.user, ResolveRule::kReference);
    }
    return std::unexpected(
        Unresolved{.user = std::string(names.user),
                   .reason = fmt::format("options name tenant \"{}\", which does not exist", id)});
  }
  if (const std::size_t word = names.user.find(kCluster); word != std::string_view::npos && word > 0) {
    if (model::TenantPtr tenant = snapshot.by_cluster(names.user.substr(word + kCluster.size()))) {
      return found(std::move(tenant), names.user.substr(0, word), ResolveRule::kCluster);
    }
  }
  const std::size_t dot = names.user.rfind('.');
  if (dot != std::string_view::npos && dot > 0) {
    if (model::TenantPtr tenant = snapshot.by_id(names.user.substr(dot + 1))) {
      return found(std::move(tenant), names.user.substr(0, dot), ResolveRule::kUserSuffix);
    }
  }
  if (model::TenantPtr tenant = by_server_name(snapshot, names.server_name)) {
    return found(std::move(tenant), names.user, ResolveRule::kServerName);
  }
  if (model::TenantPtr tenant = snapshot.by_database(names.database)) {
    return found(std::move(tenant), names.user, ResolveRule::kDatabase);
  }
  if (model::TenantPtr tenant = snapshot.default_tenant()) {
    return found(std::move(tenant), names.user, ResolveRule::kDefault);
  }
  return std::unexpected(Unresolved{.user = std::string(names.user), .reason = reason_nobody(names)});
}

Stated stated_names(const ClientNames& names) {
  const std::string user(names.user);
  if (std::string id = split_options(names.options).reference; !id.empty()) return {std::move(id), user};
  const std::size_t dot = user.rfind('.');
  if (dot != std::string::npos && dot > 0) return {user.substr(dot + 1), user.substr(0, dot)};
  if (!names.server_name.empty()) {
    return {lower(names.server_name.substr(0, names.server_name.find('.'))), user};
  }
  return {"database " + std::string(names.database), user};
}

std::string_view name_of(ResolveRule rule) {
  switch (rule) {
    case ResolveRule::kReference:
      return "options";
    case ResolveRule::kCluster:
      return "cluster";
    case ResolveRule::kUserSuffix:
      return "user suffix";
    case ResolveRule::kServerName:
      return "TLS server name";
    case ResolveRule::kDatabase:
      return "database";
    case ResolveRule::kDefault:
      return "default";
  }
  return "?";
}

}  // namespace penstock::catalog
