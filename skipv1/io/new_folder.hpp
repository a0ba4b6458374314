// A folder that is written whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "skipv1/io/file.hpp"

namespace skipv1 {

/// A folder in the making. It has a temporary name, its process's own, until `commit`; without that it goes.
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
    std::filesystem::create_directories(part_, error);
    require(!error, path_.string(), ": cannot be made: ", error.message());
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  ~NewFolder() {
    std::error_code error;
    if (!committed_) std::filesystem::remove_all(part_, error);
  }

  /// Where to write.
  const std::filesystem::path& path() const { return part_; }
  /// Gives the folder its name.
  void commit() {
    std::error_code error;
    std::filesystem::rename(part_, path_, error);
    require(!error, path_.string(), ": cannot be written: ", error.message());
    committed_ = true;
  }

 private:
  std::filesystem::path path_, part_;
  bool committed_ = false;
};

}  // namespace skipv1
