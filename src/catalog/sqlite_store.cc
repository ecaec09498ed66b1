#include "catalog/sqlite_store.h"

#include <fcntl.h>  // HOUSE(syscall): one small file, read by the control thread
#include <fmt/format.h>
#include <sys/stat.h>  // HOUSE(syscall): one small file, read by the control thread
#include <unistd.h>    // HOUSE(syscall): one small file, read by the control thread

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/assert.h"
#include "catalog/sqlite_rows.h"
#include "catalog/sqlite_schema.h"
#include "catalog/validate.h"

namespace penstock::catalog {

namespace {

using model::TenantSpec;
using model::UserSpec;

base::Error file_error(const std::string& path, std::string_view what, int errno_value, std::string hint) {
  base::Error error =
      base::errno_error(base::kIoError, fmt::format("catalog file \"{}\" {}", path, what), errno_value);
  error.hint = std::move(hint);
  error.where = path;
  return error;
}

// An empty file that only its owner may read: SQLite gives its companions (-wal, -shm) the same mode.
base::Status create_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    if (errno == EEXIST) return {};
    return base::fail(file_error(path, "cannot be created", errno,
                                 "Its directory must exist and be writable for the user who runs Penstock."));
  }
  // `sudo penstock tenant add` must not lock out a server that runs as a user of its own.
  struct stat directory{};
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (::geteuid() == 0 && ::stat(parent.empty() ? "." : parent.c_str(), &directory) == 0) {
    (void)::fchown(descriptor, directory.st_uid, directory.st_gid);
  }
  ::close(descriptor);
  return {};
}

}  // namespace

base::Result<SqliteStore::FileId> SqliteStore::identify(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) {
    return base::fail(
        file_error(path, "cannot be found", errno,
                   "`penstock serve` and `penstock tenant add` create it; --catalog or the setting "
                   "server.catalog name another one."));
  }
  return FileId{.device = found.st_dev, .inode = found.st_ino};
}

base::Result<std::unique_ptr<SqliteStore>> SqliteStore::open(Options options) {
  if (options.create) {
    if (const base::Status status = create_file(options.path); !status) return base::fail(status.error());
  }
  const base::Result<FileId> file = identify(options.path);
  if (!file) return base::fail(file.error());
  base::Result<SqliteDatabase> database =
      SqliteDatabase::open({.path = options.path, .patience = options.patience});
  if (!database) return base::fail(database.error());
  if (const base::Status status = bring_up_to_date(*database, options.path); !status) {
    return base::fail(status.error());
  }
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(options), *std::move(database), *file));
}

base::Result<std::uint64_t> SqliteStore::version() {
  if (const base::Status status = follow_replaced_file(); !status) return base::fail(status.error());
  return read_version();
}

base::Result<std::uint64_t> SqliteStore::read_version() {
  const base::Result<std::int64_t> number = database_.number("SELECT version FROM catalog");
  if (!number) return base::fail(number.error());
  return static_cast<std::uint64_t>(*number);
}

base::Result<bool> SqliteStore::changed_since(std::uint64_t version) {
  if (const base::Status status = follow_replaced_file(); !status) return base::fail(status.error());
  const base::Result<std::int64_t> data_version = database_.number("PRAGMA data_version");
  if (!data_version) return base::fail(data_version.error());
  if (*data_version != seen_data_version_) {
    const base::Result<std::uint64_t> now = read_version();
    if (!now) return base::fail(now.error());
    seen_data_version_ = *data_version;
    seen_version_ = *now;
  }
  return was_replaced_ || seen_version_ != version;
}

// SQLite leaves the write-ahead log of a file that is gone under its name, and would play it into the new
// one.
void SqliteStore::drop_stale_log() {
  const base::Result<FileId> log = identify(options_.path + "-wal");
  if (!log || *log != log_file_) return;
  ::unlink((options_.path + "-wal").c_str());
  ::unlink((options_.path + "-shm").c_str());
}

base::Status SqliteStore::follow_replaced_file() {
  const base::Result<FileId> file = identify(options_.path);
  if (!file) return base::fail(file.error());
  if (database_.is_open() && *file == file_) {
    log_file_ = identify(options_.path + "-wal").value_or(FileId{});
    return {};
  }
  database_ = SqliteDatabase();
  drop_stale_log();
  Options options = options_;
  options.create = false;
  base::Result<std::unique_ptr<SqliteStore>> fresh = open(std::move(options));
  if (!fresh) return base::fail(fresh.error());
  *this = std::move(**fresh);
  was_replaced_ = true;  // its version may be the same by chance
  return {};
}

base::Result<model::SnapshotPtr> SqliteStore::load() {
  if (const base::Status status = follow_replaced_file(); !status) return base::fail(status.error());
  base::Result<SqliteTransaction> transaction =
      SqliteTransaction::begin(database_, SqliteTransaction::Kind::kRead);
  if (!transaction) return base::fail(transaction.error());
  const base::Result<std::uint64_t> version = read_version();
  if (!version) return base::fail(version.error());
  base::Result<std::vector<model::TenantPtr>> tenants = read_tenants(database_);
  if (!tenants) return base::fail(tenants.error());
  was_replaced_ = false;
  return std::make_shared<const model::CatalogSnapshot>(*std::move(tenants), options_.default_tenant,
                                                        *version);
}

base::Status SqliteStore::edit(std::string_view tenant_id, const Edit& edit) {
  if (const base::Status status = follow_replaced_file(); !status) return status;
  base::Result<SqliteTransaction> transaction =
      SqliteTransaction::begin(database_, SqliteTransaction::Kind::kWrite);
  if (!transaction) return base::fail(transaction.error());
  const base::Result<std::optional<TenantSpec>> before = read_tenant(database_, tenant_id);
  if (!before) return base::fail(before.error());
  std::optional<TenantSpec> after = *before;
  if (const base::Status status = edit(after); !status) return status;
  if (after == *before) return {};
  if (after) {
    PENSTOCK_ASSERT(after->id == tenant_id);
    std::ranges::sort(after->users, {}, &UserSpec::name);
    if (const base::Status status = refuse_errors(problems_of(*after)); !status) return status;
    if (const base::Status status = check_routes(database_, *after); !status) return status;
  }
  if (const base::Status status = write_difference(database_, *before, after); !status) return status;
  const base::Result<std::uint64_t> version = read_version();
  if (!version) return base::fail(version.error());
  if (const base::Status status = transaction->commit(); !status) return status;
  seen_version_ = *version;  // data_version does not move for our own changes
  return {};
}

}  // namespace penstock::catalog
