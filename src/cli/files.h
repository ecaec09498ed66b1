// Files that commands read and write themselves.
//
// Home:   the main thread.
// Errors: kIoError with the file's name.
#pragma once

#include <string>

#include "base/error.h"

namespace penstock::cli {

// "-": the standard input.
base::Result<std::string> read_file(const std::string& path);
// What a file with a secret holds: its first line.
base::Result<std::string> first_line_of(const std::string& path);
// A file that only its owner may read: it may hold secrets.
base::Status write_file(const std::string& path, const std::string& text);

}  // namespace penstock::cli
