// Binding ties an entry of the table to its member: the kind of value follows from the member's type.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/assert.h"
#include "config/value.h"
#include "config/words.h"

namespace penstock::config {

template <class Owner>
struct Binding {
  Kind kind;
  std::vector<std::string_view> words;
  Value (*get)(const Owner&);
  void (*set)(Owner&, const Value&);
};

namespace detail {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return Kind::kBool;
  if constexpr (std::is_same_v<T, std::chrono::milliseconds>) return Kind::kDuration;
  if constexpr (std::is_same_v<T, std::size_t>) return Kind::kBytes;
  if constexpr (std::is_same_v<T, std::string>) return Kind::kText;
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return Kind::kList;
  if constexpr (std::is_enum_v<T> || kIsOptional<T>) return Kind::kWord;
  return Kind::kInteger;
}

template <class T>
Value to_value(const T& member) {
  if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
    return std::int64_t{member.count()};
  } else if constexpr (std::is_enum_v<T>) {
    return std::string(model::word_of(member));
  } else if constexpr (kIsOptional<T>) {
    return member ? to_value(*member) : Value(std::string());
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return static_cast<std::int64_t>(member);
  } else {
    return member;
  }
}

template <class T>
void from_value(T& member, const Value& value) {
  if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
    member = std::chrono::milliseconds(std::get<std::int64_t>(value));
  } else if constexpr (std::is_enum_v<T>) {
    const auto known = model::from_word<T>(std::get<std::string>(value));
    PENSTOCK_ASSERT(known.has_value());
    member = *known;
  } else if constexpr (kIsOptional<T>) {
    if (std::get<std::string>(value).empty()) {
      member.reset();
    } else {
      from_value(member.emplace(), value);
    }
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    member = static_cast<T>(std::get<std::int64_t>(value));
  } else {
    member = std::get<T>(value);
  }
}

template <class T>
std::vector<std::string_view> words_for() {
  std::vector<std::string_view> all;
  if constexpr (kIsOptional<T>) {
    all = words_for<typename T::value_type>();
    all.emplace_back();  // not set
  } else if constexpr (std::is_enum_v<T>) {
    for (const auto& word : model::words<T>()) all.push_back(word.text);
  }
  return all;
}

template <class Owner, class T>
Owner owner_of(T Owner::*);
template <class Owner, class T>
T member_of(T Owner::*);

}  // namespace detail

// bind<&Settings::workers>()
template <auto Member>
auto bind() {
  using Owner = decltype(detail::owner_of(Member));
  using Type = decltype(detail::member_of(Member));
  return Binding<Owner>{
      .kind = detail::kind_of<Type>(),
      .words = detail::words_for<Type>(),
      .get = [](const Owner& owner) { return detail::to_value(owner.*Member); },
      .set = [](Owner& owner, const Value& value) { detail::from_value(owner.*Member, value); }};
}

}  // namespace penstock::config
