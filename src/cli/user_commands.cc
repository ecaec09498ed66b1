#include "cli/user_commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/duration_text.h"
#include "catalog/field_checks.h"
#include "catalog/record.h"
#include "catalog/rotation.h"
#include "catalog/tenant_fields.h"
#include "catalog/timestamp.h"
#include "cli/field_options.h"
#include "cli/find.h"
#include "cli/password.h"

namespace penstock::cli {

namespace {

using catalog::user_fields;
using model::TenantSpec;
using model::UserSpec;

struct UserOptions {
  CatalogOptions catalog = {};
  std::string user = {};    // as typed: NAME or NAME.TENANT
  std::string tenant = {};  // --tenant
  FieldOptions<UserSpec> fields = {};
  PasswordOptions password = {};
  std::string keep_previous = {};  // a time; empty: not given
  UpstreamSecretOptions upstream_secret = {};
  bool lenient = false;
  bool all = false;
};

std::string title(const UserPath& path) {
  return fmt::format("user \"{}\" of tenant \"{}\"", path.name, path.tenant.id);
}

void warn_of_visible_secrets(const UserOptions& options, const Call& call) {
  for (const auto& field : user_fields()) {
    if (field.kind != catalog::FieldKind::kSecret) continue;
    const std::string& name = field.name;
    const auto given = options.fields.given.find(name);
    if (given == options.fields.given.end() || given->second.empty() ||
        !is_plain_password(given->second.front())) {
      continue;
    }
    call.terminal().err(fmt::format("penstock: warning: the password in {} can be seen in the process list\n",
                                    catalog::option_name(name)));
  }
}

// The secret that the password options ask for, if they ask for one.
base::Status apply_password(const UserOptions& options, const config::Settings& settings, Terminal& terminal,
                            UserSpec& user, const std::string& beside = {}) {
  base::Result<std::optional<std::string>> password = read_password(options.password, terminal);
  if (!password) return base::fail(password.error());
  if (*password && options.password.verifier_only) {
    base::Result<std::string> verifier = verifier_of(**password, settings.scram_iterations, beside);
    if (!verifier) return base::fail(verifier.error());
    *password = *std::move(verifier);
  }
  return catalog::set_field(*find_field(user_fields(), "secret"), user,
                            *password ? catalog::Values{**password} : catalog::Values{});
}

// Checked before anything is opened or asked for.
std::optional<base::Error> misuse_of(const UserOptions& options) {
  UserSpec scratch;
  Mistakes mistakes;
  mistakes.note(options.fields.apply(user_fields(), scratch));
  mistakes.note(check_password_options(options.password));
  if (options.fields.given.contains("secret") &&
      (options.password.is_given() || options.password.verifier_only)) {
    mistakes.note({.message = "--secret cannot be used together with options of the password"});
  }
  const UpstreamSecretOptions& upstream = options.upstream_secret;
  const int sources = (options.fields.given.contains("upstream_secret") ? 1 : 0) +
                      (upstream.file.empty() ? 0 : 1) + (upstream.from_stdin ? 1 : 0);
  if (sources > 1) {
    mistakes.note({.message =
                       "only one of --upstream-secret, --upstream-secret-file and --upstream-secret-stdin "
                       "can be used"});
  }
  if (upstream.from_stdin && options.password.from_stdin) {
    mistakes.note({.message = "only one of --password-stdin and --upstream-secret-stdin can be used"});
  }
  if (!options.keep_previous.empty()) {
    const bool has_new = options.password.is_given() || options.password.verifier_only ||
                         upstream.is_given() || options.fields.given.contains("secret") ||
                         options.fields.given.contains("upstream_secret");
    if (!has_new) mistakes.note({.message = "--keep-previous goes with a new secret"});
    if (auto time = catalog::parse_duration(options.keep_previous); !time) {
      mistakes.note({.message = "--keep-previous: " + time.error().message});
    }
  }
  const base::Status status = mistakes.status();
  return status ? std::nullopt : std::optional(status.error());
}

// The fields as they were given, with what stands elsewhere.
base::Result<FieldOptions<UserSpec>> whole_fields(const UserOptions& options, const Call& call) {
  FieldOptions<UserSpec> fields = options.fields;
  if (!options.upstream_secret.is_given()) return fields;
  base::Result<std::string> secret = read_upstream_secret(options.upstream_secret, call.terminal());
  if (!secret) return base::fail(secret.error());
  fields.given["upstream_secret"] = {*std::move(secret)};
  UserSpec scratch;
  if (const base::Status status = fields.apply(user_fields(), scratch); !status)
    return base::fail(status.error());
  return fields;
}

// A dot may belong to the name; but more often the tenant behind it is misspelt.
void note_of_dot(const UserOptions& options, const UserPath& path, OpenCatalog& catalog, const Call& call) {
  const std::size_t dot = path.name.rfind('.');
  if (!options.tenant.empty() || dot == std::string::npos) return;
  const std::string suffix = path.name.substr(dot + 1);
  std::vector<std::string> ids;
  if (const auto tenants = all_tenants(catalog)) {
    for (const TenantSpec& tenant : *tenants) ids.push_back(tenant.id);
  }
  call.terminal().err(fmt::format("penstock: note: no tenant \"{}\": added as {}\n  Hint: {}\n", suffix,
                                  title(path),
                                  did_you_mean(suffix, ids, "With --tenant the tenant has to be there.")));
}

int run_add(const UserOptions& options, const Call& call) {
  if (const std::optional<base::Error> error = misuse_of(options)) return call.misuse(*error);
  const base::Result<FieldOptions<UserSpec>> fields = whole_fields(options, call);
  if (!fields) return call.fail(fields.error());
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<UserPath> path = find_user_path(*opened, options.user, options.tenant);
  if (!path) return call.fail(path.error());
  if (const base::Status status = catalog::check_name(path->name); !status) {
    return call.misuse({.message = "user name: " + status.error().message});
  }
  if (find_user(*path) && options.lenient) {
    call.terminal().out(title(*path) + " exists already; left as it is\n");
    return kDone;
  }
  if (find_user(*path)) {
    return call.fail({.message = title(*path) + " exists already",
                      .hint = "`penstock user set` changes it; --if-not-exists leaves it as it is."});
  }
  UserSpec user{.name = path->name};
  if (const base::Status status = fields->apply(user_fields(), user); !status)
    return call.misuse(status.error());
  if (!user.secret) {
    const base::Status status = apply_password(options, opened->settings, call.terminal(), user);
    if (!status && status.error().sqlstate == base::kInvalidParameterValue)
      return call.misuse(status.error());
    if (!status) return call.fail(status.error());
  }
  warn_of_visible_secrets(options, call);
  const base::Status status = opened->store->put_user(path->tenant.id, user, catalog::IfExists::kFail,
                                                      {.actor = actor_of(call.world)});
  if (!status) return call.fail(status.error());
  call.terminal().out(options.catalog.json ? catalog::public_json(path->tenant, user) + "\n"
                                           : title(*path) + " added\n");
  note_of_dot(options, *path, *opened, call);
  return kDone;
}

base::Status settle_previous(const UserOptions& options, const UserSpec& before, UserSpec& after) {
  catalog::KeepPrevious keep;
  if (!options.keep_previous.empty()) keep = *catalog::parse_duration(options.keep_previous);
  return catalog::settle_previous(before, after, keep, catalog::wall_clock_now());
}

int run_set(const UserOptions& options, const Call& call) {
  if (options.fields.given.empty() && options.fields.unset.empty() && !options.password.is_given() &&
      !options.password.verifier_only && options.keep_previous.empty() &&
      !options.upstream_secret.is_given()) {
    return call.misuse({.message = "nothing to set", .hint = "`penstock user set --help` lists the fields."});
  }
  if (const std::optional<base::Error> error = misuse_of(options)) return call.misuse(*error);
  const base::Result<FieldOptions<UserSpec>> fields = whole_fields(options, call);
  if (!fields) return call.fail(fields.error());
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<UserPath> path = find_user_path(*opened, options.user, options.tenant);
  if (!path) return call.fail(path.error());
  const base::Result<UserSpec> found = find_user(*path);
  if (!found) return call.fail(found.error());

  UserSpec secret_holder;
  const bool sets_password = options.password.is_given() || options.password.verifier_only;
  if (sets_password) {
    const std::string beside = options.keep_previous.empty() ? "" : found->secret.value_or("");
    const base::Status status =
        apply_password(options, opened->settings, call.terminal(), secret_holder, beside);
    if (!status && status.error().sqlstate == base::kInvalidParameterValue)
      return call.misuse(status.error());
    if (!status) return call.fail(status.error());
  }
  warn_of_visible_secrets(options, call);
  UserSpec before;
  UserSpec after;
  const auto status =
      opened->store->edit(path->tenant.id,
                          [&](std::optional<TenantSpec>& tenant) -> base::Status {
                            if (!tenant) return base::fail(catalog::no_such_tenant(path->tenant.id));
                            const auto user = std::ranges::find(tenant->users, path->name, &UserSpec::name);
                            if (user == tenant->users.end())
                              return base::fail(catalog::no_such_user(tenant->id, path->name));
                            before = *user;
                            base::Status applied = fields->apply(user_fields(), *user);
                            if (sets_password) user->secret = secret_holder.secret;
                            if (applied) applied = settle_previous(options, before, *user);
                            after = *user;
                            return applied;
                          },
                          {.actor = actor_of(call.world)});
  if (!status) return call.fail(status.error());
  const std::string changes = difference(user_fields(), before, after);
  if (options.catalog.json) {
    call.terminal().out(catalog::public_json(path->tenant, after) + "\n");
  } else {
    call.terminal().out(changes.empty() ? "nothing changed\n" : changes);
  }
  return kDone;
}

int run_list(const UserOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  base::Result<std::vector<TenantSpec>> tenants = all_tenants(*opened);
  if (!tenants) return call.fail(tenants.error());
  if (!options.tenant.empty()) {
    const base::Result<TenantSpec> tenant = find_tenant(*opened, options.tenant);
    if (!tenant) return call.fail(tenant.error());
    *tenants = {*tenant};
  }
  if (options.catalog.json) {
    call.terminal().out(catalog::public_json_of_users(*tenants) + "\n");
    return kDone;
  }
  std::vector<Row> rows = {{"USER", "TENANT", "SECRET", "POOL_MODE", "POOL_SIZE"}};
  for (const TenantSpec& tenant : *tenants) {
    for (const UserSpec& user : tenant.users) {
      const auto value = [&](std::string_view name) {
        const std::string text = catalog::shown(*find_field(user_fields(), name), user);
        return text.empty() ? std::string("-") : text;
      };
      rows.push_back({user.name, tenant.id, value("secret"), value("pool_mode"), value("pool_size")});
    }
  }
  call.terminal().out(rows.size() == 1 ? "no users; `penstock user add --help` shows how to add one\n"
                                       : columns(rows));
  return kDone;
}

int run_show(const UserOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<UserPath> path = find_user_path(*opened, options.user, options.tenant);
  if (!path) return call.fail(path.error());
  const base::Result<UserSpec> user = find_user(*path);
  if (!user) return call.fail(user.error());
  if (options.catalog.json) {
    call.terminal().out(catalog::public_json(path->tenant, *user) + "\n");
    return kDone;
  }
  std::vector<Row> rows = {{"name", user->name}, {"tenant", path->tenant.id}};
  add_field_rows(rows, user_fields(), *user, options.all ? Unset::kShow : Unset::kHide);
  call.terminal().out(columns(rows));
  return kDone;
}

int run_remove(const UserOptions& options, const Call& call) {
  base::Result<OpenCatalog> opened = open_catalog(options.catalog, call.world, IfMissing::kFail);
  if (!opened) return call.fail(opened.error());
  const base::Result<UserPath> path = find_user_path(*opened, options.user, options.tenant);
  if (!path) return call.fail(path.error());
  if (const base::Result<UserSpec> user = find_user(*path); !user) {
    if (!options.lenient) return call.fail(user.error());
    call.terminal().out(title(*path) + " does not exist; nothing to do\n");
    return kDone;
  }
  const base::Status status =
      opened->store->remove_user(path->tenant.id, path->name, {.actor = actor_of(call.world)});
  if (!status) return call.fail(status.error());
  call.terminal().out(title(*path) + " removed\n");
  return kDone;
}

CLI::App* add_command(CLI::App& parent, const char* name, const char* what,
                      const std::shared_ptr<UserOptions>& options) {
  CLI::App* app = parent.add_subcommand(name, what);
  add_catalog_options(*app, options->catalog);
  app->add_option("--tenant", options->tenant, "The tenant's id")->type_name("ID");
  return app;
}

void add_name(CLI::App& app, UserOptions& options) {
  app.add_option("USER", options.user,
                 "NAME.TENANT, or NAME with --tenant, or NAME alone for the default tenant")
      ->required();
}

void add_changing_commands(CLI::App& user, Call& call) {
  auto add = std::make_shared<UserOptions>();
  CLI::App* app = add_command(user, "add", "Adds a user; asks for the password unless told where it is", add);
  add_name(*app, *add);
  add_json_option(*app, add->catalog);
  app->add_flag("--if-not-exists", add->lenient, "Leave a user who exists as they are, without an error");
  add_password_options(*app, add->password);
  add_upstream_secret_options(*app, add->upstream_secret);
  add->fields.add_to(*app, user_fields());
  app->footer(
      "A password is stored as it is, because logging in to the server may need it. --verifier-only stores a "
      "SCRAM\n"
      "verifier instead; that is enough when the server has the same one (pg_authid.rolpassword, see "
      "--secret).\n"
      "Examples:\n"
      "  penstock user add app\n"
      "  penstock user add app.acme --password-file /run/secrets/app --pool-size 10\n"
      "  penstock user add report --tenant acme --secret 'SCRAM-SHA-256$4096:...' --pool-mode session");
  on_call(*app, call, add, run_add);

  auto set = std::make_shared<UserOptions>();
  app = add_command(user, "set", "Changes a user, and shows what changed", set);
  add_name(*app, *set);
  add_json_option(*app, set->catalog);
  set->fields.add_unset_to(*app);
  add_password_options(*app, set->password);
  add_upstream_secret_options(*app, set->upstream_secret);
  app->add_option(
         "--keep-previous", set->keep_previous,
         "With a new secret: the old one stays valid beside it for so long; 0: until previous_secret is "
         "unset. Without this option the old one ends at once")
      ->type_name("TIME");
  set->fields.add_to(*app, user_fields());
  app->footer(
      "Examples:\n"
      "  penstock user set app.acme --pool-size 20 --unset pool_mode\n"
      "  penstock user set app.acme --password-stdin < new-password\n"
      "  penstock user set app.acme --password-stdin --keep-previous 1d < new-password");
  on_call(*app, call, set, run_set);

  auto remove = std::make_shared<UserOptions>();
  app = add_command(user, "remove", "Removes a user", remove);
  add_name(*app, *remove);
  app->add_flag("--if-exists", remove->lenient, "No error when there is no such user");
  on_call(*app, call, remove, run_remove);
}

}  // namespace

void add_user_commands(CLI::App& app, Call& call) {
  CLI::App* user = app.add_subcommand("user", "Users of a tenant: who may log in, with which limits");
  user->require_subcommand(1);
  auto list = std::make_shared<UserOptions>();
  CLI::App* command = add_command(*user, "list", "Lists users, of one tenant or of all", list);
  add_json_option(*command, list->catalog);
  on_call(*command, call, list, run_list);

  auto show = std::make_shared<UserOptions>();
  command = add_command(*user, "show", "Shows one user, without secrets", show);
  add_name(*command, *show);
  add_json_option(*command, show->catalog);
  command->add_flag("--all", show->all, "Fields that are not set, too, with what holds instead");
  on_call(*command, call, show, run_show);

  add_changing_commands(*user, call);
}

}  // namespace penstock::cli
