// "Did you mean …": what a user probably wanted to write.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace penstock::config {

// Insertions, deletions, replacements and swaps of neighbours between two texts.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate most like `word`; empty when none is like it. Words of more than 64 characters are like
// nothing.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// The full name ("pool.size") of the setting that someone meant by `key` in `section` (empty: unknown). Knows
// PgBouncer's names and finds settings in other sections. Empty when there is nothing like it.
std::string suggest_setting(std::string_view section, std::string_view key);

}  // namespace penstock::config
