#include "cli/top_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "catalog/duration_text.h"
#include "cli/api_client.h"
#include "cli/screen.h"
#include "cli/top_view.h"
#include "http/uri.h"

namespace penstock::cli {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kIntervalMin{100}, kIntervalMax{60'000};
// Of what is printed once: as much as there is.
constexpr std::size_t kWide = 220, kLong = 100'000;

struct TopOptions {
  ApiOptions api = {};
  std::string tenant = {};
  std::string interval = "2s";
  std::string sort = "qps";
  std::string filter = {};
  std::string page = "pools";
  bool once = false;
};

class TopSource {
 public:
  TopSource(ApiClient client, const std::string& tenant)
      : client_(std::move(client)),
        metrics_(tenant.empty() ? "/metrics" : "/metrics/" + http::percent_encode(tenant)),
        slow_(tenant.empty() ? "/api/slow-queries"
                             : "/api/slow-queries?tenant=" + http::percent_encode(tenant)) {}

  base::Result<TopSample> read() {
    const base::Result<http::Answer> metrics = client_.get(metrics_, "text/plain");
    if (!metrics) return base::fail(metrics.error());
    if (metrics->status != 200) return base::fail(client_.error_of(*metrics));
    TopSample sample = sample_of(metrics->body);
    sample.at = Clock::now();
    // A token that is good for metrics only may not see them.
    const base::Result<http::Answer> slow = client_.get(slow_);
    if (slow && slow->status == 200) sample.slow = slow_lines_of(slow->body);
    return sample;
  }

