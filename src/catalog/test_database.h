// A database of its own in the Postgres of PENSTOCK_TEST_DATABASE_URL, gone when the test ends. For tests only.
#pragma once

#include <fmt/format.h>
#include <unistd.h>  // HOUSE(syscall): a test database is named after the process

#include <cstdlib>
#include <string>

#include "base/assert.h"
#include "catalog/postgres.h"

namespace penstock::catalog {

class TestDatabase {
 public:
  static bool is_there() { return std::getenv("PENSTOCK_TEST_DATABASE_URL") != nullptr; }

  TestDatabase() : server_(std::getenv("PENSTOCK_TEST_DATABASE_URL")) {
    static int count = 0;
    name_ = fmt::format("penstock_test_{}_{}", ::getpid(), ++count);
    admin(fmt::format("CREATE DATABASE {}", name_));
  }
  ~TestDatabase() { admin(fmt::format("DROP DATABASE {} WITH (FORCE)", name_)); }
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  std::string url() const { return server_.substr(0, server_.rfind('/') + 1) + name_; }
  const std::string& name() const { return name_; }
  PostgresConnection connect() const {
    auto connection = PostgresConnection::connect({.url = url()});
    PENSTOCK_ASSERT(connection.has_value());
    return *std::move(connection);
  }
  // As superuser, in another database.
  void admin(const std::string& sql) const {
    auto connection = PostgresConnection::connect({.url = server_});
    PENSTOCK_ASSERT(connection.has_value());
    (void)connection->run(sql);
  }

 private:
  std::string server_;
  std::string name_;
};

}  // namespace penstock::catalog
