// The form of a log line, text or JSON.
//
//     2026-05-04T03:02:01.000Z info client.login client=17 tenant=acme user="Jane Doe" msg="logged in"
//     {"ts":"2026-05-04T03:02:01.000Z","level":"info","event":"client.login","client":17,"tenant":"acme",…}
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace penstock::telemetry::log {

enum class Level : std::uint8_t { kError, kWarning, kInfo, kDebug };
enum class Format : std::uint8_t { kText, kJson };

// The name of an event or a field: written in the source, never made from input.
class Literal {
 public:
  // HOUSE(tidy): implicit, so that a literal can be the argument.
  // NOLINTNEXTLINE(google-explicit-constructor)
  consteval Literal(const char* text) : text_(text), hash_(hash(text_)) {}
  constexpr std::string_view text() const { return text_; }
  constexpr std::uint64_t hash() const { return hash_; }

 private:
  // FNV-1a, 64 bits; never 0.
  static constexpr std::uint64_t hash(std::string_view text) {
    std::uint64_t value = 0xcbf29ce484222325;
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return value == 0 ? 1 : value;
  }
  std::string_view text_;
  std::uint64_t hash_;
};

// A value borrows its text: it lives for one call.
struct Field {
  Literal key;
  std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool> value;

  template <class T>
  Field(Literal name, const T& from) : key(name), value(convert(from)) {}

 private:
  template <class T>
  static decltype(value) convert(const T& from) {
    if constexpr (std::same_as<T, bool>)
      return from;
    else if constexpr (std::floating_point<T>)
      return static_cast<double>(from);
    else if constexpr (std::signed_integral<T>)
      return static_cast<std::int64_t>(from);
    else if constexpr (std::unsigned_integral<T>)
      return static_cast<std::uint64_t>(from);
    else
      return std::string_view(from);
  }
};
using Fields = std::initializer_list<Field>;

inline constexpr std::size_t kFieldBytesMax = 256;
inline constexpr std::size_t kMessageBytesMax = 1024;

struct Line {
  std::chrono::system_clock::time_point time;
  Level level;
  std::string_view event;
  Fields fields;
  std::string_view message = {};
};

// Without the newline at the end; holds no other one either.
std::string format_line(Format format, const Line& line);

}  // namespace penstock::telemetry::log
