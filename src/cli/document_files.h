// DocumentFiles: the documents of `plan` and `apply`, from files and directories, as one; and where in them a mistake is.
//
// References: ${NAME} is a variable of the environment; {file: PATH} as a secret is the first line of that file, whose
// path is seen from the document's directory.
//
// Home: the main thread.
#pragma once

#include <string>
#include <vector>

#include "catalog/document.h"
#include "catalog/validate.h"
#include "config/load.h"

namespace penstock::cli {

class DocumentFiles {
 public:
  // `paths`: files, directories (their .yaml, .yml and .json files, by name), "-" (the standard input).
  DocumentFiles(const std::vector<std::string>& paths, const config::Environment& environment);

  // All tenants; not to be used while there are mistakes.
  const std::vector<catalog::TenantEntry>& entries() const { return entries_; }
  // "tenants/acme.yaml:3: tenants.acme.pool_size: must be …", all of them, in the order of files and lines.
  std::vector<std::string> mistakes() const;
  // Problems of the catalog as it would be belong to the files, too.
  void add(const std::vector<catalog::Problem>& problems);

 private:
  struct File {
    std::string name;
    std::string text;
    catalog::Mistakes mistakes = {};
  };
  void add_path(const std::string& path, const config::Environment& environment);
  void add_file(const std::string& path, const config::Environment& environment);
  void add_problem(const catalog::Problem& problem);

  std::vector<File> files_;
  std::vector<catalog::TenantEntry> entries_;
  std::vector<std::size_t> file_of_;    // by entry
  std::vector<std::string> elsewhere_;  // mistakes that are in no file
};

}  // namespace penstock::cli
