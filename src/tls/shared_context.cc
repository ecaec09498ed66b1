#include "tls/shared_context.h"

#include <fmt/format.h>
#include <openssl/x509.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "base/weak_table.h"

namespace penstock::tls {

namespace {

// Another text when the file is another one, or has been written since.
std::string state_of(const std::string& path) {
  std::error_code error;
  const auto file = std::filesystem::canonical(path, error);
  const auto written = std::filesystem::last_write_time(file, error).time_since_epoch().count();
  const auto size = std::filesystem::is_directory(file, error) ? 0 : std::filesystem::file_size(file, error);
  return fmt::format("{} {} {} {}\n", path, file.native(), written, size);
}

std::string name_of(const ClientOptions& options) {
  std::string name =
      fmt::format("{} {} {}\n", static_cast<int>(options.mode), options.min_protocol, options.ciphers);
  if (!options.ca_pem.empty()) {
    name += "text " + options.ca_pem + '\n';
  } else if (options.ca_file.empty() || options.ca_file == "system") {
    name += "system " + state_of(X509_get_default_cert_file()) + state_of(X509_get_default_cert_dir());
  } else {
    name += state_of(options.ca_file);
  }
  return name + state_of(options.cert_file) + state_of(options.key_file);
}

}  // namespace

base::Result<std::shared_ptr<const ClientContext>> shared_client_context(const ClientOptions& options) {
  static base::WeakTable<const ClientContext> contexts;
  base::Error error;
  auto context = contexts.find_or_make(name_of(options), [&]() -> std::shared_ptr<const ClientContext> {
    auto made = ClientContext::build(options);
    if (made) return *std::move(made);
    error = std::move(made.error());
    return nullptr;
  });
  if (context == nullptr) return std::unexpected(std::move(error));
  return context;
}

}  // namespace penstock::tls
