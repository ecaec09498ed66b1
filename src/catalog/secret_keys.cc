#include "catalog/secret_keys.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>

#include "auth/wiped.h"

namespace penstock::catalog {

namespace {

constexpr std::size_t kFileBytesMax = 64 * 1024;

base::Result<std::string> text_of(const std::string& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text(kFileBytesMax, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (stream.fail() && !stream.eof())) {
    base::Error error =
        base::errno_error(base::kIoError, fmt::format("catalog key file \"{}\" cannot be read", file),
                          errno != 0 ? errno : EIO);
    error.hint =
        "The setting server.catalog_key_file names it; the user who runs Penstock must be able to read it.";
    return base::fail(std::move(error));
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace

base::Result<auth::Keyring> read_keys(const KeySource& source) {
  std::string all;
  if (!source.file.empty()) {
    base::Result<std::string> text = text_of(source.file);
    if (!text) return base::fail(text.error());
    all = *std::move(text) + "\n";
  }
  base::Result<auth::Keyring> ring = auth::Keyring::parse(all);
  if (ring && ring->empty() && !source.file.empty()) {
    ring =
        base::fail(base::kConfigFileError, fmt::format("catalog key file \"{}\" holds no key", source.file),
                   {}, "`penstock catalog new-key` makes one.");
  } else if (ring && !source.text.empty()) {
    ring = auth::Keyring::parse(all + source.text);
    if (ring && ring->empty()) {
      ring = base::fail(base::kConfigFileError, "PENSTOCK_CATALOG_KEY holds no key", {},
                        "`penstock catalog new-key` makes one.");
    }
  }
  if (!ring && !source.file.empty()) ring.error().where = source.file;
  auth::wipe(all.data(), all.size());
  return ring;
}

}  // namespace penstock::catalog
