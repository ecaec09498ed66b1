#include "canned_settings.h"

#include <strings.h>

namespace penstock::bench {

// As reported by PostgreSQL 15, in its order.
const std::array<std::string_view, CannedSettings::kReported> CannedSettings::kNames = {
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone"};

std::array<std::string, CannedSettings::kReported> CannedSettings::defaults() {
  return {"",    "UTF8", "ISO, MDY", "off",   "off", "on",     "postgres",
          "off", "UTF8", "15.20",    "bench", "on",  "Etc/UTC"};
}

std::size_t CannedSettings::index_of(std::string_view name) {
  for (std::size_t i = 0; i < kReported; ++i) {
    if (name.size() == kNames[i].size() && strncasecmp(name.data(), kNames[i].data(), name.size()) == 0)
      return i;
  }
  return kReported;
}

void CannedSettings::report(base::ByteWriter& out, std::size_t index) const {
  MessageWriter message(out, 'S');
  message->cstring(kNames[index]);
  message->cstring(current_[index]);
}

void CannedSettings::set_at_startup(std::string_view name, std::string_view value) {
  if (const std::size_t index = index_of(name); index < kReported) {
    initial_[index] = current_[index] = value;
  } else {
    others_.insert_or_assign(std::string(name), std::string(value));
  }
}

void CannedSettings::set(base::ByteWriter& out, std::string_view name, std::string_view value) {
  const std::size_t index = index_of(name);
  if (index == kReported) {
    others_.insert_or_assign(std::string(name), std::string(value));
  } else if (current_[index] != value) {
    current_[index] = value;
    report(out, index);
  }
}

void CannedSettings::reset(base::ByteWriter& out, std::string_view name) {
  const std::size_t index = index_of(name);
  if (index < kReported) {
    set(out, name, initial_[index]);
  } else if (const auto at = others_.find(name); at != others_.end()) {
    others_.erase(at);
  }
}

void CannedSettings::reset_all(base::ByteWriter& out) {
  for (const std::string_view name : kNames) reset(out, name);
  others_.clear();
}

std::string_view CannedSettings::get(std::string_view name) const {
  if (const std::size_t index = index_of(name); index < kReported) return current_[index];
  const auto at = others_.find(name);
  return at == others_.end() ? std::string_view() : at->second;
}

void CannedSettings::greet(base::ByteWriter& out) const {
  for (std::size_t i = 0; i < kReported; ++i) report(out, i);
}

}  // namespace penstock::bench
