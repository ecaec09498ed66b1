// The words users write for the enums of the model, in files, on the command line and in JSON.
//
// The first word of a value is the one shown; further ones are accepted too (PgBouncer's and PostgreSQL's
// names).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/tenant.h"

namespace penstock::model {

template <class E>
struct Word {
  std::string_view text;
  E value;
};

// For PoolMode, TlsMode, AuthMethod, IpVersion and ClusterRole.
template <class E>
std::span<const Word<E>> words();
template <>
std::span<const Word<PoolMode>> words();
template <>
std::span<const Word<TlsMode>> words();
template <>
std::span<const Word<AuthMethod>> words();
template <>
std::span<const Word<IpVersion>> words();
template <>
std::span<const Word<ClusterRole>> words();

template <class E>
std::string_view word_of(E value) {
  for (const Word<E>& word : words<E>()) {
    if (word.value == value) return word.text;
  }
  return "?";
}

// Nothing when no value has this word. Case matters, as in libpq's sslmode.
template <class E>
std::optional<E> from_word(std::string_view text) {
  for (const Word<E>& word : words<E>()) {
    if (word.text == text) return word.value;
  }
  return std::nullopt;
}

// "transaction, session or statement": the shown words, for messages and manuals.
template <class E>
std::string list_of_words() {
  std::string list;
  const std::span<const Word<E>> all = words<E>();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (word_of(all[i].value) != all[i].text) continue;  // an alias
    if (!list.empty()) list += all[i].value == all.back().value ? " or " : ", ";
    list += all[i].text;
  }
  return list;
}

}  // namespace penstock::model
