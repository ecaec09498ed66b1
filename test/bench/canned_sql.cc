#include "canned_sql.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string>

namespace penstock::bench {

namespace {

bool same_word(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](char a, char b) { return std::tolower(a) == std::tolower(b); });
}

// Reads words, literals and signs from a statement, skipping white space and comments.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) { skip_space(); }

  bool at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  bool sign(char wanted) {
    if (!rest_.starts_with(wanted)) return false;
    advance(1);
    return true;
  }
  // An identifier or keyword; empty when there is none. Quotes around an identifier are taken off.
  std::string_view word() {
    if (rest_.starts_with('"')) {
      const std::size_t end = rest_.find('"', 1);
      if (end == std::string_view::npos) return {};
      const std::string_view name = rest_.substr(1, end - 1);
      advance(end + 1);
      return name;
    }
    const auto is_part = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
    };
    const auto end = static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_part) - rest_.begin());
    const std::string_view word = rest_.substr(0, end);
    advance(end);
    return word;
  }
  bool keyword(std::string_view wanted) {
    Reader ahead(*this);
    if (!same_word(ahead.word(), wanted)) return false;
    *this = ahead;
    return true;
  }
  // 'text', without its quotes; doubled quotes are left as they are.
  bool literal(std::string_view& text) {
    if (!rest_.starts_with('\'')) return false;
    std::size_t end = 1;
    while (true) {
      end = rest_.find('\'', end);
      if (end == std::string_view::npos) return false;
      if (end + 1 >= rest_.size() || rest_[end + 1] != '\'') break;
      end += 2;
    }
    text = rest_.substr(1, end - 1);
    advance(end + 1);
    return true;
  }
  template <class Number>
  bool number(Number& value) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return false;
    advance(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  std::string_view until_space() {
    const std::string_view text = rest_.substr(0, rest_.find_first_of(" \t\r\n"));
    advance(text.size());
    return text;
  }

 private:
  void advance(std::size_t count) {
    rest_.remove_prefix(count);
    skip_space();
  }
  void skip_space() {
    while (!rest_.empty()) {
      if (std::isspace(static_cast<unsigned char>(rest_[0]))) {
        rest_.remove_prefix(1);
      } else if (rest_.starts_with("/*")) {
        const std::size_t end = rest_.find("*/", 2);
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 2);
      } else if (rest_.starts_with("--")) {
        rest_.remove_prefix(std::min(rest_.size(), rest_.find('\n')));
      } else {
        return;
      }
    }
  }
  std::string_view rest_;
};

void skip_cast(Reader& reader) {
  if (reader.rest().starts_with("::")) {
    reader.sign(':');
    reader.sign(':');
    (void)reader.word();
  }
}

bool parse_expression(Reader& reader, Expression& out);

bool parse_call(std::string_view function, Reader& reader, Expression& out) {
  using Kind = Expression::Kind;
  if (!reader.sign('(')) return false;
  out.label = function;
  if (same_word(function, "repeat")) {
    if (!parse_expression(reader, out) || !reader.sign(',') || !reader.number(out.repeat)) return false;
  } else if (same_word(function, "current_setting")) {
    out.kind = Kind::kSetting;
    if (!reader.literal(out.text)) return false;
  } else if (same_word(function, "pg_sleep")) {
    out.kind = Kind::kSleep;
    if (!reader.number(out.seconds)) return false;
  } else if (same_word(function, "pg_backend_pid")) {
    out.kind = Kind::kBackendPid;
  } else if (same_word(function, "pg_terminate_backend")) {
    if (!parse_expression(reader, out)) return false;
    out.kind = Kind::kTerminate;
  } else {
    return false;
  }
  return reader.sign(')');
}

bool parse_expression(Reader& reader, Expression& out) {
  using Kind = Expression::Kind;
  bool good = true;
  if (reader.sign('$')) {
    out.kind = Kind::kParameter;
    good = reader.number(out.parameter) && out.parameter > 0;
  } else if (!reader.literal(out.text)) {
    const std::string_view word = reader.word();
    if (word.empty()) return false;
    if (std::isdigit(static_cast<unsigned char>(word[0]))) {
      out.text = word;
      if (reader.sign('/')) {
        out.kind = Kind::kDivision;
        (void)reader.word();
      }
    } else {
      good = parse_call(word, reader, out);
    }
  }
  skip_cast(reader);
  return good;
}

bool parse_select(Reader& reader, Plan& plan) {
  do {
    if (plan.column_count == Plan::kColumnsMax) return false;
    Expression& column = plan.columns[plan.column_count];
    if (!parse_expression(reader, column)) return false;
    ++plan.column_count;
    plan.parameter_count = std::max(plan.parameter_count, column.parameter);
    if (reader.keyword("AS")) column.label = reader.word();
  } while (reader.sign(','));
  if (reader.keyword("FROM")) {
    std::uint64_t first = 0;
    if (!reader.keyword("generate_series") || !reader.sign('(') || !reader.number(first) ||
        !reader.sign(',') || !reader.number(plan.rows) || !reader.sign(')')) {
      return false;
    }
  }
  plan.verb = Verb::kSelect;
  plan.tag = "SELECT";
  return true;
}

