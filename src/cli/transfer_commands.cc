// penstock catalog export and import.
#include <fcntl.h>  // HOUSE(syscall): a command writes its file itself
#include <fmt/format.h>
#include <sys/stat.h>  // HOUSE(syscall): a command writes its file itself
#include <unistd.h>    // HOUSE(syscall): a command writes its file itself

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "catalog/document.h"
#include "catalog/tenant_fields.h"
#include "cli/catalog_commands.h"
#include "cli/field_options.h"
#include "cli/find.h"

namespace penstock::cli {

namespace {

using catalog::Edited;
using model::TenantSpec;
using model::UserSpec;

struct TransferOptions {
  CatalogOptions catalog = {};
  std::string file = {};
  std::string format = {};
  std::vector<std::string> tenants = {};
  bool with_secrets = false;
  bool dry_run = false;
  bool prune = false;
};

// A file that only its owner may read: it may hold secrets.
base::Status write_file(const std::string& path, const std::string& text) {
  const auto failure = [&] {
    return base::fail(
        base::errno_error(base::kIoError, fmt::format("\"{}\" cannot be written", path), errno));
  };
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return failure();
  FILE* file = ::fdopen(descriptor, "w");
  const bool done = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 &&
                    ::fsync(descriptor) == 0;
  base::Status status;
  if (!done) status = failure();
  std::fclose(file);
  return status;
}

base::Result<std::string> read_file(const std::string& path) {
  if (path == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  }
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return base::fail(base::errno_error(base::kIoError, fmt::format("\"{}\" cannot be read", path), errno));
  }
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

int run_export(const TransferOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  base::Result<std::vector<TenantSpec>> tenants = all_tenants(*opened);
  if (!tenants) return call.fail(tenants.error());
  for (const std::string& id : options.tenants) {
    if (const auto found = find_tenant(*opened, id); !found) return call.fail(found.error());
  }
  if (!options.tenants.empty()) {
    std::erase_if(*tenants, [&](const TenantSpec& tenant) {
      return std::ranges::find(options.tenants, tenant.id) == options.tenants.end();
    });
  }
  const bool is_json =
      options.format == "json" || (options.format.empty() && options.file.ends_with(".json"));
  const std::string text = catalog::write_document(
      *tenants, is_json ? catalog::DocumentFormat::kJson : catalog::DocumentFormat::kYaml,
      options.with_secrets ? catalog::WithSecrets::kYes : catalog::WithSecrets::kNo);
  if (options.file.empty()) {
    call.terminal().out(text);
  } else if (const base::Status status = write_file(options.file, text); !status) {
    return call.fail(status.error());
  }
  return kDone;
}

std::string user_differences(const TenantSpec& before, const TenantSpec& after) {
  std::string text;
  for (const UserSpec& user : after.users) {
    const UserSpec* old = model::CatalogSnapshot::find_user(before, user.name);
    if (old == nullptr) {
      text += fmt::format("  user {}: added\n", user.name);
    } else if (*old != user) {
      text += fmt::format("  user {}:\n", user.name);
      text += indented(difference(catalog::user_fields(), *old, user), 4);
    }
  }
  for (const UserSpec& user : before.users) {
    if (model::CatalogSnapshot::find_user(after, user.name) == nullptr) {
      text += fmt::format("  user {}: removed\n", user.name);
    }
  }
  return text;
}

std::string words_of(const Edited& change) {
  if (!change.after)
    return fmt::format("tenant {}: removed, with {} users\n", change.before->id, change.before->users.size());
  if (!change.before)
    return fmt::format("tenant {}: added, with {} users\n", change.after->id, change.after->users.size());
  return fmt::format("tenant {}:\n", change.after->id) +
         indented(difference(catalog::tenant_fields(), *change.before, *change.after), 2) +
         user_differences(*change.before, *change.after);
}

int run_import(const TransferOptions& options, const Call& call) {
  const base::Result<std::string> text = read_file(options.file);
  if (!text) return call.fail(text.error());
  const base::Result<std::vector<catalog::TenantEntry>> entries = catalog::read_document(*text);
  if (!entries) {
    base::Error error = entries.error();
    error.message =
        fmt::format("{}: {}", options.file == "-" ? "standard input" : options.file, error.message);
    return call.fail(error);
  }
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kCreate);
  if (!opened) return call.fail(opened.error());
  const auto changes = opened->store->edit_all(
      [&](catalog::Tenants& tenants) -> base::Status {
        catalog::Tenants after;
        if (!options.prune) after = tenants;
        for (const catalog::TenantEntry& entry : *entries) {
          const auto stored = tenants.find(entry.spec.id);
          after[entry.spec.id] = catalog::merge(entry, stored == tenants.end() ? nullptr : &stored->second);
        }
        tenants = std::move(after);
        return {};
      },
      {.actor = actor_of(call.world),
       .effect = options.dry_run ? catalog::Effect::kDryRun : catalog::Effect::kStored});
  if (!changes) return call.fail(changes.error());
  for (const Edited& change : *changes) call.terminal().out(words_of(change));
  call.terminal().out(changes->empty() ? "nothing changed\n"
                                       : fmt::format("{} tenant{} changed{}\n", changes->size(),
                                                     changes->size() == 1 ? "" : "s",
                                                     options.dry_run ? " if this were not a dry run" : ""));
  return kDone;
}

}  // namespace

void add_transfer_commands(CLI::App& catalog, Call& call) {
  auto options = std::make_shared<TransferOptions>();
  CLI::App* app = catalog.add_subcommand("export", "Writes tenants and users as YAML or JSON");
  add_catalog_options(*app, options->catalog);
  app->add_option("--output", options->file, "A file, made with mode 0600; otherwise the standard output")
      ->type_name("FILE");
  app->add_option("--format", options->format, "yaml or json [otherwise: by the file's name, or yaml]")
      ->check(CLI::IsMember({"yaml", "json"}).description(""))
      ->type_name("WORD");
  app->add_option("--tenant", options->tenants, "Only this tenant; may be repeated")
      ->type_name("ID")
      ->allow_extra_args(false);
  app->add_flag("--with-secrets", options->with_secrets,
                "Secrets, too, as they are typed: keep such a file well");
  on_call(*app, call, options, run_export);

  options = std::make_shared<TransferOptions>();
  app = catalog.add_subcommand("import",
                               "Makes tenants and users what a YAML or JSON file says, all or nothing");
  add_catalog_options(*app, options->catalog);
  app->add_option("FILE", options->file, "What `export` wrote; - is the standard input")->required();
  app->add_flag("--dry-run", options->dry_run, "Checks everything and shows what would change");
  app->add_flag("--prune", options->prune, "Removes tenants that the file does not name");
  app->footer(
      "Of a tenant that the file names, a field that it leaves out gets its default. Secrets that are left "
      "out "
      "stay as\n"
      "they are, and so do the users of a tenant without \"users\".");
  on_call(*app, call, options, run_import);
}

}  // namespace penstock::cli
