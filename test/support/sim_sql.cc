#include "support/sim_sql.h"

#include <cstdlib>

namespace penstock::sim {

namespace {

// What stands between two single quotes, if anything does.
std::string quoted(std::string_view text) {
  const auto begin = text.find('\'');
  if (begin == std::string_view::npos) return {};
  const auto end = text.find('\'', begin + 1);
  return std::string(text.substr(begin + 1, end - begin - 1));
}

std::string_view without_comments(std::string_view text) {
  const auto comment = text.find("/*");
  if (comment != std::string_view::npos) text = text.substr(0, comment);
  while (text.ends_with(' ')) text.remove_suffix(1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

std::string word(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0; --index) at = text.find(' ', at) + 1;
  return std::string(text.substr(at, text.find(' ', at) - at));
}

Sql parse_select(std::string_view text) {
  Sql sql;
  sql.has_parameter = text.find("$1") != std::string_view::npos;
  const auto open = text.find('(');
  const auto number_at = sql.has_parameter ? text.find(", ") + 2 : open + 1;
  const auto is = [&](std::string_view name) { return text.substr(7, open - 7) == name; };
  if (is("sim_fail")) sql.kind = Sql::Kind::kFail;
  if (is("sim_rows")) sql.kind = Sql::Kind::kRows;
  if (is("sim_sleep")) sql.kind = Sql::Kind::kSleep;
  if (is("sim_echo")) sql.kind = Sql::Kind::kEcho;
  if (sql.kind == Sql::Kind::kEcho) {
    sql.value = quoted(text);
  } else if (sql.kind != Sql::Kind::kFail) {
    sql.number = std::atoi(std::string(text.substr(number_at)).c_str());
  }
  return sql;
}

Sql parse_one(std::string_view text) {
  Sql sql;
  if (text.empty()) {
    sql.kind = Sql::Kind::kEmpty;
  } else if (text.starts_with("SELECT ")) {
    sql = parse_select(text);
  } else if (text.starts_with("SHOW ")) {
    sql = {.kind = Sql::Kind::kShow, .name = word(text, 1)};
  } else if (text.starts_with("SET ")) {
    sql = {.kind = Sql::Kind::kSet, .name = word(text, 1), .value = quoted(text)};
    std::erase(sql.name, '"');
  } else if (text.starts_with("COPY t FROM")) {
    sql.kind = Sql::Kind::kCopyIn;
  } else if (text.starts_with("COPY (")) {
    sql = {.kind = Sql::Kind::kCopyOut,
           .number = std::atoi(std::string(text.substr(text.find("rows(") + 5)).c_str())};
  } else if (text.starts_with("NOTIFY ")) {
    sql = {.kind = Sql::Kind::kNotify, .name = word(text, 1), .value = quoted(text)};
    if (sql.name.ends_with(',')) sql.name.pop_back();
  } else if (text.starts_with("LISTEN ")) {
    sql = {.kind = Sql::Kind::kListen, .name = word(text, 1)};
  } else if (text == "BEGIN") {
    sql.kind = Sql::Kind::kBegin;
  } else if (text == "COMMIT") {
    sql.kind = Sql::Kind::kCommit;
  } else if (text == "ROLLBACK") {
    sql.kind = Sql::Kind::kRollback;
  } else if (text == "DISCARD ALL") {
    sql.kind = Sql::Kind::kDiscard;
  }
  return sql;
}

}  // namespace

std::vector<Sql> parse_sql(std::string_view text) {
  std::vector<Sql> result;
  while (true) {
    const auto end = text.find(';');
    const auto one = text.substr(0, end);
    Sql sql = parse_one(without_comments(one));
    const auto comment = one.find("/*");
    if (comment != std::string_view::npos) sql.token = find_token(one.substr(comment));
    if (sql.kind != Sql::Kind::kEmpty || (result.empty() && end == std::string_view::npos)) {
      result.push_back(std::move(sql));
    }
    if (end == std::string_view::npos) return result;
    text.remove_prefix(end + 1);
  }
}

}  // namespace penstock::sim