bool parse_copy(Reader& reader, Plan& plan) {
  plan.tag = "COPY";
  if (reader.sign('(')) {
    if (!reader.keyword("SELECT") || !parse_select(reader, plan) || !reader.sign(')')) return false;
    plan.verb = Verb::kCopyOut;
    plan.tag = "COPY";
    return reader.keyword("TO") && reader.keyword("STDOUT");
  }
  plan.verb = Verb::kCopyIn;
  plan.name = reader.word();
  return reader.keyword("FROM") && reader.keyword("STDIN");
}

bool parse_set(Reader& reader, Plan& plan) {
  plan.verb = Verb::kSet;
  plan.tag = "SET";
  if (!reader.keyword("SESSION")) (void)reader.keyword("LOCAL");
  plan.name = reader.word();
  if (same_word(plan.name, "TIME")) {
    plan.name = "TimeZone";
    (void)reader.keyword("ZONE");
  } else if (!reader.sign('=') && !reader.keyword("TO")) {
    return false;
  }
  if (!reader.literal(plan.value)) plan.value = reader.until_space();
  return !plan.name.empty();
}

bool parse_execute(Reader& reader, Plan& plan) {
  plan.verb = Verb::kExecute;
  plan.tag = "SELECT";
  plan.name = reader.word();
  if (!reader.sign('(')) return true;
  do {
    if (plan.column_count == Plan::kColumnsMax) return false;
    if (!parse_expression(reader, plan.columns[plan.column_count++])) return false;
  } while (reader.sign(','));
  return reader.sign(')');
}

bool parse_prepare(Reader& reader, Plan& plan) {
  plan.verb = Verb::kPrepare;
  plan.tag = "PREPARE";
  plan.name = reader.word();
  if (reader.sign('(')) {
    do (void)reader.word();
    while (reader.sign(','));
    if (!reader.sign(')')) return false;
  }
  if (!reader.keyword("AS")) return false;
  plan.value = reader.rest();
  return true;
}

// A verb that needs nothing but its name and, at most, one object's name.
bool parse_named(Reader& reader, Plan& plan, Verb verb, std::string_view tag) {
  plan.verb = verb;
  plan.tag = tag;
  if (verb == Verb::kDeallocate) (void)reader.keyword("PREPARE");
  if (verb == Verb::kShow || verb == Verb::kReset || verb == Verb::kDeallocate) {
    plan.name = reader.word();
    if (same_word(plan.name, "ALL")) plan.name = {};
  }
  if (verb == Verb::kDeallocate && plan.name.empty()) plan.tag = "DEALLOCATE ALL";
  if (verb == Verb::kShow) plan.column_count = 1;
  return true;
}

struct Word {
  std::string_view word;
  Verb verb;
  std::string_view tag;
};

constexpr Word kWords[] = {
    {"SHOW", Verb::kShow, "SHOW"},
    {"RESET", Verb::kReset, "RESET"},
    {"BEGIN", Verb::kBegin, "BEGIN"},
    {"START", Verb::kBegin, "START TRANSACTION"},
    {"COMMIT", Verb::kCommit, "COMMIT"},
    {"END", Verb::kCommit, "COMMIT"},
    {"ROLLBACK", Verb::kRollback, "ROLLBACK"},
    {"ABORT", Verb::kRollback, "ROLLBACK"},
    {"DISCARD", Verb::kDiscard, "DISCARD ALL"},
    {"DEALLOCATE", Verb::kDeallocate, "DEALLOCATE"},
    {"INSERT", Verb::kOther, "INSERT 0 1"},
    {"UPDATE", Verb::kOther, "UPDATE 1"},
    {"DELETE", Verb::kOther, "DELETE 1"},
    {"LISTEN", Verb::kOther, "LISTEN"},
    {"UNLISTEN", Verb::kOther, "UNLISTEN"},
    {"NOTIFY", Verb::kOther, "NOTIFY"},
    {"CLOSE", Verb::kOther, "CLOSE CURSOR ALL"},
    {"CREATE", Verb::kOther, "CREATE TABLE"},
    {"DROP", Verb::kOther, "DROP TABLE"},
    {"VACUUM", Verb::kOther, "VACUUM"},
    {"TRUNCATE", Verb::kOther, "TRUNCATE TABLE"},
};

bool parse_words(Reader& reader, Plan& plan) {
  if (reader.keyword("SELECT")) return parse_select(reader, plan);
  if (reader.keyword("COPY")) return parse_copy(reader, plan);
  if (reader.keyword("SET")) return parse_set(reader, plan);
  if (reader.keyword("EXECUTE")) return parse_execute(reader, plan);
  if (reader.keyword("PREPARE")) return parse_prepare(reader, plan);
  for (const Word& known : kWords) {
    if (reader.keyword(known.word)) return parse_named(reader, plan, known.verb, known.tag);
  }
  return false;
}

}  // namespace

Plan parse_sql(std::string_view statement) {
  Plan plan;
  Reader reader(statement);
  if (reader.at_end()) {
    plan.verb = Verb::kEmpty;
  } else if (!parse_words(reader, plan)) {
    plan.verb = Verb::kUnknown;
  }
  return plan;
}

std::string_view take_statement(std::string_view& sql) {
  std::size_t at = 0;
  bool quoted = false;
  for (; at < sql.size(); ++at) {
    if (sql[at] == '\'') quoted = !quoted;
    if (sql[at] == ';' && !quoted) break;
  }
  const std::string_view statement = sql.substr(0, at);
  sql.remove_prefix(std::min(sql.size(), at + 1));
  return statement;
}

}  // namespace penstock::bench
