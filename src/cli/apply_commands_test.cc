#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "catalog/sqlite_store.h"
#include "catalog/temporary_directory.h"
#include "cli/fake_terminal.h"
#include "cli/run.h"

namespace penstock::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kHasChanges = 2;

class ApplyTest : public testing::Test {
 protected:
  int penstock(std::vector<std::string> words) {
    terminal_.written.clear();
    terminal_.complaints.clear();
    config::Environment environment = environment_;
    environment["PENSTOCK_SERVER_CATALOG"] = catalog_;
    return run(std::move(words), {.terminal = terminal_, .environment = std::move(environment)});
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }
  model::SnapshotPtr stored() {
    auto store = catalog::SqliteStore::open({.path = catalog_, .create = false});
    EXPECT_TRUE(store);
    return *(*store)->load();
  }

  catalog::TemporaryDirectory directory_;
  std::string catalog_ = directory_ / "penstock.db";
  config::Environment environment_;
  FakeTerminal terminal_;
};

constexpr const char* kAcme =
    "tenants:\n"
    "- id: acme\n"
    "  hosts: [\"db:5432\"]\n"
    "  pool_size: 40\n"
    "  users:\n"
    "  - name: app\n"
    "    secret: top-secret\n";

TEST_F(ApplyTest, AddsThenHasNothingToDo) {
  const std::string file = write("t.yaml", kAcme);
  ASSERT_EQ(penstock({"catalog", "migrate"}), kDone);
  EXPECT_EQ(penstock({"plan", "-f", file}), kHasChanges) << terminal_.complaints;
  EXPECT_EQ(terminal_.written,
            "+ tenant acme\n"
            "    hosts: db:5432\n"
            "    pool_size: 40\n"
            "    + user app\n"
            "        secret: set\n"
            "Plan: 1 to add, 0 to change, 0 to remove.\n");
  EXPECT_TRUE(stored()->tenants().empty()) << "a plan changes nothing";
  EXPECT_EQ(penstock({"apply", "-f", file, "--dry-run"}), kDone);
  EXPECT_TRUE(stored()->tenants().empty());
  EXPECT_EQ(penstock({"apply", "-f", file}), kDone) << terminal_.complaints;
  EXPECT_THAT(terminal_.written, HasSubstr("Applied.\n"));
  EXPECT_EQ(stored()->by_id("acme")->users.at(0).secret, "top-secret");
  EXPECT_EQ(penstock({"plan", "-f", file}), kDone);
  EXPECT_EQ(penstock({"apply", "-f", file}), kDone);
  EXPECT_EQ(terminal_.written, "Nothing to do: the catalog is as the files say.\n");
}

TEST_F(ApplyTest, ShowsEachFieldAndNoSecret) {
  ASSERT_EQ(penstock({"apply", "-f", write("t.yaml", kAcme)}), kDone);
  const std::string file = write("t.yaml",
                                 "- id: acme\n"
                                 "  hosts: [\"db:5432\", \"db2:5432\"]\n"
                                 "  users:\n"
                                 "  - {name: app, secret: changed, pool_mode: session}\n"
                                 "  - {name: new, secret: fresh}\n");
  EXPECT_EQ(penstock({"plan", "-f", file}), kHasChanges);
  EXPECT_EQ(terminal_.written,
            "~ tenant acme\n"
            "    hosts: db:5432 -> db:5432, db2:5432\n"
            "    pool_size: 40 -> (not set: the server's setting)\n"
            "    ~ user app\n"
            "        secret: changed\n"
            "        pool_mode: (not set: the tenant's setting) -> session\n"
            "    + user new\n"
            "        secret: set\n"
            "Plan: 0 to add, 1 to change, 0 to remove.\n");
  EXPECT_EQ(penstock({"plan", "-f", file, "--json"}), kHasChanges);
  EXPECT_THAT(terminal_.written, AllOf(HasSubstr("\"pool_mode\""), Not(HasSubstr("fresh"))));
}

