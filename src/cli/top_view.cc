#include "cli/top_view.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <tuple>

namespace penstock::cli {

namespace {

constexpr std::string_view kBold = "\033[1m", kRed = "\033[31m", kInverse = "\033[7m", kPlain = "\033[0m";

struct Column {
  std::string_view name;
  std::size_t width;
  std::string (*text)(const TopRow&);
  double (*number)(const TopRow&);  // null: sorted by text
};

std::string whole(double number) {
  return fmt::format("{:.0f}", number);
}

std::string rate(double number) {
  return number == 0 ? "0" : number < 10 ? fmt::format("{:.1f}", number) : fmt::format("{:.0f}", number);
}

std::string milliseconds(double number) {
  return number == 0 ? "-" : number < 10 ? fmt::format("{:.2f}", number) : fmt::format("{:.0f}", number);
}

std::string seconds(double number) {
  return number == 0 ? "-" : number < 100 ? fmt::format("{:.1f}s", number) : fmt::format("{:.0f}s", number);
}

const std::vector<Column>& table() {
  static const std::vector<Column> kColumns = {
      {"TENANT", 16, [](const TopRow& row) { return row.tenant; }, nullptr},
      {"USER", 12, [](const TopRow& row) { return row.user; }, nullptr},
      {"DATABASE", 12, [](const TopRow& row) { return row.database; }, nullptr},
      {"QPS", 7, [](const TopRow& row) { return rate(row.queries_per_second); },
       [](const TopRow& row) { return row.queries_per_second; }},
      {"MEAN_MS", 7, [](const TopRow& row) { return milliseconds(row.mean_ms); },
       [](const TopRow& row) { return row.mean_ms; }},
      {"P95_MS", 7, [](const TopRow& row) { return milliseconds(row.p95_ms); },
       [](const TopRow& row) { return row.p95_ms; }},
      {"WAITING", 7, [](const TopRow& row) { return whole(row.now.waiting); },
       [](const TopRow& row) { return row.now.waiting; }},
      {"LONGEST", 7, [](const TopRow& row) { return seconds(row.now.longest_wait); },
       [](const TopRow& row) { return row.now.longest_wait; }},
      {"CLIENTS", 7,
       [](const TopRow& row) {
         return whole(row.now.clients_idle + row.now.clients_active + row.now.waiting);
       },
       [](const TopRow& row) { return row.now.clients_idle + row.now.clients_active + row.now.waiting; }},
      {"ACTIVE", 6, [](const TopRow& row) { return whole(row.now.servers_active); },
       [](const TopRow& row) { return row.now.servers_active; }},
      {"IDLE", 5, [](const TopRow& row) { return whole(row.now.servers_idle); },
       [](const TopRow& row) { return row.now.servers_idle; }},
      {"CLEAN", 5, [](const TopRow& row) { return whole(row.now.servers_cleaning); },
       [](const TopRow& row) { return row.now.servers_cleaning; }},
      {"DIAL", 5,
       [](const TopRow& row) { return whole(row.now.servers_connecting) + (row.now.is_failing ? "!" : ""); },
       [](const TopRow& row) { return row.now.servers_connecting + (row.now.is_failing ? 0.5 : 0); }},
      {"SIZE", 5, [](const TopRow& row) { return whole(row.now.size); },
       [](const TopRow& row) { return row.now.size; }},
      {"ERR/S", 6, [](const TopRow& row) { return rate(row.errors_per_second); },
       [](const TopRow& row) { return row.errors_per_second; }},
      {"SLOW/S", 6, [](const TopRow& row) { return rate(row.slow_per_second); },
       [](const TopRow& row) { return row.slow_per_second; }},
  };
  return kColumns;
}

constexpr std::size_t kUserColumn = 1, kDatabaseColumn = 2;

// At most `width` characters of what may be anybody's text: nothing of it moves the cursor.
std::string cell(std::string_view text, std::size_t width, bool to_the_right) {
  std::string shown;
  std::size_t used = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (begins && used == width) break;
    used += begins ? 1 : 0;
    shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  const std::string blanks(width - std::min(width, used), ' ');
  return to_the_right ? blanks + shown : shown + blanks;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return result;
}

bool mentions(std::string_view text, const std::string& word) {
  return lower(text).contains(word);
}

std::string age_of(double started) {
  const auto all = static_cast<long>(std::max(0.0, static_cast<double>(std::time(nullptr)) - started));
  if (all >= 86400) return fmt::format("{}d {:02}:{:02}", all / 86400, all / 3600 % 24, all / 60 % 60);
  return fmt::format("{:02}:{:02}:{:02}", all / 3600, all / 60 % 60, all % 60);
}

std::string coloured(std::string text, std::string_view colour, bool colours) {
  if (colours) text.insert(0, colour).append(kPlain);
  return text;
}

}  // namespace

std::vector<std::string> TopView::columns() {
  std::vector<std::string> names;
  for (const Column& column : table()) names.push_back(lower(column.name));
  return names;
}

void TopView::show(TopSample sample) {
  trouble_.clear();
  before_ = now_ ? std::move(now_) : std::nullopt;
  now_ = std::move(sample);
}

bool TopView::sort_by(std::string_view column) {
  for (std::size_t i = 0; i < table().size(); ++i) {
    if (lower(table()[i].name) != lower(column)) continue;
    column_ = i;
    is_reversed_ = false;
    return true;
  }
  return false;
}

// --- keys ---

TopView::Answer TopView::press(Key key, char letter) {
  if (is_typing_) return press_while_typing(key, letter);
  shows_help_ = shows_help_ && key == Key::kTab;
  switch (key) {
    case Key::kUp:
      first_row_ -= std::min<std::size_t>(first_row_, 1);
      return Answer::kNone;
    case Key::kDown:
      ++first_row_;
      return Answer::kNone;
    case Key::kPageUp:
      first_row_ -= std::min(first_row_, page_rows_);
      return Answer::kNone;
    case Key::kPageDown:
      first_row_ += page_rows_;
      return Answer::kNone;
    case Key::kTab:
      page_ = page_ == Page::kPools ? Page::kTenants : page_ == Page::kTenants ? Page::kSlow : Page::kPools;
      first_row_ = 0;
      return Answer::kNone;
    case Key::kEscape:
      filter_.clear();
      return Answer::kNone;
    default:
      break;
  }
  switch (letter) {
    case 'q':
      return Answer::kQuit;
    case '/':
      is_typing_ = true;
      return Answer::kNone;
    case '>':
    case '<':
      next_column(letter == '>' ? 1 : -1);
      return Answer::kNone;
    case 'r':
      is_reversed_ = !is_reversed_;
      return Answer::kNone;
    case 'p':
    case 't':
    case 's':
      page_ = letter == 'p' ? Page::kPools : letter == 't' ? Page::kTenants : Page::kSlow;
      first_row_ = 0;
      return Answer::kNone;
    case 'w':
      (void)sort_by("longest");
      return Answer::kNone;
    case 'n':
      (void)sort_by("tenant");
      return Answer::kNone;
    case ' ':
      is_paused_ = !is_paused_;
      return Answer::kNone;
    case '+':
      return Answer::kFaster;
    case '-':
      return Answer::kSlower;
    case 'h':
    case '?':
      shows_help_ = true;
      return Answer::kNone;
    default:
      return Answer::kNone;
  }
}

TopView::Answer TopView::press_while_typing(Key key, char letter) {
  if (key == Key::kText) filter_ += letter;
  if (key == Key::kBackspace && !filter_.empty()) filter_.pop_back();
  if (key == Key::kEscape) filter_.clear();
  if (key == Key::kEnter || key == Key::kEscape) is_typing_ = false;
  first_row_ = 0;
  return Answer::kNone;
}

void TopView::next_column(int step) {
  const auto count = static_cast<int>(table().size());
  column_ = static_cast<std::size_t>((static_cast<int>(column_) + step + count) % count);
  is_reversed_ = false;
}

// --- lines ---

std::vector<TopRow> TopView::wanted_rows() const {
  if (!now_) return {};
  std::vector<TopRow> rows =
      rows_of(before_ ? *before_ : *now_, *now_, page_ == Page::kTenants ? TopBy::kTenant : TopBy::kPool);
  const std::string word = lower(filter_);
  std::erase_if(rows, [&](const TopRow& row) {
    return !mentions(row.tenant, word) && !mentions(row.user, word) && !mentions(row.database, word);
  });
  const Column& column = table()[column_];
  const auto before = [&](const TopRow& a, const TopRow& b) {
    if (column.number == nullptr) return column.text(a) < column.text(b);
    return column.number(a) > column.number(b);
  };
  std::ranges::sort(rows, [&](const TopRow& a, const TopRow& b) {
    if (before(a, b) != before(b, a)) return before(a, b) != is_reversed_;
    return std::tie(a.tenant, a.user, a.database) < std::tie(b.tenant, b.user, b.database);
  });
  return rows;
}

std::vector<std::string> TopView::heading(std::size_t width, bool colours) const {
  std::vector<std::string> lines;
  if (!now_) return {cell(trouble_.empty() ? "waiting for the server" : trouble_, width, false)};
  double clients = 0, waiting = 0, longest = 0, active = 0, idle = 0, others = 0, qps = 0;
  for (const TopRow& row : rows_of(before_ ? *before_ : *now_, *now_, TopBy::kPool)) {
    clients += row.now.clients_idle + row.now.clients_active + row.now.waiting;
    waiting += row.now.waiting;
    longest = std::max(longest, row.now.longest_wait);
    active += row.now.servers_active;
    idle += row.now.servers_idle;
    others += row.now.servers_cleaning + row.now.servers_connecting;
    qps += row.queries_per_second;
  }
  const double passed = before_ ? std::chrono::duration<double>(now_->at - before_->at).count() : 0;
  const double cpu =
      passed > 0 && now_->workers > 0
          ? 100 * std::max(0.0, now_->worker_cpu - before_->worker_cpu) / passed / now_->workers
          : 0;
  lines.push_back(
      cell(fmt::format("penstock {}  up {}  {}{}  every {:g} s{}", now_->version, age_of(now_->started),
                       now_->is_ready ? "ready" : "NOT READY", now_->catalog_fails ? ", CATALOG FAILS" : "",
                       interval_, is_paused_ ? "  PAUSED" : ""),
           width, false));
  lines.push_back(
      cell(fmt::format("{} tenants, {} pools; clients {:.0f} of {:.0f}, {:.0f} waiting (longest {}); servers "
                       "{:.0f} active, "
                       "{:.0f} idle, {:.0f} other; {} queries/s; workers {:.0f} %; {:.0f} MB",
                       now_->tenants, now_->pools.size(), clients, now_->clients_max, waiting,
                       seconds(longest), active, idle, others, rate(qps), cpu, now_->memory / 1e6),
           width, false));
  std::string third = fmt::format("{} by {}{}", page_ == Page::kPools ? "pools" : "tenants",
                                  lower(table()[column_].name), is_reversed_ ? " reversed" : "");
  if (page_ == Page::kSlow) third = "slow queries, newest first";
  if (!filter_.empty()) third += fmt::format(", with \"{}\"", filter_);
  if (is_typing_) third = fmt::format("filter: {}_", filter_);
  if (!trouble_.empty()) third = trouble_;
  lines.push_back(coloured(cell(third, width, false), trouble_.empty() ? kBold : kRed, colours));
  return lines;
}

std::size_t TopView::scrolled(std::size_t rows, std::size_t room) {
  page_rows_ = std::max<std::size_t>(1, room);
  first_row_ = std::min(first_row_, rows > room ? rows - room : 0);
  return first_row_;
}

void TopView::add_rows(std::vector<std::string>& lines, Size size, bool colours) {
  const auto line_of = [&](const auto& text_of) {
    std::string line;
    for (std::size_t i = 0; i < table().size(); ++i) {
      if (page_ == Page::kTenants && (i == kUserColumn || i == kDatabaseColumn)) continue;
      const Column& column = table()[i];
      if (!line.empty()) line += ' ';
      line += cell(text_of(column), column.width, column.number != nullptr);
    }
    return cell(line, size.width, false);
  };
  lines.push_back(
      coloured(line_of([](const Column& column) { return std::string(column.name); }), kInverse, colours));
  const std::vector<TopRow> rows = wanted_rows();
  const std::size_t room = size.height > lines.size() ? size.height - lines.size() : 0;
  for (std::size_t i = scrolled(rows.size(), room); i < rows.size() && lines.size() < size.height; ++i) {
    const TopRow& row = rows[i];
    const bool is_bad = row.now.waiting > 0 || row.now.is_failing;
    std::string line = line_of([&](const Column& column) { return column.text(row); });
    lines.push_back(is_bad ? coloured(std::move(line), kRed, colours) : std::move(line));
  }
}

void TopView::add_slow(std::vector<std::string>& lines, Size size, bool colours) {
  const auto line_of = [&](std::string_view at, std::string_view tenant, std::string_view user,
                           std::string_view duration, std::string_view wait, std::string_view query) {
    return cell(fmt::format("{} {} {} {} {}  {}", cell(at, 12, false), cell(tenant, 16, false),
                            cell(user, 12, false), cell(duration, 9, true), cell(wait, 8, true), query),
                size.width, false);
  };
  lines.push_back(coloured(line_of("AT", "TENANT", "USER", "MS", "WAIT_MS", "QUERY"), kInverse, colours));
  std::vector<SlowLine> slow = now_ ? now_->slow : std::vector<SlowLine>();
  const std::string word = lower(filter_);
  std::erase_if(slow, [&](const SlowLine& line) {
    return !mentions(line.tenant, word) && !mentions(line.user, word) && !mentions(line.query, word);
  });
  const std::size_t room = size.height > lines.size() ? size.height - lines.size() : 0;
  for (std::size_t i = scrolled(slow.size(), room); i < slow.size() && lines.size() < size.height; ++i) {
    const SlowLine& line = slow[i];
    constexpr std::size_t kDate = 11;  // "2026-11-22T"
    lines.push_back(line_of(std::string_view(line.at).substr(std::min(kDate, line.at.size())), line.tenant,
                            line.user, milliseconds(line.duration_ms), milliseconds(line.wait_ms),
                            line.query));
  }
}

std::vector<std::string> TopView::draw(Size size, bool colours) {
  std::vector<std::string> lines = heading(size.width, colours);
  if (shows_help_) {
    for (const std::string_view text :
         {"", "  Tab, p, t, s   pools, tenants, slow queries", "  < >            sort by the next column",
          "  r              the other way round", "  w, n           sort by the longest wait, by name",
          "  / text Enter   only what has this text; Esc takes it away", "  arrows, PgUp, PgDn   scroll",
          "  space          stop and go on", "  + -            more often, less often",
          "  q              quit"}) {
      lines.push_back(cell(text, size.width, false));
    }
  } else if (now_ && page_ == Page::kSlow) {
    add_slow(lines, size, colours);
  } else if (now_) {
    add_rows(lines, size, colours);
  }
  if (lines.size() > size.height) lines.resize(size.height);
  return lines;
}

}  // namespace penstock::cli
