// penstock catalog export and import.
#include <fmt/format.h>

#include <algorithm>

#include "catalog/ban.h"
#include "catalog/document.h"
#include "catalog/tenant_fields.h"
#include "catalog/timestamp.h"
#include "catalog/yaml.h"
#include "cli/api_client.h"
#include "cli/catalog_commands.h"
#include "cli/field_options.h"
#include "cli/files.h"
#include "cli/find.h"

namespace penstock::cli {

namespace {

using catalog::Edited;
using model::TenantSpec;
using model::UserSpec;

namespace json = boost::json;

struct TransferOptions {
  CatalogOptions catalog = {};
  ApiOptions api = {};
  std::string file = {};
  std::string format = {};
  std::vector<std::string> tenants = {};
  bool with_secrets = false;
  bool dry_run = false;
  bool prune = false;
};

// Of those that were asked for.
base::Result<std::vector<TenantSpec>> wanted_tenants(OpenCatalog& opened,
                                                     const std::vector<std::string>& ids) {
  base::Result<std::vector<TenantSpec>> tenants = all_tenants(opened);
  if (!tenants || ids.empty()) return tenants;
  for (const std::string& id : ids) {
    if (const auto found = find_tenant(opened, id); !found) return base::fail(found.error());
  }
  std::erase_if(*tenants,
                [&](const TenantSpec& tenant) { return std::ranges::find(ids, tenant.id) == ids.end(); });
  return tenants;
}

base::Result<json::object> document_of_catalog(const TransferOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return base::fail(opened.error());
  const base::Result<std::vector<TenantSpec>> tenants = wanted_tenants(*opened, options.tenants);
  if (!tenants) return base::fail(tenants.error());
  return catalog::document_of(*tenants,
                              options.with_secrets ? catalog::WithSecrets::kYes : catalog::WithSecrets::kNo);
}

base::Result<json::object> document_of_server(const TransferOptions& options, const Call& call) {
  if (options.with_secrets) {
    return base::fail(base::kFeatureNotSupported,
                      "--with-secrets works on the catalog only: no server tells secrets");
  }
  base::Result<ApiClient> client = ApiClient::open(options.api, call.world);
  if (!client) return base::fail(client.error());
  const base::Result<http::Answer> answer = client->get("/api/export");
  if (!answer) return base::fail(answer.error());
  base::Result<json::object> document = object_in(*client, *answer);
  if (!document || options.tenants.empty()) return document;
  json::array all, wanted;
  if (json::value* list = document->if_contains("tenants"); list != nullptr && list->is_array()) {
    all = std::move(list->get_array());
  }
  for (const std::string& id : options.tenants) {
    const auto found = std::ranges::find_if(all, [&](const json::value& tenant) {
      const json::value* its = tenant.is_object() ? tenant.get_object().if_contains("id") : nullptr;
      return its != nullptr && *its == json::value(id);
    });
    if (found == all.end()) return base::fail(catalog::no_such_tenant(id));
    wanted.push_back(*found);
  }
  (*document)["tenants"] = std::move(wanted);
  return document;
}

int write(const TransferOptions& options, const json::object& document, const Call& call) {
  const bool is_json =
      options.format == "json" || (options.format.empty() && options.file.ends_with(".json"));
  const std::string text = is_json ? json::serialize(document) + "\n" : catalog::to_yaml(document);
  if (options.file.empty()) {
    call.terminal().out(text);
  } else if (const base::Status status = write_file(options.file, text); !status) {
    return call.fail(status.error());
  }
  return kDone;
}

int run_export(const TransferOptions& options, const Call& call) {
  const base::Result<json::object> document = document_of_catalog(options, call);
  return document ? write(options, *document, call) : call.fail(document.error());
}

// For `apply`, which reads references.
int run_export_for_apply(const TransferOptions& options, const Call& call) {
  base::Result<json::object> document =
      options.api.url.empty() ? document_of_catalog(options, call) : document_of_server(options, call);
  if (!document) return call.fail(document.error());
  return write(options, catalog::without_references(*std::move(document)), call);
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
  const catalog::Document document = catalog::read_document(*text);
  if (!document.mistakes.empty()) {
    base::Error error = catalog::error_of(document.mistakes);
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
        for (const catalog::TenantEntry& entry : document.entries) {
          const auto stored = tenants.find(entry.spec.id);
          TenantSpec& tenant = after[entry.spec.id];
          tenant = catalog::merge(entry, stored == tenants.end() ? nullptr : &stored->second);
          base::Status settled = catalog::settle_written_ban(
              stored == tenants.end() ? TenantSpec() : stored->second, tenant, catalog::wall_clock_now());
          if (settled) continue;
          settled.error().message = fmt::format("tenants.{}.{}", tenant.id, settled.error().message);
          return settled;
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

CLI::App* add_export(CLI::App& parent, const std::shared_ptr<TransferOptions>& options) {
  CLI::App* app = parent.add_subcommand("export", "Writes tenants and users as YAML or JSON");
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
  return app;
}

}  // namespace

void add_export_command(CLI::App& app, Call& call) {
  auto options = std::make_shared<TransferOptions>();
  CLI::App* command = add_export(app, options);
  add_api_options(*command, options->api);
  command->footer(
      "For `apply`: a \"${\" in a value is written as \"$${\", so that it means itself. For `catalog import` "
      "there is\n"
      "`catalog export`, which writes values as they are.\n"
      "Example:\n"
      "  penstock export --output tenants.yaml");
  on_call(*command, call, options, run_export_for_apply);
}

void add_transfer_commands(CLI::App& catalog, Call& call) {
  auto options = std::make_shared<TransferOptions>();
  on_call(*add_export(catalog, options), call, options, run_export);

  options = std::make_shared<TransferOptions>();
  CLI::App* app = catalog.add_subcommand(
      "import", "Makes tenants and users what a YAML or JSON file says, all or nothing");
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
