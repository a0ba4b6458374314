// A folder, or several files of one, written whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "skipv1/io/file.hpp"

namespace skipv1 {

/// A folder in the making. Until `commit` it has a temporary name that no other process uses. Without `commit` it is removed,
/// with the parent folders made for it.
class NewFolder {
 public:
  /// Throws if `path` exists already or cannot be made.
  explicit NewFolder(std::filesystem::path path) : path_(std::move(path)) {
    require(!path_.empty(), "the folder to be made has an empty name");
    if (path_.filename().empty()) path_ = path_.parent_path();  // "name/"
    std::error_code error;
    require(!std::filesystem::exists(path_, error), path_.string(), ": exists already");
    part_ = part_of(path_);
    remove_left_over(path_);
    std::filesystem::remove_all(part_, error);
    made_ = missing_folders(part_);
    std::filesystem::create_directories(part_, error);
    if (error) remove_empty(made_);
    require(!error, path_.string(), ": cannot be made: ", error.message());
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  ~NewFolder() {
    if (committed_) return;
    std::error_code error;
    std::filesystem::remove_all(part_, error);
    remove_empty(made_);
  }

  /// Where to write.
  const std::filesystem::path& path() const { return part_; }
  /// Gives the folder its name. Throws if another process was faster.
  void commit() {
    std::error_code error, ignored;
    std::filesystem::rename(part_, path_, error);
    require(!error || !std::filesystem::exists(path_, ignored), path_.string(), ": exists already");
    require(!error, path_.string(), ": cannot be written: ", error.message());
    committed_ = true;
  }

 private:
  std::filesystem::path path_, part_;
  std::vector<std::filesystem::path> made_;
  bool committed_ = false;
};

/// Files of one folder, which need not exist, in the making: all of them or none, unless the system refuses a name in the middle
/// of `commit`. Files of their names in it are replaced by `commit`, others stay. One at a time per folder and process.
class NewFiles {
 public:
  /// Throws if nothing can be written there.
  explicit NewFiles(std::filesystem::path folder) : folder_(std::move(folder)), part_(part_of(folder_ / "")) {
    std::error_code error;
    remove_left_over(folder_ / "");
    std::filesystem::remove_all(part_, error);
    made_ = missing_folders(part_);
    std::filesystem::create_directories(part_, error);
    if (error) remove_empty(made_);
    require(!error, folder_.string(), ": nothing can be written into this folder: ", error.message());
  }
  NewFiles(const NewFiles&) = delete;
  NewFiles& operator=(const NewFiles&) = delete;
  ~NewFiles() {
    std::error_code error;
    std::filesystem::remove_all(part_, error);
    remove_empty(made_);
  }

  /// Where to write.
  const std::filesystem::path& path() const { return part_; }
  /// Gives the files their places.
  void commit() {
    std::vector<std::filesystem::path> names;
    for (const auto& entry : std::filesystem::directory_iterator(part_)) names.push_back(entry.path().filename());
    std::error_code error;
    for (const std::filesystem::path& name : names)
      require(!std::filesystem::is_directory(folder_ / name, error), (folder_ / name).string(),
              ": cannot be written: ", std::make_error_code(std::errc::is_a_directory).message());
    for (const std::filesystem::path& name : names) {
      std::filesystem::rename(part_ / name, folder_ / name, error);
      require(!error, (folder_ / name).string(), ": cannot be written: ", error.message());
    }
  }

 private:
  std::filesystem::path folder_, part_;
  std::vector<std::filesystem::path> made_;
};

}  // namespace skipv1
