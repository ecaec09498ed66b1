#include "cli/tenant_commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/admission.h"
#include "catalog/ban.h"
#include "catalog/field_checks.h"
#include "catalog/host_port.h"
#include "catalog/record.h"
#include "catalog/tenant_fields.h"
#include "catalog/timestamp.h"
#include "cli/field_options.h"
#include "cli/find.h"

namespace penstock::cli {

namespace {

using catalog::tenant_fields;
using model::TenantSpec;

struct TenantOptions {
  CatalogOptions catalog = {};
  std::string id = {};
  FieldOptions<TenantSpec> fields = {};
  std::uint16_t port = 0;  // 0: not given
  bool lenient = false;    // --if-not-exists, --if-exists
  bool all = false;
};

// --port goes to every --host without one, or else to all hosts the tenant has.
base::Status apply_fields(const TenantOptions& options, TenantSpec& tenant) {
  FieldOptions<TenantSpec> fields = options.fields;
  const auto hosts = fields.given.find("hosts");
  if (options.port != 0 && hosts != fields.given.end()) {
    for (std::string& text : hosts->second) {
      const base::Result<model::HostPort> host = catalog::parse_host_port(text, options.port);
      if (host) text = catalog::to_text(*host);
    }
  } else if (options.port != 0) {
    for (model::HostPort& host : tenant.hosts) host.port = options.port;
  }
  const TenantSpec before = tenant;
  if (fields.mentions(*find_field(tenant_fields(), "banned"))) catalog::forget_ban(tenant);
  if (const base::Status status = fields.apply(tenant_fields(), tenant); !status) return status;
  return catalog::settle_ban(before, tenant, catalog::wall_clock_now());
}

int run_add(const TenantOptions& options, const Call& call) {
  TenantSpec tenant{.id = options.id};
  Mistakes mistakes;
  if (const base::Status status = catalog::check_tenant_id(options.id); !status) {
    mistakes.note({.message = "tenant id: " + status.error().message});
  }
  mistakes.note(apply_fields(options, tenant));
  if (!options.fields.given.contains("hosts")) {
    mistakes.note({.message = "--host is missing: where does Postgres listen?"});
  }
  if (const base::Status status = mistakes.status(); !status) return call.misuse(status.error());
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kCreate);
  if (!opened) return call.fail(opened.error());

