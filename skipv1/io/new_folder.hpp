// A folder, or several files of one, written whole or not at all.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "skipv1/io/file.hpp"

namespace skipv1 {

namespace detail {

/// A folder whose temporary name no other process uses, with the parents made for it. What is left of both goes at the end.
class PartFolder {
 public:
  /// The one for `place`. Throws `failure` and the system's reason if it cannot be made.
  PartFolder(const std::filesystem::path& place, const std::string& failure) : path_(part_of(place)) {
    std::error_code error;
    const std::string nowhere = leads_nowhere(place.has_filename() ? place : place.parent_path());
    require(nowhere.empty(), failure, nowhere);
    remove_left_over(place);
    std::filesystem::remove_all(path_, error);
    const auto held = Unfinished::hold();
    unfinished_.emplace(path_);
    error = made_.make(path_);
    if (error) made_.remove();
    require(!error, failure, error.message());
    own_ = file_id(path_);
    unfinished_->begun(made_, own_);
  }
  PartFolder(const PartFolder&) = delete;
  PartFolder& operator=(const PartFolder&) = delete;
  ~PartFolder() {
    std::error_code error;
    if (own_ && file_id(path_) == own_) std::filesystem::remove_all(path_, error);
    made_.remove();
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  OwnFolders made_;
  std::optional<FileId> own_;
  std::optional<Unfinished> unfinished_;
};

}  // namespace detail

/// A folder in the making. Until `commit` it has a temporary name that no other process uses. Without `commit` it is removed,
/// with the parent folders made for it.
class NewFolder {
 public:
  /// Throws if `path` exists already or cannot be made.
  explicit NewFolder(const std::filesystem::path& path)
      : path_(checked(path)), part_(path_, path_.string() + ": cannot be made: ") {}

  /// Where to write.
  const std::filesystem::path& path() const { return part_.path(); }
  /// Gives the folder its name. Throws if another process was faster.
  void commit() {
    std::error_code error, ignored;
    std::filesystem::rename(part_.path(), path_, error);
    require(!error || !std::filesystem::exists(path_, ignored), path_.string(), ": exists already");
    require(!error, path_.string(), ": cannot be written: ", error.message());
  }

 private:
  static std::filesystem::path checked(std::filesystem::path path) {
    require(!path.empty(), "the folder to be made has an empty name");
    if (path.filename().empty()) path = path.parent_path();  // "name/"
    std::error_code error;
    const std::string nowhere = leads_nowhere(path);
    require(nowhere.empty(), path.string(), ": cannot be made: ", nowhere);
    require(!std::filesystem::exists(path, error), path.string(), ": exists already");
    return path;
  }

  std::filesystem::path path_;
  detail::PartFolder part_;
};

/// Files of one folder, which need not exist, in the making: all of them or none, unless the system refuses a name in the middle
/// of `commit`. Files of their names in it are replaced by `commit`, others stay. One at a time per folder and process.
class NewFiles {
 public:
  /// Throws if nothing can be written there.
  explicit NewFiles(std::filesystem::path folder)
      : folder_(std::move(folder)), part_(folder_ / "", folder_.string() + ": nothing can be written into this folder: ") {}

  /// Where to write.
  const std::filesystem::path& path() const { return part_.path(); }
  /// Gives the files their places.
  void commit() {
    std::vector<std::filesystem::path> names;
    for (const auto& entry : std::filesystem::directory_iterator(part_.path())) names.push_back(entry.path().filename());
    std::error_code error;
    for (const std::filesystem::path& name : names)
      require(!std::filesystem::is_directory(folder_ / name, error), (folder_ / name).string(),
              ": cannot be written: ", std::make_error_code(std::errc::is_a_directory).message());
    for (const std::filesystem::path& name : names) {
      const std::filesystem::path place = folder_ / name;
      if (std::filesystem::is_symlink(
              std::filesystem::symlink_status(place, error))) {  // written where it leads, which may be another disk
        Source made(part_.path() / name);
        write_whole(place, [&](std::ostream& out) {
          constexpr std::uint64_t most = 1 << 20;
          for (std::uint64_t at = 0; at < made.size(); at += most) out << made.text(at, std::min(most, made.size() - at));
        });
        continue;
      }
      std::filesystem::rename(part_.path() / name, place, error);
      require(!error, place.string(), ": cannot be written: ", error.message());
    }
  }

 private:
  std::filesystem::path folder_;
  detail::PartFolder part_;
};

}  // namespace skipv1
