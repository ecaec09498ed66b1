#include "catalog/open_store.h"

#include <fmt/format.h>

#include "catalog/shared_store.h"
#include "catalog/sqlite_store.h"

namespace penstock::catalog {

KeySource key_source(const config::Settings& settings, const config::Environment& environment) {
  const auto found = environment.find(kKeyVariable);
  return {.file = settings.catalog_key_file, .text = found == environment.end() ? "" : found->second};
}

base::Result<std::unique_ptr<Store>> open_store(const config::Settings& settings,
                                                const config::Environment& environment, Opening opening) {
  const auto as_store = [](auto opened) -> base::Result<std::unique_ptr<Store>> {
    if (!opened) return base::fail(opened.error());
    return *std::move(opened);
  };
  const KeySource keys = key_source(settings, environment);
  // A server has more to do than to wait for a lock: who asks for a change is told to try again, and whoever watches
  // the process gets an answer in time.
  const auto at_work = std::chrono::milliseconds(opening == Opening::kServer ? 250 : 5000);
  if (!is_postgres_url(settings.catalog)) {
    return as_store(SqliteStore::open({.path = settings.catalog,
                                       .default_tenant = settings.default_tenant,
                                       .create = opening != Opening::kMustBe,
                                       .patience_at_work = at_work,
                                       .keys = keys}));
  }
  const bool migrates =
      opening == Opening::kCreate || (opening == Opening::kServer && settings.catalog_migrate);
  PostgresStore::Options postgres{.url = settings.catalog,
                                  .default_tenant = settings.default_tenant,
                                  .keys = keys,
                                  .migrate = migrates ? Migrate::kYes : Migrate::kNo};
  if (opening != Opening::kServer) return as_store(PostgresStore::open(std::move(postgres)));
  postgres.patience_with_locks = at_work;
  return as_store(
      SharedStore::open({.postgres = std::move(postgres), .copy_file = settings.catalog_copy_file}));
}

std::string complaint_about(const SealReport& report, const KeySource& source) {
  // What is sealed with a key that is not there can be read by nobody.
  const std::size_t behind = report.plain + (source.is_given() ? report.by_old_key : 0);
  if (behind == 0) return {};
  const std::string secrets = fmt::format("{} secret{}", behind, behind == 1 ? "" : "s");
  if (!source.is_given()) {
    return fmt::format(
        "{} in the catalog can be read by whoever can read the catalog: set server.catalog_key_file and run "
        "`penstock catalog rotate-key` to seal them",
        secrets);
  }
  return fmt::format(
      "{} in the catalog {} not sealed with the first catalog key: run `penstock catalog rotate-key`",
      secrets, behind == 1 ? "is" : "are");
}

}  // namespace penstock::catalog
