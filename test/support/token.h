// Token marks one question of one client; its answer carries it, and so does everything the server does for
// it.
//
// In texts: "c<client>q<number>", where a client is one connection of a simulated client, not the client over
// its life.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::sim {

struct Token {
  std::uint32_t client = 0;
  std::uint32_t number = 0;
  friend auto operator<=>(const Token&, const Token&) = default;
  std::string text() const { return fmt::format("c{}q{}", client, number); }
  // As it stands in SQL.
  std::string comment() const { return fmt::format("/*{}*/", text()); }
};

// The first token in a text.
inline std::optional<Token> find_token(std::string_view text) {
  for (auto at = text.find('c'); at != std::string_view::npos; at = text.find('c', at + 1)) {
    Token token;
    const char* const end = text.data() + text.size();
    const auto client = std::from_chars(text.data() + at + 1, end, token.client);
    if (client.ec != std::errc() || client.ptr == end || *client.ptr != 'q') continue;
    const auto number = std::from_chars(client.ptr + 1, end, token.number);
    if (number.ec == std::errc()) return token;
  }
  return std::nullopt;
}

}  // namespace penstock::sim
