#include "cli/catalog_commands.h"

#include <fmt/format.h>

#include "auth/keyring.h"
#include "base/random.h"
#include "catalog/open_store.h"
#include "catalog/postgres.h"
#include "catalog/record.h"
#include "catalog/sqlite_store.h"
#include "catalog/timestamp.h"
#include "cli/columns.h"

namespace penstock::cli {

namespace {

struct Options {
  CatalogOptions catalog = {};
  std::string file = {};
  std::string tenant = {};
  std::size_t limit = 50;
};

int run_new_key(const Options&, const Call& call) {
  base::SystemRandom random;
  call.terminal().out(auth::Keyring::make_key(random) + "\n");
  return kDone;
}

int run_rotate_key(const Options& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<catalog::SealReport> before = opened->store->rotate_key(actor_of(call.world));
  if (!before) return call.fail(before.error());
  const std::size_t done = before->plain + before->by_old_key;
  if (done == 0) {
    call.terminal().out(
        fmt::format("nothing to do: all {} secrets are sealed with the first key\n", before->sealed));
  } else {
    call.terminal().out(
        fmt::format("{} secret{} sealed with the first key ({} had not been sealed, {} by another key)\n",
                    done, done == 1 ? "" : "s", before->plain, before->by_old_key));
  }
  return kDone;
}

int run_backup(const Options& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  auto* store = dynamic_cast<catalog::SqliteStore*>(opened->store.get());
  if (store == nullptr) {
    return call.fail({.message = "this catalog is in a Postgres database, which has its own backups",
                      .hint = "Use pg_dump --schema=penstock, or `penstock catalog export --with-secrets`."});
  }
  if (const base::Status status = store->back_up(options.file); !status) return call.fail(status.error());
  call.terminal().out(fmt::format("catalog copied to \"{}\"\n", options.file));
  return kDone;
}

int run_restore(const Options& options, const Call& call) {
  const auto loaded = settings_of(options.catalog, call.world);
  if (!loaded) return call.fail(loaded.error());
  if (catalog::is_postgres_url(loaded->catalog)) {
    return call.fail({.message = "this catalog is in a Postgres database, which has its own backups",
                      .hint = "Use psql or pg_restore, or `penstock catalog import`."});
  }
  const auto tenants = catalog::SqliteStore::restore(
      {.path = loaded->catalog, .keys = catalog::key_source(*loaded, call.world.environment)}, options.file,
      actor_of(call.world));
  if (!tenants) return call.fail(tenants.error());
  call.terminal().out(fmt::format("catalog restored from \"{}\": {} tenant{}\n", options.file, *tenants,
                                  *tenants == 1 ? "" : "s"));
  return kDone;
}

int run_migrate(const Options& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kCreate);
  if (!opened) return call.fail(opened.error());
  const base::Result<std::uint64_t> version = opened->store->version();
  if (!version) return call.fail(version.error());
  call.terminal().out("the catalog's tables are up to date\n");
  return kDone;
}

int run_audit(const Options& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const auto entries = opened->store->audit({.tenant = options.tenant, .limit = options.limit});
  if (!entries) return call.fail(entries.error());
  if (options.catalog.json) {
    call.terminal().out(catalog::json_of(*entries) + "\n");
    return kDone;
  }
  std::vector<Row> rows = {{"AT", "WHO", "FROM", "ACTION", "TENANT", "FIELDS"}};
  for (const catalog::AuditEntry& entry : *entries) {
    const std::string fields = fmt::format("{}", fmt::join(entry.fields, ", "));
    rows.push_back({catalog::to_text(entry.at), entry.actor.name, entry.actor.origin, entry.action,
                    entry.tenant.empty() ? "-" : entry.tenant, fields.empty() ? "-" : fields});
  }
  call.terminal().out(entries->empty() ? "no changes recorded\n" : columns(rows));
  return kDone;
}

CLI::App* add_command(CLI::App& parent, const char* name, const char* what,
                      const std::shared_ptr<Options>& options) {
  CLI::App* app = parent.add_subcommand(name, what);
  add_catalog_options(*app, options->catalog);
  return app;
}

void add_key_commands(CLI::App& catalog, Call& call) {
  CLI::App* app = catalog.add_subcommand("new-key", "Prints a new random key that can seal secrets");
  app->footer("Example:\n  (umask 077; penstock catalog new-key > /etc/penstock/catalog.key)");
  on_call(*app, call, std::make_shared<Options>(), run_new_key);

  auto options = std::make_shared<Options>();
  app = add_command(catalog, "rotate-key", "Seals all secrets with the first of the catalog keys", options);
  app->footer(
      "To change the key without a pause: add the new key as the last line of the key file of every node, "
      "then "
      "make it\n"
      "the first, run this command, and take the old key away. The same command seals secrets that were "
      "stored "
      "before\n"
      "there was a key.");
  on_call(*app, call, options, run_rotate_key);
}

}  // namespace

void add_catalog_commands(CLI::App& app, Call& call) {
  CLI::App* catalog = app.add_subcommand("catalog", "The catalog as a whole: copies, keys, history");
  catalog->require_subcommand(1);
  add_transfer_commands(*catalog, call);
  add_key_commands(*catalog, call);

  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(*catalog, "backup", "Copies a catalog file while it is in use", options);
  command->add_option("FILE", options->file, "The copy; it must not exist yet")->required();
  command->footer("The copy holds the same secrets, sealed with the same keys.");
  on_call(*command, call, options, run_backup);

  options = std::make_shared<Options>();
  command = add_command(*catalog, "restore", "Makes a catalog file hold what a backup does", options);
  command->add_option("FILE", options->file, "What `backup` wrote")->required();
  command->footer(
      "Works while a server runs, which notices. The backup is checked first: is it whole, can each tenant "
      "be "
      "read?\n"
      "The history that `audit` shows goes on; tenants that the backup does not have are removed.");
  on_call(*command, call, options, run_restore);

  options = std::make_shared<Options>();
  command =
      add_command(*catalog, "migrate", "Creates the catalog's tables, or brings them up to date", options);
  on_call(*command, call, options, run_migrate);

  options = std::make_shared<Options>();
  command = add_command(*catalog, "audit", "Shows who changed what, newest first", options);
  add_json_option(*command, options->catalog);
  command->add_option("--tenant", options->tenant, "Changes of one tenant")->type_name("ID");
  command->add_option("--limit", options->limit, "At most so many changes [otherwise: 50]")
      ->type_name("NUMBER");
  on_call(*command, call, options, run_audit);
}

}  // namespace penstock::cli
