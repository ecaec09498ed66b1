#include "cli/manual.h"

#include <fmt/format.h>

#include <vector>

#include "cli/run.h"

namespace penstock::cli {

namespace {

constexpr const char* kPreface = R"(# Commands

<!-- Made from --help by a test; change the commands, not this page. -->

Every command explains itself with `--help`; this page is what they say. Exit codes: 0 done; 1 it could not be done, the reason is
on the standard error; 2 the command was not understood. Output is for people; with `--json` it is for programs. No command shows
a secret.

`--config` and `--set` of `tenant` and `user` matter for two settings only: `server.catalog` (which file) and
`server.default_tenant` (whose users have no suffix). What the fields mean: [Tenants and users](tenants.md).
)";

class Recorder final : public Terminal {
 public:
  void out(std::string_view more) override { text += more; }
  void err(std::string_view more) override { text += more; }
  bool is_interactive() const override { return false; }
  base::Result<std::string> ask_secret(std::string_view) override { return std::string(); }
  base::Result<std::string> read_line() override { return std::string(); }

  std::string text;
};

}  // namespace

std::string commands_for_manual() {
  const std::vector<std::vector<std::string>> commands = {
      {},
      {"serve"},
      {"check"},
      {"tenant"},
      {"tenant", "add"},
      {"tenant", "list"},
      {"tenant", "show"},
      {"tenant", "set"},
      {"tenant", "remove"},
      {"user"},
      {"user", "add"},
      {"user", "list"},
      {"user", "show"},
      {"user", "set"},
      {"user", "remove"},
      {"plan"},
      {"apply"},
      {"export"},
      {"catalog"},
      {"catalog", "export"},
      {"catalog", "import"},
      {"catalog", "new-key"},
      {"catalog", "rotate-key"},
      {"catalog", "backup"},
      {"catalog", "migrate"},
      {"catalog", "audit"},
      {"token"},
      {"top"},
      {"version"},
  };
  std::string page = kPreface;
  for (std::vector<std::string> words : commands) {
    std::string title = "penstock";
    for (const std::string& word : words) title += " " + word;
    words.push_back("--help");
    Recorder recorder;
    (void)run(words, {.terminal = recorder});
    page += fmt::format("\n## {}\n\n```text\n{}```\n", title, recorder.text);
  }
  return page;
}

}  // namespace penstock::cli