 private:
  ApiClient client_;
  std::string metrics_;
  std::string slow_;
};

std::string without_trailing_blanks(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

// Keys of a terminal as TopView knows them.
TopView::Answer press_all(TopView& view, std::string_view typed) {
  using Key = TopView::Key;
  static constexpr std::pair<std::string_view, Key> kSequences[] = {
      {"\033[A", Key::kUp},   {"\033[B", Key::kDown},    {"\033OA", Key::kUp},
      {"\033OB", Key::kDown}, {"\033[5~", Key::kPageUp}, {"\033[6~", Key::kPageDown}};
  while (!typed.empty()) {
    const auto sequence =
        std::ranges::find_if(kSequences, [&](const auto& known) { return typed.starts_with(known.first); });
    TopView::Answer answer = TopView::Answer::kNone;
    if (sequence != std::end(kSequences)) {
      typed.remove_prefix(sequence->first.size());
      answer = view.press(sequence->second);
    } else if (typed.starts_with("\033[") || typed.starts_with("\033O")) {
      // A key that means nothing here; its last character is the first from '@' on.
      const auto* end = std::ranges::find_if(typed.substr(2), [](char c) { return c >= '@' && c <= '~'; });
      typed = typed.substr(static_cast<std::size_t>(std::min(typed.end(), end + 1) - typed.begin()));
    } else {
      const char c = typed.front();
      typed.remove_prefix(1);
      const Key key = c == '\033'                ? Key::kEscape
                      : c == '\t'                ? Key::kTab
                      : c == '\n' || c == '\r'   ? Key::kEnter
                      : c == '\x7f' || c == '\b' ? Key::kBackspace
                                                 : Key::kText;
      answer = view.press(key, c);
    }
    if (answer != TopView::Answer::kNone) return answer;
  }
  return TopView::Answer::kNone;
}

int run_once(TopSource& source, TopView& view, milliseconds interval, const Call& call) {
  for (const bool is_first : {true, false}) {
    base::Result<TopSample> sample = source.read();
    if (!sample) return call.fail(sample.error());
    view.show(*std::move(sample));
    if (is_first) std::this_thread::sleep_for(interval);
  }
  for (std::string& line : view.draw({.width = kWide, .height = kLong}, false)) {
    call.terminal().out(without_trailing_blanks(std::move(line)) + "\n");
  }
  return kDone;
}

int run_live(TopSource& source, TopView& view, milliseconds interval, const Call& call) {
  // Before the screen is taken: what is wrong from the beginning is said as usual.
  base::Result<TopSample> first = source.read();
  if (!first) return call.fail(first.error());
  view.show(*std::move(first));
  base::Result<std::unique_ptr<Screen>> screen = Screen::open();
  if (!screen) return call.fail(screen.error());
  Clock::time_point next = Clock::now() + std::min(interval, milliseconds(500));
  std::string keys;
  while (true) {
    const Screen::Size size = Screen::size();
    view.set_interval(std::chrono::duration<double>(interval).count());
    (*screen)->draw(view.draw({.width = size.width, .height = size.height}, true));
    const auto left = std::chrono::ceil<milliseconds>(next - Clock::now());
    switch ((*screen)->wait(std::max(left, milliseconds(0)), keys)) {
      case Screen::Event::kEnded:
        return kDone;
      case Screen::Event::kKeys:
        switch (press_all(view, keys)) {
          case TopView::Answer::kQuit:
            return kDone;
          case TopView::Answer::kFaster:
            interval = std::max(kIntervalMin, interval / 2);
            break;
          case TopView::Answer::kSlower:
            interval = std::min(kIntervalMax, interval * 2);
            break;
          case TopView::Answer::kNone:
            break;
        }
        break;
      case Screen::Event::kResized:
      case Screen::Event::kNone:
        break;
    }
    if (Clock::now() < next) continue;
    next = Clock::now() + interval;
    if (view.is_paused()) continue;
    base::Result<TopSample> sample = source.read();
    if (sample) {
      view.show(*std::move(sample));
    } else {
      view.complain(sample.error().message);
    }
  }
}

int run_top(const TopOptions& options, const Call& call) {
  TopView view;
  Mistakes mistakes;
  const auto interval = catalog::parse_duration(options.interval);
  if (!interval || *interval < kIntervalMin || *interval > kIntervalMax) {
    mistakes.note(
        {.message = fmt::format("--interval: must be a time from 100ms to 1min, such as 2s, not \"{}\"",
                                options.interval)});
  }
  if (!view.sort_by(options.sort)) {
    mistakes.note({.message = fmt::format("--sort: there is no column \"{}\"", options.sort),
                   .hint = fmt::format("They are {}.", fmt::join(TopView::columns(), ", "))});
  }
  if (const base::Status status = mistakes.status(); !status) return call.misuse(status.error());
  view.filter_by(options.filter);
  view.set_interval(std::chrono::duration<double>(*interval).count());
  view.set_page(options.page == "pools"     ? TopView::Page::kPools
                : options.page == "tenants" ? TopView::Page::kTenants
                                            : TopView::Page::kSlow);
  base::Result<ApiClient> client = ApiClient::open(options.api, call.world, std::chrono::seconds(5));
  if (!client) return call.fail(client.error());
  TopSource source(*std::move(client), options.tenant);
  return options.once ? run_once(source, view, *interval, call) : run_live(source, view, *interval, call);
}

}  // namespace

void add_top_command(CLI::App& app, Call& call) {
  auto options = std::make_shared<TopOptions>();
  CLI::App* command = app.add_subcommand("top", "Shows what goes on in a running server, live");
  add_api_options(*command, options->api);
  command->add_option("--interval", options->interval, "How often [otherwise: 2s]")->type_name("TIME");
  command->add_flag("--once", options->once, "Prints what happened in one interval, and ends");
  command
      ->add_option("--show", options->page,
                   "pools, tenants or slow (the last slow queries) [otherwise: pools]")
      ->check(CLI::IsMember({"pools", "tenants", "slow"}).description(""))
      ->type_name("WORD");
  command->add_option("--sort", options->sort, "By this column [otherwise: qps]")->type_name("COLUMN");
  command->add_option("--filter", options->filter, "Only what has this text in tenant, user or database")
      ->type_name("TEXT");
  command->add_option("--tenant", options->tenant, "Of one tenant, for tokens that are good for one only")
      ->type_name("ID");
  command->footer(fmt::format(
      "The token needs the scope metrics, and for slow queries read. Keys are told by h; q ends it.\n"
      "Columns: {}.\n"
      "Examples:\n"
      "  penstock top --api http://127.0.0.1:6433 --token-file token\n"
      "  penstock top --api http://127.0.0.1:6433 --token-file token --once --show tenants --sort longest",
      fmt::join(TopView::columns(), ", ")));
  on_call(*command, call, options, run_top);
}

}  // namespace penstock::cli