  bool existed = false;
  const auto status = opened->store->edit(
      options.id,
      [&](std::optional<TenantSpec>& stored) -> base::Status {
        existed = stored.has_value();
        if (!existed) stored = tenant;
        if (!existed || options.lenient) return {};
        return base::fail(base::kDuplicateObject, fmt::format("tenant \"{}\" exists already", options.id), {},
                          "`penstock tenant set` changes it; --if-not-exists leaves it as it is.");
      },
      {.actor = actor_of(call.world)});
  if (!status) return call.fail(status.error());
  if (options.catalog.json) {
    const base::Result<TenantSpec> now = find_tenant(*opened, options.id);
    if (!now) return call.fail(now.error());
    call.terminal().out(catalog::public_json(*now) + "\n");
  } else if (existed) {
    call.terminal().out(fmt::format("tenant \"{}\" exists already; left as it is\n", options.id));
  } else {
    call.terminal().out(fmt::format("tenant \"{}\" added\n", options.id));
  }
  return kDone;
}

int run_set(const TenantOptions& options, const Call& call) {
  if (options.fields.given.empty() && options.fields.unset.empty() && options.port == 0) {
    return call.misuse(
        {.message = "nothing to set", .hint = "`penstock tenant set --help` lists the fields."});
  }
  TenantSpec scratch;
  if (const base::Status status = apply_fields(options, scratch); !status) return call.misuse(status.error());
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  if (const base::Result<TenantSpec> found = find_tenant(*opened, options.id); !found) {
    return call.fail(found.error());
  }
  const auto edited = opened->store->edit(options.id,
                                          [&](std::optional<TenantSpec>& stored) -> base::Status {
                                            if (!stored)
                                              return base::fail(catalog::no_such_tenant(options.id));
                                            return apply_fields(options, *stored);
                                          },
                                          {.actor = actor_of(call.world)});
  if (!edited) return call.fail(edited.error());
  const std::string changes = difference(tenant_fields(), *edited->before, *edited->after);
  if (options.catalog.json) {
    call.terminal().out(catalog::public_json(*edited->after) + "\n");
  } else {
    call.terminal().out(changes.empty() ? "nothing changed\n" : changes);
  }
  return kDone;
}

std::string ban_of(const TenantSpec& tenant) {
  if (catalog::refuse_banned(tenant, catalog::wall_clock_now())) return "-";
  return tenant.banned_until ? "until " + catalog::to_text(*tenant.banned_until) : "yes";
}

int run_list(const TenantOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<std::vector<TenantSpec>> tenants = all_tenants(*opened);
  if (!tenants) return call.fail(tenants.error());
  if (options.catalog.json) {
    call.terminal().out(catalog::public_json(*tenants) + "\n");
    return kDone;
  }
  std::vector<Row> rows = {{"TENANT", "HOSTS", "DATABASE", "POOL_MODE", "POOL_SIZE", "USERS", "BANNED"}};
  for (const TenantSpec& tenant : *tenants) {
    const auto value = [&](std::string_view name) {
      const std::string text = catalog::shown(*find_field(tenant_fields(), name), tenant);
      return text.empty() ? std::string("-") : text;
    };
    rows.push_back({tenant.id, value("hosts"), value("upstream_database"), value("pool_mode"),
                    value("pool_size"), std::to_string(tenant.users.size()), ban_of(tenant)});
  }
  call.terminal().out(tenants->empty() ? "no tenants; `penstock tenant add --help` shows how to add one\n"
                                       : columns(rows));
  return kDone;
}

int run_show(const TenantOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<TenantSpec> tenant = find_tenant(*opened, options.id);
  if (!tenant) return call.fail(tenant.error());
  if (options.catalog.json) {
    call.terminal().out(catalog::public_json(*tenant) + "\n");
    return kDone;
  }
  std::vector<Row> rows = {{"id", tenant->id}};
  add_field_rows(rows, tenant_fields(), *tenant, options.all ? Unset::kShow : Unset::kHide);
  std::string names;
  for (const model::UserSpec& user : tenant->users) names += (names.empty() ? "" : ", ") + user.name;
  rows.push_back({"users", names.empty() ? "(none)" : names});
  call.terminal().out(columns(rows));
  return kDone;
}

int run_remove(const TenantOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<TenantSpec> tenant = find_tenant(*opened, options.id);
  if (!tenant && tenant.error().sqlstate == base::kUndefinedObject && options.lenient) {
    call.terminal().out(fmt::format("tenant \"{}\" does not exist; nothing to do\n", options.id));
    return kDone;
  }
  // What cannot be read can be removed all the same, or nothing could be read as long as it is there.
  if (!tenant && tenant.error().sqlstate != base::kConfigFileError) return call.fail(tenant.error());
  if (const base::Status status = opened->store->remove_tenant(options.id, {.actor = actor_of(call.world)});
      !status)
    return call.fail(status.error());
  if (!tenant) {
    call.terminal().out(fmt::format("tenant \"{}\" removed\n", options.id));
    return kDone;
  }
  call.terminal().out(fmt::format("tenant \"{}\" removed, with {} user{}\n", options.id, tenant->users.size(),
                                  tenant->users.size() == 1 ? "" : "s"));
  return kDone;
}

CLI::App* add_command(CLI::App& parent, const char* name, const char* what,
                      const std::shared_ptr<TenantOptions>& options) {
  CLI::App* app = parent.add_subcommand(name, what);
  add_catalog_options(*app, options->catalog);
  return app;
}

void add_fields(CLI::App& app, TenantOptions& options) {
  app.add_option("--port", options.port,
                 "Port of every --host that has none; without --host, of all hosts [1 to 65535]")
      ->check(CLI::Range(1, 65535).description(""))
      ->type_name("NUMBER");
  options.fields.add_to(app, tenant_fields());
}

void add_id(CLI::App& app, TenantOptions& options) {
  app.add_option("ID", options.id, "The tenant's id: " + std::string(catalog::kTenantIdAllowed))->required();
}

void add_changing_commands(CLI::App& tenant, Call& call) {
  auto add = std::make_shared<TenantOptions>();
  CLI::App* app = add_command(tenant, "add", "Adds a tenant", add);
  add_id(*app, *add);
  add_json_option(*app, add->catalog);
  app->add_flag("--if-not-exists", add->lenient, "Leave a tenant that exists as it is, without an error");
  add_fields(*app, *add);
  app->footer(
      "Examples:\n"
      "  penstock tenant add default --host 127.0.0.1 --port 5432\n"
      "  penstock tenant add acme --host db1:5432 --host db2:5432 --database app --tls require --pool-size "
      "40\n"
      "  penstock tenant add shop --host /run/postgresql --parameter search_path=shop,public\n"
      "Then add users: penstock user add NAME.ID");
  on_call(*app, call, add, run_add);

  auto set = std::make_shared<TenantOptions>();
  app = add_command(tenant, "set", "Changes fields of a tenant, and shows what changed", set);
  add_id(*app, *set);
  add_json_option(*app, set->catalog);
  set->fields.add_unset_to(*app);
  add_fields(*app, *set);
  app->footer(
      "A list (--host, --sni-names, --databases, --parameter) replaces the one the tenant had.\n"
      "Examples:\n"
      "  penstock tenant set acme --pool-size 60 --query-timeout 30s\n"
      "  penstock tenant set acme --unset pool_size");
  on_call(*app, call, set, run_set);

  auto remove = std::make_shared<TenantOptions>();
  app = add_command(tenant, "remove", "Removes a tenant and its users", remove);
  add_id(*app, *remove);
  app->add_flag("--if-exists", remove->lenient, "No error when there is no such tenant");
  on_call(*app, call, remove, run_remove);
}

}  // namespace

void add_tenant_commands(CLI::App& app, Call& call) {
  CLI::App* tenant = app.add_subcommand("tenant", "Tenants: who is served, and by which Postgres");
  tenant->require_subcommand(1);
  auto list = std::make_shared<TenantOptions>();
  CLI::App* command = add_command(*tenant, "list", "Lists all tenants", list);
  add_json_option(*command, list->catalog);
  on_call(*command, call, list, run_list);

  auto show = std::make_shared<TenantOptions>();
  command = add_command(*tenant, "show", "Shows one tenant", show);
  add_id(*command, *show);
  add_json_option(*command, show->catalog);
  command->add_flag("--all", show->all, "Fields that are not set, too, with what holds instead");
  on_call(*command, call, show, run_show);

  add_changing_commands(*tenant, call);
  // Last, because subcommands take it over.
  tenant->footer(
      "A running server sees changes within a second or two. A client says which tenant it means by its user "
      "name\n"
      "(USER.TENANT), options=reference=TENANT, the TLS server name, or the database name; otherwise it is "
      "served\n"
      "by the tenant called \"default\".");
}

}  // namespace penstock::cli