TEST_F(ApplyTest, RemovesOnlyWhenToldTo) {
  ASSERT_EQ(penstock({"apply", "-f", write("t.yaml", kAcme)}), kDone);
  ASSERT_EQ(penstock({"tenant", "add", "old", "--host", "x"}), kDone);
  ASSERT_EQ(penstock({"user", "add", "spare.acme", "--no-password"}), kDone);
  EXPECT_EQ(penstock({"apply", "-f", directory_ / "t.yaml"}), kDone);
  EXPECT_THAT(terminal_.written,
              HasSubstr("left alone without --prune: tenant old, user spare of tenant acme.\n"));
  EXPECT_EQ(stored()->tenants().size(), 2u);
  EXPECT_EQ(penstock({"apply", "-f", directory_ / "t.yaml", "--prune"}), kDone);
  EXPECT_THAT(terminal_.written, AllOf(HasSubstr("- user spare\n"), HasSubstr("- tenant old\n")));
  EXPECT_EQ(stored()->tenants().size(), 1u);
  EXPECT_EQ(penstock({"apply", "-f", write("none.yaml", "tenants: []\n"), "--prune"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("would remove every tenant"));
  EXPECT_EQ(stored()->tenants().size(), 1u);
}

TEST_F(ApplyTest, AsksOnATerminal) {
  const std::string file = write("t.yaml", kAcme);
  terminal_.interactive = true;
  terminal_.answers = {"y", "yes"};
  EXPECT_EQ(penstock({"apply", "-f", file}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("nothing was changed"));
  EXPECT_EQ(stored()->by_id("acme"), nullptr);
  EXPECT_EQ(penstock({"apply", "-f", file}), kDone);
  EXPECT_EQ(penstock({"apply", "-f", file}), kDone) << "nothing to do, nothing to ask";
  write("t.yaml", "- {id: acme, hosts: [x]}\n");
  EXPECT_EQ(penstock({"apply", "-f", file, "--yes"}), kDone);
}

TEST_F(ApplyTest, ReadsSeveralFilesAndDirectories) {
  std::filesystem::create_directory(directory_ / "more");
  write("more/b.yml", "- {id: b, hosts: [x]}\n");
  write("more/c.json", R"([{"id": "c", "hosts": ["x"]}])");
  write("more/readme.md", "not a document: [");
  EXPECT_EQ(penstock({"apply", "-f", write("a.yaml", kAcme), "-f", directory_ / "more"}), kDone)
      << terminal_.complaints;
  EXPECT_EQ(stored()->tenants().size(), 3u);
  std::filesystem::create_directory(directory_ / "empty");
  EXPECT_EQ(penstock({"plan", "-f", directory_ / "empty", "-f", directory_ / "missing.yaml"}), kFailed);
  EXPECT_THAT(terminal_.complaints, AllOf(HasSubstr("there is no .yaml, .yml or .json file"),
                                          HasSubstr("missing.yaml\" cannot be read: No such file")));
}

TEST_F(ApplyTest, TellsAllMistakesOfAllFiles) {
  ASSERT_EQ(penstock({"catalog", "migrate"}), kDone);
  const std::string a = write("a.yaml", "- id: one\n  hosts: [x]\n  pool_size: many\n  colour: red\n");
  const std::string b = write("b.yaml", "- id: two\n  hosts: [x]\n- id: one\n  hosts: [x]\n");
  EXPECT_EQ(penstock({"plan", "-f", a, "-f", b}), kFailed);
  EXPECT_THAT(terminal_.complaints,
              AllOf(HasSubstr("a.yaml:3: tenants.one.pool_size: must be a whole number"),
                    HasSubstr("a.yaml:4: tenants.one: there is no field \"colour\""),
                    HasSubstr("b.yaml:3: tenants.one: is in " + a + ", too"), HasSubstr("3 mistakes;")));
  // What is wrong with a tenant as a whole is told with its line, too.
  write("a.yaml", "- id: one\n  hosts: [x]\n  pool_size: 3\n  min_pool_size: 5\n");
  EXPECT_EQ(penstock({"apply", "-f", a, "-f", write("b.yaml", "- {id: three}\n")}), kFailed);
  EXPECT_THAT(terminal_.complaints,
              AllOf(HasSubstr("a.yaml:4: tenants.one.min_pool_size: must not be larger"),
                    HasSubstr("b.yaml:1: tenants.three.hosts: must name at least one")));
  EXPECT_TRUE(stored()->tenants().empty());
  EXPECT_EQ(penstock({"plan", "--no-such-option"}), kFailed) << "2 would say that there are changes";
  EXPECT_EQ(penstock({"apply", "--no-such-option"}), kMisused);
}

TEST_F(ApplyTest, TakesSecretsFromEnvironmentAndFiles) {
  std::filesystem::create_directory(directory_ / "in");
  write("in/key", "from a file\nsecond line\n");
  const std::string file = write("in/t.yaml",
                                 "- id: acme\n"
                                 "  hosts: [x]\n"
                                 "  users:\n"
                                 "  - {name: a, secret: \"${APP_SECRET}\"}\n"
                                 "  - {name: b, secret: {file: key}}\n");
  EXPECT_EQ(penstock({"apply", "-f", file}), kFailed);
  EXPECT_THAT(terminal_.complaints,
              HasSubstr("t.yaml:4: tenants.acme.users.a.secret: environment variable APP_SECRET is not set"));
  environment_["APP_SECRET"] = "from outside";
  ASSERT_EQ(penstock({"apply", "-f", file}), kDone) << terminal_.complaints;
  EXPECT_EQ(stored()->by_id("acme")->users[0].secret, "from outside");
  EXPECT_EQ(stored()->by_id("acme")->users[1].secret, "from a file");
}

TEST_F(ApplyTest, ReadsWhatExportWrites) {
  ASSERT_EQ(penstock({"apply", "-f", write("t.yaml", kAcme)}), kDone);
  ASSERT_EQ(penstock({"tenant", "set", "acme", "--parameter", "a.b=${X} $${Y}"}), kDone)
      << terminal_.complaints;
  for (const std::string format : {"yaml", "json"}) {
    const std::string file = directory_ / ("e." + format);
    ASSERT_EQ(penstock({"export", "--output", file, "--with-secrets"}), kDone) << terminal_.complaints;
    EXPECT_EQ(penstock({"plan", "-f", file, "--prune"}), kDone) << terminal_.written << terminal_.complaints;
    ASSERT_EQ(penstock({"catalog", "export", "--output", file, "--with-secrets"}), kDone);
    EXPECT_EQ(penstock({"catalog", "import", file}), kDone);
    EXPECT_EQ(terminal_.written, "nothing changed\n");
  }
}

TEST_F(ApplyTest, IsRefusedWhenATenantHasChangedSinceThePlan) {
  ASSERT_EQ(penstock({"apply", "-f", write("t.yaml", kAcme)}), kDone);
  // Somebody else is faster while the question waits for its answer.
  class Racing final : public Terminal {
   public:
    explicit Racing(std::string catalog) : catalog_(std::move(catalog)) {}
    void out(std::string_view) override {}
    void err(std::string_view text) override { complaints += text; }
    bool is_interactive() const override { return true; }
    base::Result<std::string> ask_secret(std::string_view) override { return std::string(); }
    base::Result<std::string> read_line() override {
      auto store = catalog::SqliteStore::open({.path = catalog_, .create = false});
      model::TenantSpec tenant = *(*(*store)->load())->by_id("acme");
      tenant.overrides.pool_size = 77;
      EXPECT_TRUE((*store)->put_tenant(tenant));
      return std::string("yes");
    }
    std::string complaints;

   private:
    std::string catalog_;
  };
  Racing terminal(catalog_);
  write("t.yaml", "- {id: acme, hosts: [elsewhere]}\n- {id: other, hosts: [x]}\n");
  EXPECT_EQ(run({"apply", "-f", directory_ / "t.yaml"},
                {.terminal = terminal, .environment = {{"PENSTOCK_SERVER_CATALOG", catalog_}}}),
            kFailed);
  EXPECT_THAT(terminal.complaints, AllOf(HasSubstr("tenant \"acme\" has changed since revision"),
                                         HasSubstr("Nothing was changed.")));
  EXPECT_EQ(stored()->by_id("acme")->overrides.pool_size, 77);
  EXPECT_EQ(stored()->by_id("other"), nullptr);
}

// --- beside it: all mistakes of a command line, secrets from files

TEST_F(ApplyTest, CommandsNameAllMistakes) {
  ASSERT_EQ(penstock({"apply", "-f", write("t.yaml", kAcme)}), kDone);
  EXPECT_EQ(
      penstock({"tenant", "set", "acme", "--pool-size", "many", "--pool-mode", "x", "--unset", "colour"}),
      kMisused);
  EXPECT_THAT(terminal_.complaints, AllOf(HasSubstr("there is no field \"colour\""),
                                          HasSubstr("\n  pool_mode: "), HasSubstr("\n  pool_size: ")));
  EXPECT_EQ(penstock({"tenant", "add", "a b", "--pool-size", "0"}), kMisused);
  EXPECT_THAT(terminal_.complaints,
              AllOf(HasSubstr("tenant id: "), HasSubstr("pool_size: "), HasSubstr("--host is missing")));
}

TEST_F(ApplyTest, UpstreamSecretsComeFromFilesAndTheStandardInput) {
  ASSERT_EQ(penstock({"apply", "-f", write("t.yaml", kAcme)}), kDone);
  const std::string file = write("secret", "for the server\n");
  ASSERT_EQ(penstock({"user", "set", "app.acme", "--upstream-secret-file", file}), kDone)
      << terminal_.complaints;
  EXPECT_THAT(terminal_.complaints, Not(HasSubstr("warning")));
  EXPECT_EQ(stored()->by_id("acme")->users[0].upstream_secret, "for the server");
  terminal_.answers = {"typed"};
  ASSERT_EQ(penstock({"user", "add", "b.acme", "--no-password", "--upstream-secret-stdin"}), kDone)
      << terminal_.complaints;
  EXPECT_EQ(stored()->by_id("acme")->users[1].upstream_secret, "typed");
  EXPECT_EQ(penstock({"user", "set", "b.acme", "--upstream-secret-stdin", "--upstream-secret-file", file}),
            kMisused);
  EXPECT_EQ(penstock({"user", "set", "b.acme", "--upstream-secret-file", directory_ / "none"}), kFailed);
}

}  // namespace
}  // namespace penstock::cli
