// PostgresStore: the catalog in a Postgres database that several nodes share. One connection, opened again on demand.
//
// In a server it lives behind SharedStore, which watches the database on a thread of its own.
//
// Owner:      SharedStore or a command, by unique_ptr.
// Home:       one thread.
// Errors:     see Store and PostgresConnection.
// Bounds:     each call waits for the database as long as Options::patience, a few times at most.
// See:        postgres_schema.h, docs/internals/catalog.md
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "catalog/postgres.h"
#include "catalog/postgres_schema.h"
#include "catalog/sql_store.h"

namespace penstock::catalog {

class PostgresStore final : public SqlStore {
 public:
  struct Options {
    std::string url;
    std::string default_tenant = "default";
    KeySource keys = {};
    Migrate migrate = Migrate::kYes;
    std::chrono::milliseconds patience{5000};
    std::optional<std::chrono::milliseconds> patience_with_locks = {};  // once connected; not set: the same
    int stop_event = -1;  // a descriptor that ends every wait; -1: none
  };
  static base::Result<std::unique_ptr<PostgresStore>> open(Options options);

  base::Result<bool> changed_since(std::uint64_t version) override;
  base::Result<std::uint64_t> version() override;

  // Listens for changes, if it does not yet, and waits for one.
  base::Result<PostgresConnection::Awaited> await_change(std::chrono::milliseconds timeout);
  base::Status listen();

  // Brings an SQLite file up to what stands here: record by record as it is, sealed or not.
  base::Status copy_to(const std::string& sqlite_file);

 protected:
  base::Result<Database*> database() override;
  base::Status announce(Database& database, std::uint64_t version) override;

 private:
  PostgresStore(Options options, auth::Keyring keys, PostgresConnection connection)
      : SqlStore({.default_tenant = options.default_tenant, .keys = options.keys}, std::move(keys)),
        options_(std::move(options)),
        connection_(std::move(connection)) {}
  static base::Result<PostgresConnection> connect(const Options& options);

  Options options_;
  PostgresConnection connection_;
  bool listens_ = false;  // on this connection
};

}  // namespace penstock::catalog
