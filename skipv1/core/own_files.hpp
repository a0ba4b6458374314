// Files and folders that are this program's own: what it has made, it may take away; what has taken their names since, not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#if !defined(_WIN32) && __has_include(<unistd.h>)
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace skipv1 {

/// Which file or folder a name stands for: two that are equal are the same one, but where one is gone and the system has given its
/// number to the other. Where the system does not tell (Windows), all of one type are equal.
struct FileId {
  std::uint64_t device = 0, number = 0;
  std::filesystem::file_type type = std::filesystem::file_type::none;
  friend bool operator==(const FileId&, const FileId&) = default;
};

/// What is called `path` now, a link itself (with "/." behind it the folder where it leads); none where nothing is.
inline std::optional<FileId> file_id(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::symlink_status(path, error);
  if (!std::filesystem::exists(status)) return {};
  FileId id{0, 0, status.type()};
#if !defined(_WIN32) && __has_include(<unistd.h>)
  struct stat found = {};
  if (lstat(path.c_str(), &found) != 0) return {};
  id.device = static_cast<std::uint64_t>(found.st_dev), id.number = static_cast<std::uint64_t>(found.st_ino);
#endif
  return id;
}
/// The folder that `path` lies in.
inline std::optional<FileId> folder_id(const std::filesystem::path& path) {
  return file_id(path.has_parent_path() ? path.parent_path() / "." : std::filesystem::path("."));
}
/// Removes the file `path` if it is still `id`.
inline void remove_own(const std::filesystem::path& path, const std::optional<FileId>& id) {
  std::error_code ignored;
  if (id && file_id(path) == id) std::filesystem::remove(path, ignored);
}

/// Folders that this program has made, not those that others have, in the order of their making.
class OwnFolders {
 public:
  /// Makes the folder `path`, and what is missing above it; why that failed, if it did.
  std::error_code make(const std::filesystem::path& path) {
    std::error_code error;
    std::vector<std::filesystem::path> missing;
    for (std::filesystem::path part = path; !part.empty() && part != part.parent_path(); part = part.parent_path()) {
      if (std::filesystem::exists(std::filesystem::symlink_status(part, error))) break;
      if (part.has_filename()) missing.push_back(part);
    }
    for (error.clear(); !missing.empty(); missing.pop_back()) {
      if (std::filesystem::create_directory(missing.back(), error))
        if (const std::optional<FileId> id = file_id(missing.back())) made_.emplace_back(missing.back(), *id);
      if (error) return error;
    }
    if (std::filesystem::is_directory(path, error) || path.empty())
      error.clear();
    else if (!error)
      error = std::make_error_code(std::errc::not_a_directory);
    return error;
  }
  /// Removes those that are still there and empty, the deepest first.
  void remove() const {
    for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) {
      if (file_id(folder->first) != folder->second) continue;
#if !defined(_WIN32) && __has_include(<unistd.h>)
      rmdir(folder->first.c_str());  // never a file that has just taken the name
#else
      std::error_code ignored;
      std::filesystem::remove(folder->first, ignored);
#endif
    }
  }

 private:
  std::vector<std::pair<std::filesystem::path, FileId>> made_;
};

}  // namespace skipv1
