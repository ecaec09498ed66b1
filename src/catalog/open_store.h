// open_store() opens the catalog that the settings name, whatever kind of store it is.
//
// Errors: those of the store; kConfigFileError for keys that are none.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "catalog/secret_keys.h"
#include "catalog/store.h"
#include "config/load.h"

namespace penstock::catalog {

enum class Opening : std::uint8_t {
  kServer,  // stays open: made if it is not there, watched for changes
  kCreate,  // one command: made if it is not there
  kMustBe,  // one command: an error if it is not there
};

base::Result<std::unique_ptr<Store>> open_store(const config::Settings& settings,
                                                const config::Environment& environment, Opening opening);

// The environment variable with keys that seal secrets. It is no setting: settings are shown.
inline constexpr const char* kKeyVariable = "PENSTOCK_CATALOG_KEY";
KeySource key_source(const config::Settings& settings, const config::Environment& environment);

// What is to be said about how the store keeps its secrets; empty when all is well.
std::string complaint_about(const SealReport& report, const KeySource& source);

}  // namespace penstock::catalog
