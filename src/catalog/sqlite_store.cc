#include "catalog/sqlite_store.h"

#include <fcntl.h>  // HOUSE(syscall): one small file, read by the control thread
#include <fmt/format.h>
#include <sys/stat.h>  // HOUSE(syscall): one small file, read by the control thread
#include <unistd.h>    // HOUSE(syscall): one small file, read by the control thread

#include <cerrno>
#include <filesystem>

#include "catalog/mirror.h"
#include "catalog/sqlite_schema.h"

namespace penstock::catalog {

namespace {

base::Error file_error(const std::string& path, std::string_view what, int errno_value, std::string hint) {
  base::Error error =
      base::errno_error(base::kIoError, fmt::format("catalog file \"{}\" {}", path, what), errno_value);
  error.hint = std::move(hint);
  error.where = path;
  return error;
}

// An empty file that only its owner may read: SQLite gives its companions (-wal, -shm) the same mode.
base::Status create_empty(const std::string& path, const std::string& known_as) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return base::fail(file_error(known_as, "cannot be created", errno,
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

void remove_database(const std::string& path) {
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(path + suffix, ignored);
}

std::string draft_of(const std::string& path) {
  return fmt::format("{}.new-{}", path, ::getpid());
}

// It appears as a whole, or not at all when there is one already.
base::Status take_place(const std::string& draft, const std::string& path) {
  if (::link(draft.c_str(), path.c_str()) == 0) return {};
  return base::fail(file_error(path, "cannot be created", errno, "Its file system must know hard links."));
}

// The file with its tables, if there is none. It is made beside its place: so an empty file is never one that a process
// did not live to fill.
base::Status create_catalog(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return {};
  const std::string draft = draft_of(path);
  remove_database(draft);  // of a process that had the same number
  base::Status status = create_empty(draft, path);
  if (status) {
    base::Result<SqliteDatabase> database = SqliteDatabase::open({.path = draft});
    status = database ? bring_up_to_date(*database, draft) : base::fail(database.error());
  }
  if (status) status = take_place(draft, path);
  if (!status && std::filesystem::exists(path, ignored)) status = {};  // somebody was faster
  remove_database(draft);
  return status;
}

constexpr const char* kBackupHint = "`penstock catalog backup` writes what can be restored.";

base::Error unusable_backup(base::Error error) {
  error.hint = kBackupHint;
  return error;
}

// A copy of the backup, sound and with the tables of today.
base::Result<SqliteDatabase> open_copy(const std::string& backup, const std::string& draft) {
  base::Result<SqliteDatabase> original = SqliteDatabase::open({.path = backup});
  if (!original) return base::fail(unusable_backup(original.error()));
  const base::Result<std::int64_t> owner = original->number("PRAGMA application_id");
  if (!owner) return base::fail(unusable_backup(owner.error()));
  if (*owner != kApplicationId) {
    return base::fail({.sqlstate = base::kConfigFileError,
                       .message = fmt::format("\"{}\" is no catalog", backup),
                       .hint = kBackupHint,
                       .where = backup});
  }
  base::Result<SqliteDatabase> copy = SqliteDatabase::open({.path = draft});
  if (!copy) return copy;
  if (const base::Status status = original->copy_to(*copy); !status)
    return base::fail(unusable_backup(status.error()));
  const base::Result<Database::Rows> found = copy->query("PRAGMA integrity_check(1)");
  if (!found || found->empty() || found->front()[0] != "ok") {
    return base::fail(
        {.sqlstate = base::kConfigFileError,
         .message = fmt::format("\"{}\" is damaged", backup),
         .detail = !found ? found.error().detail : fmt::format("SQLite says: {}.", found->front()[0]),
         .hint = "Take an older backup.",
         .where = backup});
  }
  if (const base::Status status = bring_up_to_date(*copy, backup); !status) return base::fail(status.error());
  return copy;
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
  return FileId{.device = found.st_dev, .inode = found.st_ino, .is_empty = found.st_size == 0};
}

// SQLite takes an empty file for a new database; instead of one with tenants it would say that there are none.
base::Result<SqliteStore::FileId> SqliteStore::identify_filled(const std::string& path) {
  base::Result<FileId> file = identify(path);
  if (!file || !file->is_empty) return file;
  return base::fail({.sqlstate = base::kConfigFileError,
                     .message = fmt::format("catalog file \"{}\" is empty", path),
                     .hint = "Restore it from a backup, or move it away so that a new catalog is created.",
                     .where = path});
}

base::Result<SqliteDatabase> SqliteStore::open_database(const std::string& path,
                                                        std::chrono::milliseconds patience) {
  base::Result<SqliteDatabase> database = SqliteDatabase::open({.path = path, .patience = patience});
  if (!database) return base::fail(database.error());
  if (const base::Status status = bring_up_to_date(*database, path); !status) {
    return base::fail(status.error());
  }
  return database;
}

base::Result<std::unique_ptr<SqliteStore>> SqliteStore::open(Options options) {
  base::Result<auth::Keyring> keys = read_keys(options.keys);
  if (!keys) return base::fail(keys.error());
  if (options.create) {
    if (const base::Status status = create_catalog(options.path); !status) return base::fail(status.error());
  }
  const base::Result<FileId> file = identify_filled(options.path);
  if (!file) return base::fail(file.error());
  base::Result<SqliteDatabase> database = open_database(options.path, options.patience);
  if (!database) return base::fail(database.error());
  std::unique_ptr<SqliteStore> store(
      new SqliteStore(std::move(options), *std::move(keys), *std::move(database), *file));
  store->database_.set_patience(store->patience_at_work());
  return store;
}

base::Result<SqliteDatabase> SqliteStore::open_file(const std::string& path) {
  if (const base::Status status = create_catalog(path); !status) return base::fail(status.error());
  return open_database(path, Options{}.patience);
}

base::Result<Database*> SqliteStore::database() {
  if (const base::Status status = follow_replaced_file(); !status) return base::fail(status.error());
  return &database_;
}

void SqliteStore::wrote(Database&, std::uint64_t version) {
  seen_version_ = version;  // data_version does not move for our own changes
}

base::Result<std::uint64_t> SqliteStore::version() {
  if (const base::Status status = follow_replaced_file(); !status) return base::fail(status.error());
  return read_version(database_);
}

base::Result<bool> SqliteStore::changed_since(std::uint64_t version) {
  if (const base::Status status = follow_replaced_file(); !status) return base::fail(status.error());
  const base::Result<std::int64_t> data_version = database_.number("PRAGMA data_version");
  if (!data_version) return base::fail(data_version.error());
  if (*data_version != seen_data_version_) {
    const base::Result<std::uint64_t> now = read_version(database_);
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
  const base::Result<FileId> file = identify_filled(options_.path);
  if (!file) return base::fail(file.error());
  if (database_.is_open() && *file == file_) {
    log_file_ = identify(options_.path + "-wal").value_or(FileId{});
    return {};
  }
  database_ = SqliteDatabase();
  drop_stale_log();
  base::Result<SqliteDatabase> fresh = open_database(options_.path, patience_at_work());
  if (!fresh) return base::fail(fresh.error());
  database_ = *std::move(fresh);
  file_ = *file;
  log_file_ = {};
  seen_data_version_ = -1;
  was_replaced_ = true;  // its version may be the same by chance
  return {};
}

base::Result<model::SnapshotPtr> SqliteStore::load(const model::SnapshotPtr& known) {
  if (const base::Status status = follow_replaced_file(); !status) return base::fail(status.error());
  // In another file, revisions mean other things.
  base::Result<model::SnapshotPtr> snapshot = read(database_, was_replaced_ ? nullptr : known);
  if (snapshot) was_replaced_ = false;
  return snapshot;
}

base::Status SqliteStore::back_up(const std::string& path) {
  if (const base::Status status = follow_replaced_file(); !status) return status;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    return base::fail(base::kIoError, fmt::format("\"{}\" exists already", path), {},
                      "A backup is written to a new file.");
  }
  if (const base::Status status = create_empty(path, path); !status) return status;
  base::Status status;
  {
    base::Result<SqliteDatabase> copy = SqliteDatabase::open({.path = path, .patience = options_.patience});
    status = copy ? database_.copy_to(*copy) : base::fail(copy.error());
  }
  if (!status) remove_database(path);
  return status;
}

base::Result<std::size_t> SqliteStore::restore(const Options& options, const std::string& backup,
                                               const Actor& actor) {
  struct Draft {
    std::string path;
    explicit Draft(std::string its_path) : path(std::move(its_path)) { remove_database(path); }
    ~Draft() { remove_database(path); }
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;
  } const draft(draft_of(options.path));
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(backup, ignored)) {
    return base::fail(base::kIoError, fmt::format("\"{}\" is no file", backup), {}, kBackupHint);
  }
  if (const base::Status status = create_empty(draft.path, options.path); !status) {
    return base::fail(status.error());
  }
  base::Result<SqliteDatabase> copy = open_copy(backup, draft.path);
  if (!copy) return base::fail(copy.error());
  // What nobody could read is not put in the place of what somebody can.
  base::Result<std::unique_ptr<SqliteStore>> as_store =
      open({.path = draft.path, .create = false, .keys = options.keys});
  if (!as_store) return base::fail(as_store.error());
  const base::Result<model::SnapshotPtr> tenants = (*as_store)->load();
  if (!tenants) {
    base::Error error = tenants.error();
    error.message = fmt::format("\"{}\" cannot be restored: {}", backup, error.message);
    return base::fail(std::move(error));
  }
  if (std::filesystem::exists(options.path, ignored)) {
    Options present = options;
    present.create = false;
    base::Result<std::unique_ptr<SqliteStore>> store = open(present);
    if (!store) {
      store.error().hint =
          "Stop the server, move the file away together with its -wal and -shm, and restore again.";
      return base::fail(store.error());
    }
    return restore_from(*copy, (*store)->database_, actor);
  }
  // The log of a file that is gone would be played into the new one.
  for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(options.path + suffix, ignored);
  const std::size_t count = (*tenants)->size();
  as_store->reset();
  const base::Status settled = copy->run_script("PRAGMA wal_checkpoint(TRUNCATE)");
  *copy = SqliteDatabase();
  const base::Status status = settled ? take_place(draft.path, options.path) : settled;
  if (!status) return base::fail(status.error());
  return count;
}

}  // namespace penstock::catalog
