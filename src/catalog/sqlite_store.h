// SqliteStore: the catalog in one SQLite file, which the server and the command line may open at the same
// time.
//
// Write-ahead logging: readers never wait for a writer; a crash loses nothing that was committed.
//
// Owner:      Catalog or a command, by unique_ptr.
// Home:       one thread.
// Invariants: 1. The file has mode 0600 when we create it, and belongs to the owner of its directory when
//                root does.
//             2. A file that we create appears with its tables in it; one that is empty has been damaged.
//             3. `routes` agrees with the records of `tenants` (both are written by edit() only).
// Errors:     see Store; a file that was deleted or replaced while open is noticed by changed_since().
// See:        sqlite_schema.h, docs/manual/tenants.md
#pragma once

#include <sys/types.h>  // HOUSE(syscall): one small file, read by the control thread

#include <chrono>
#include <memory>
#include <string>

#include "catalog/sql_store.h"
#include "catalog/sqlite.h"

namespace penstock::catalog {

class SqliteStore final : public SqlStore {
 public:
  struct Options {
    std::string path;
    std::string default_tenant = "default";                          // see CatalogSnapshot
    bool create = true;                                              // false: a missing file is an error
    std::chrono::milliseconds patience{5000};                        // with locks of other processes
    std::optional<std::chrono::milliseconds> patience_at_work = {};  // once it is open; not set: the same
    KeySource keys = {};                                             // that seal secrets
  };
  static base::Result<std::unique_ptr<SqliteStore>> open(Options options);
  // Only the file, created if need be, with its tables.
  static base::Result<SqliteDatabase> open_file(const std::string& path);

  base::Result<model::SnapshotPtr> load(const model::SnapshotPtr& known = nullptr) override;
  base::Result<bool> changed_since(std::uint64_t version) override;
  base::Result<std::uint64_t> version() override;

  // A copy of the whole catalog in a new file, made while others go on using it.
  base::Status back_up(const std::string& path);
  // Makes the catalog hold what a backup does, while others go on using it, or makes it anew when there is none. The
  // backup is looked at first, with each of its tenants, and left alone. Gives the number of tenants.
  static base::Result<std::size_t> restore(const Options& options, const std::string& backup,
                                           const Actor& actor);

 protected:
  base::Result<Database*> database() override;
  void wrote(Database& database, std::uint64_t version) override;

 private:
  // Which file we have open, to notice when another one takes its place.
  struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool is_empty = false;  // not part of the identity
    friend bool operator==(const FileId& a, const FileId& b) {
      return a.device == b.device && a.inode == b.inode;
    }
  };
  SqliteStore(Options options, auth::Keyring keys, SqliteDatabase database, FileId file)
      : SqlStore({.default_tenant = options.default_tenant, .keys = options.keys}, std::move(keys)),
        options_(std::move(options)),
        database_(std::move(database)),
        file_(file) {}

  static base::Result<FileId> identify(const std::string& path);
  // The same, where an empty file can only be one that was damaged.
  static base::Result<FileId> identify_filled(const std::string& path);
  static base::Result<SqliteDatabase> open_database(const std::string& path,
                                                    std::chrono::milliseconds patience);
  // Opens the file anew when another one has taken its place, or when that failed the last time.
  base::Status follow_replaced_file();
  void drop_stale_log();

  std::chrono::milliseconds patience_at_work() const {
    return options_.patience_at_work.value_or(options_.patience);
  }

  Options options_;
  SqliteDatabase database_;
  FileId file_;
  FileId log_file_ = {};  // the write-ahead log that belongs to file_
  // The last answer of PRAGMA data_version, which moves when another connection commits, and our version
  // then.
  std::int64_t seen_data_version_ = -1;
  std::uint64_t seen_version_ = 0;
  bool was_replaced_ = false;  // the file, since the last load()
};

}  // namespace penstock::catalog
