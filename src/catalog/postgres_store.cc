#include "catalog/postgres_store.h"

#include <fmt/format.h>

#include "catalog/mirror.h"

namespace penstock::catalog {

base::Result<PostgresConnection> PostgresStore::connect(const Options& options) {
  base::Result<PostgresConnection> connection = PostgresConnection::connect(
      {.url = options.url, .patience = options.patience, .stop_event = options.stop_event});
  if (!connection) return connection;
  if (const base::Status status = bring_up_to_date(*connection, options.migrate); !status) {
    return base::fail(status.error());
  }
  if (options.patience_with_locks) {
    const base::Status status =
        connection->run(fmt::format("SET lock_timeout = {}", options.patience_with_locks->count()));
    if (!status) return base::fail(status.error());
  }
  return connection;
}

base::Result<std::unique_ptr<PostgresStore>> PostgresStore::open(Options options) {
  base::Result<auth::Keyring> keys = read_keys(options.keys);
  if (!keys) return base::fail(keys.error());
  base::Result<PostgresConnection> connection = connect(options);
  if (!connection) return base::fail(connection.error());
  return std::unique_ptr<PostgresStore>(
      new PostgresStore(std::move(options), *std::move(keys), *std::move(connection)));
}

base::Result<Database*> PostgresStore::database() {
  if (!connection_.is_alive()) {
    base::Result<PostgresConnection> fresh = connect(options_);
    if (!fresh) return base::fail(fresh.error());
    connection_ = *std::move(fresh);
    listens_ = false;
  }
  return &connection_;
}

base::Status PostgresStore::announce(Database& database, std::uint64_t version) {
  return database.run(fmt::format("SELECT pg_notify('{}', '{}')", kChannel, version));
}

base::Result<std::uint64_t> PostgresStore::version() {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  return read_version(**database);
}

base::Result<bool> PostgresStore::changed_since(std::uint64_t version) {
  const base::Result<std::uint64_t> now = this->version();
  if (!now) return base::fail(now.error());
  return *now != version;
}

base::Status PostgresStore::listen() {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  if (listens_) return {};
  const base::Status status = connection_.run(fmt::format("LISTEN {}", kChannel));
  listens_ = status.has_value();
  return status;
}

base::Result<PostgresConnection::Awaited> PostgresStore::await_change(std::chrono::milliseconds timeout) {
  return connection_.wait(timeout);
}

base::Status PostgresStore::copy_to(const std::string& sqlite_file) {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  return mirror(**database, sqlite_file);
}

}  // namespace penstock::catalog
