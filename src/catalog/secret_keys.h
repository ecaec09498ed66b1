// Where the keys that seal secrets come from: a file, the environment, or both (the file's go first).
//
// Home:   the store's thread.
// Errors: kIoError (the file cannot be read), kConfigFileError (no key in it, or not a key).
#pragma once

#include <string>

#include "auth/keyring.h"
#include "base/error.h"

namespace penstock::catalog {

struct KeySource {
  std::string file = {};  // the setting server.catalog_key_file
  std::string text = {};  // PENSTOCK_CATALOG_KEY

  bool is_given() const { return !file.empty() || !text.empty(); }
};

// The ring is empty when nothing is given.
base::Result<auth::Keyring> read_keys(const KeySource& source);

}  // namespace penstock::catalog
