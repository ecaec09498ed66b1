#include "cli/document_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/files.h"

namespace penstock::cli {

namespace {

namespace fs = std::filesystem;
using catalog::Mistake;
using catalog::TenantEntry;

bool is_document(const fs::path& path) {
  const std::string suffix = path.extension().string();
  return suffix == ".yaml" || suffix == ".yml" || suffix == ".json";
}

catalog::References references_of(const std::string& document, const config::Environment& environment) {
  return {.variable = [&environment](const std::string& name) -> base::Result<std::string> {
            const auto found = environment.find(name);
            if (found != environment.end()) return found->second;
            return base::fail(base::kInvalidParameterValue,
                              fmt::format("environment variable {} is not set", name));
          },
          .file = [directory = document == "-" ? fs::path() : fs::path(document).parent_path()](
                      const std::string& path) { return first_line_of((directory / path).string()); }};
}

std::string words_of(const std::string& file, const Mistake& mistake) {
  std::string text = fmt::format("{}:{} {}", file, mistake.line == 0 ? "" : fmt::format("{}:", mistake.line),
                                 mistake.to_string());
  if (!mistake.hint.empty()) text += fmt::format(" ({})", mistake.hint);
  return text;
}

// Where a field with this path stands: "users.app.pool_size" in the tenant at `entry.place`.
catalog::Place place_of(const TenantEntry& entry, std::string_view rest) {
  constexpr std::string_view kUsers = "users.";
  catalog::Place place = entry.place;
  if (!rest.starts_with(kUsers)) {
    place.emplace_back(rest);
    return place;
  }
  rest.remove_prefix(kUsers.size());
  place.emplace_back("users");
  for (std::size_t i = 0; i < entry.spec.users.size(); ++i) {
    const std::string& name = entry.spec.users[i].name;
    if (rest != name && !rest.starts_with(name + ".")) continue;
    place.push_back(std::to_string(i));
    if (rest != name) place.emplace_back(rest.substr(name.size() + 1));
    break;
  }
  return place;
}

}  // namespace

DocumentFiles::DocumentFiles(const std::vector<std::string>& paths, const config::Environment& environment) {
  for (const std::string& path : paths) add_path(path, environment);
}

void DocumentFiles::add_path(const std::string& path, const config::Environment& environment) {
  std::error_code error;
  if (path == "-" || !fs::is_directory(path, error)) return add_file(path, environment);
  std::vector<std::string> found;
  for (fs::directory_iterator file(path, error), end; !error && file != end; file.increment(error)) {
    if (is_document(file->path()) && !file->is_directory()) found.push_back(file->path().string());
  }
  if (error) return elsewhere_.push_back(fmt::format("\"{}\" cannot be read: {}", path, error.message()));
  if (found.empty())
    elsewhere_.push_back(fmt::format("there is no .yaml, .yml or .json file in \"{}\"", path));
  std::ranges::sort(found);
  for (const std::string& file : found) add_file(file, environment);
}

void DocumentFiles::add_file(const std::string& path, const config::Environment& environment) {
  base::Result<std::string> text = read_file(path);
  if (!text) return elsewhere_.push_back(text.error().message);
  File file{.name = path == "-" ? "standard input" : path, .text = *std::move(text)};
  catalog::Document document = catalog::read_document(file.text, references_of(path, environment));
  file.mistakes = std::move(document.mistakes);
  for (TenantEntry& entry : document.entries) {
    const auto same =
        std::ranges::find(entries_, entry.spec.id, [](const TenantEntry& other) { return other.spec.id; });
    // Twice in one file has been told of already.
    const bool is_elsewhere = same != entries_.end() &&
                              file_of_[static_cast<std::size_t>(same - entries_.begin())] != files_.size();
    if (is_elsewhere) {
      const std::string& other = files_[file_of_[static_cast<std::size_t>(same - entries_.begin())]].name;
      file.mistakes.push_back({.path = "tenants." + entry.spec.id,
                               .text = fmt::format("is in {}, too", other),
                               .place = entry.place});
    }
    entries_.push_back(std::move(entry));
    file_of_.push_back(files_.size());
  }
  catalog::find_lines(file.text, file.mistakes);
  files_.push_back(std::move(file));
}

void DocumentFiles::add(const std::vector<catalog::Problem>& problems) {
  for (const catalog::Problem& problem : problems) {
    if (problem.weight == catalog::Problem::Weight::kError) add_problem(problem);
  }
  for (File& file : files_) catalog::find_lines(file.text, file.mistakes);
}

void DocumentFiles::add_problem(const catalog::Problem& problem) {
  constexpr std::string_view kPrefix = "tenants.";
  const std::string_view path = problem.path;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::string prefix = fmt::format("{}{}.", kPrefix, entries_[i].spec.id);
    if (!path.starts_with(prefix)) continue;
    return files_[file_of_[i]].mistakes.push_back(
        {.path = problem.path,
         .text = problem.text,
         .place = place_of(entries_[i], path.substr(prefix.size()))});
  }
  elsewhere_.push_back(problem.to_string());
}

std::vector<std::string> DocumentFiles::mistakes() const {
  std::vector<std::string> all = elsewhere_;
  for (const File& file : files_) {
    catalog::Mistakes mistakes = file.mistakes;
    std::ranges::sort(mistakes, {},
                      [](const Mistake& mistake) { return std::pair(mistake.line, mistake.path); });
    for (const Mistake& mistake : mistakes) all.push_back(words_of(file.name, mistake));
  }
  return all;
}

}  // namespace penstock::cli
