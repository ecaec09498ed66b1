// Settings of one connection to the canned server: which are reported, what they were at start-up, what they
// are now.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>

#include "wire.h"

namespace penstock::bench {

class CannedSettings {
 public:
  // Start-up parameters become the value to which RESET returns.
  void set_at_startup(std::string_view name, std::string_view value);
  // Reports the change to the client when the setting is one of those that Postgres reports.
  void set(base::ByteWriter& out, std::string_view name, std::string_view value);
  void reset(base::ByteWriter& out, std::string_view name);
  void reset_all(base::ByteWriter& out);
  std::string_view get(std::string_view name) const;
  // The ParameterStatus messages of a fresh connection.
  void greet(base::ByteWriter& out) const;

 private:
  static constexpr std::size_t kReported = 13;
  static const std::array<std::string_view, kReported> kNames;
  static std::size_t index_of(std::string_view name);
  void report(base::ByteWriter& out, std::size_t index) const;

  std::array<std::string, kReported> initial_ = defaults();
  std::array<std::string, kReported> current_ = initial_;
  std::map<std::string, std::string, std::less<>> others_;

  static std::array<std::string, kReported> defaults();
};

}  // namespace penstock::bench
