#include "config/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config/table_row.h"

namespace penstock::config {
namespace {

constexpr Section kSections[] = {
    {"server", "The process: its threads, its files."},
    {"client_tls", "TLS towards clients. Certificates and keys are read again on reload."},
    {"auth", "How clients prove who they are."},
    {"pool",
     "Defaults for every pool and limits for the process. A tenant and each of its users may have their own "
     "sizes, modes and times, which are set in the catalog and win over these."},
    {"timeouts", "Everything that waits ends after a time."},
    {"tcp", "TCP connections, to clients and to servers."},
    {"log", "One line per event."},
    {"api",
     "The HTTP port: REST API, metrics, health, web page. Off until it has a port. Files are read again on "
     "reload."},
    {"limits", "Bounds on what a peer may send."},
};

std::vector<Entry<Settings>> all_rows() {
  std::vector<Entry<Settings>> all;
  for (auto* rows : {server_rows, client_tls_rows, auth_rows, pool_rows, timeout_rows, tcp_rows, log_rows,
                     api_rows, limit_rows}) {
    std::ranges::move(rows(), std::back_inserter(all));
  }
  return all;
}

}  // namespace

template <class Owner>
std::string Entry<Owner>::name() const {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

template <class Owner>
std::string Entry<Owner>::environment_name() const {
  std::string text = fmt::format("PENSTOCK_{}_{}", section, key);
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

template struct Entry<Settings>;
template struct Entry<ListenerSettings>;

std::span<const Section> sections() {
  return kSections;
}

std::span<const Entry<Settings>> settings_table() {
  static const std::vector<Entry<Settings>> table = all_rows();
  return table;
}

std::span<const Entry<ListenerSettings>> listener_table() {
  static const std::vector<Entry<ListenerSettings>> table = listener_rows();
  return table;
}

const Entry<Settings>* find_setting(std::string_view section, std::string_view key) {
  for (const auto& entry : settings_table()) {
    if (entry.section == section && entry.key == key) return &entry;
  }
  return nullptr;
}

const Entry<Settings>* find_setting(std::string_view name) {
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return nullptr;
  return find_setting(name.substr(0, dot), name.substr(dot + 1));
}

const Entry<ListenerSettings>* find_listener_setting(std::string_view key) {
  for (const auto& entry : listener_table()) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

}  // namespace penstock::config
