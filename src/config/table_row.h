// One row of the table of settings as it is written down: what a person decides. The rest follows from the
// member.
#pragma once

#include <limits>
#include <string_view>
#include <vector>

#include "config/binding.h"
#include "config/table.h"

namespace penstock::config {

using Rows = std::vector<Entry<Settings>>;

Rows server_rows();
Rows client_tls_rows();
Rows auth_rows();
Rows pool_rows();
Rows timeout_rows();
Rows tcp_rows();
Rows log_rows();
Rows limit_rows();
Rows api_rows();
std::vector<Entry<ListenerSettings>> listener_rows();

inline constexpr std::int64_t kSecond = 1000;  // milliseconds
inline constexpr std::int64_t kDay = 86'400 * kSecond;
inline constexpr std::int64_t kKilobyte = 1024;
inline constexpr std::int64_t kGigabyte = kKilobyte * kKilobyte * kKilobyte;
inline constexpr std::int64_t kCountMax = 10'000'000;
inline constexpr std::string_view kNoLimit = "no limit";
inline constexpr std::string_view kOff = "off";
inline constexpr std::string_view kSystem = "the system's default";

// What stands in a row of the tables below; the rest follows from the member.
struct Row {
  std::string_view section = {};
  std::string_view key;
  std::string_view doc;
  std::string_view pgbouncer = {};
  bool reloadable = true;
  std::int64_t min = 0;
  std::int64_t max = -1;  // -1: the kind's own
  std::int64_t step = 1;
  std::string_view unit = {};
  std::string_view zero = {};
  std::vector<std::string_view> words = {};  // makes a text member a word
};

inline std::int64_t max_of(Kind kind) {
  switch (kind) {
    case Kind::kInteger:
      return kCountMax;
    case Kind::kDuration:
      return 365 * kDay;
    case Kind::kOctal:
      return 0777;
    default:
      return std::numeric_limits<std::int64_t>::max();
  }
}

template <class Owner>
Entry<Owner> make(const Binding<Owner>& binding, const Row& row) {
  const Kind kind = row.words.empty() ? binding.kind : Kind::kWord;
  return {.section = row.section,
          .key = row.key,
          .doc = row.doc,
          .pgbouncer = row.pgbouncer,
          .reloadable = row.reloadable,
          .allowed = {.kind = kind,
                      .min = row.min,
                      .max = row.max < 0 ? max_of(kind) : row.max,
                      .step = row.step,
                      .unit = row.unit,
                      .zero = row.zero,
                      .words = row.words.empty() ? binding.words : row.words},
          .get = binding.get,
          .set = binding.set};
}

template <auto Member>
auto entry(const Row& row) {
  return make(bind<Member>(), row);
}

template <auto Member>
auto octal(const Row& row) {
  auto binding = bind<Member>();
  binding.kind = Kind::kOctal;
  return make(binding, row);
}

}  // namespace penstock::config
