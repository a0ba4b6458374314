// Where a run keeps its checkpoints: a folder step-00000300 each, complete from the moment it has that name.
#pragma once

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "skipv1/core/own_files.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/io/lock.hpp"

namespace skipv1 {

/// The folder of a run. Whatever moment a program ends at, the last checkpoint in it is whole. Who writes to it has its `lock`.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoint(std::size_t step) const {
    char name[40];
    std::snprintf(name, sizeof name, "step-%08zu", step);
    return path_ / name;
  }
  /// The folder, made if there is none, for this process alone. Throws while another one has it. A folder in which nothing is
  /// done goes again.
  Lock lock() const { return Lock(path_ / "lock", path_.string()); }
  /// From now on nothing is written or removed here once another folder has taken the place of the one that is there now. For
  /// who has the lock.
  void hold() {
    if (!held_) held_ = file_id(path_ / ".");
  }
  /// Throws if the folder that is held is no longer there.
  void require_held() const {
    require(is_held(), path_.string(),
            is_there(path_) ? ": something else has taken the place of this run's folder" : ": this run's folder is gone");
  }
  /// The step of the last checkpoint; none if there is no checkpoint, or no such folder.
  std::optional<std::size_t> last() const {
    std::optional<std::size_t> last;
    for (const auto& entry : entries())
      if (const std::optional<std::size_t> step = step_of(entry); step && (!last || *step > *last)) last = step;
    return last;
  }

  /// Makes the checkpoint of `step`: `write(folder)` fills a folder, which then gets its name; only after that are older ones
  /// removed. Throws if writing fails (a full disk), with the older ones kept.
  template <class Write>
  void save(std::size_t step, const Write& write) const {
    require_held();
    const std::filesystem::path target = checkpoint(step), part = with_suffix(target, ".part");
    std::error_code error;
    const Unfinished unfinished(part);
    std::filesystem::remove_all(part, error);
    std::filesystem::create_directories(part, error);
    require(!error, part.string(), ": cannot be made: ", error.message());
    try {
      write(part);
    } catch (...) {
      require_held();
      std::filesystem::remove_all(part, error);
      throw;
    }
    require_held();
    std::filesystem::rename(part, target, error);
    require(!error, target.string(), ": cannot be made: ", error.message());
    clean();
  }

  /// Removes the checkpoint of step 0, of a run that has learned nothing.
  void remove_first() const {
    std::error_code ignored;
    if (is_held()) std::filesystem::remove_all(checkpoint(0), ignored);
  }

  /// Removes what interrupted programs have left, and all checkpoints but the last.
  void clean() const {
    require_held();
    const std::optional<std::size_t> kept = last();
    std::error_code ignored;  // what stays costs room, no more
    for (const std::filesystem::path& entry : entries()) {
      const std::optional<std::size_t> step = step_of(entry);
      if (step == kept || !(step || left_over(entry))) continue;
      const std::filesystem::path old = step ? with_suffix(entry, ".old") : entry;
      const Unfinished unfinished(old);
      if (step) {  // it must not lose some of its files under a checkpoint's name
        std::filesystem::remove_all(old, ignored);
        std::filesystem::rename(entry, old, ignored);
        if (ignored) continue;
      }
      std::filesystem::remove_all(old, ignored);
    }
  }

 private:
  bool is_held() const { return !held_ || file_id(path_ / ".") == held_; }
  static std::filesystem::path with_suffix(std::filesystem::path path, const char* suffix) { return path += suffix; }
  std::vector<std::filesystem::path> entries() const {
    std::vector<std::filesystem::path> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator i(path_, error), end; !error && i != end; i.increment(error))
      paths.push_back(i->path());
    return paths;
  }
  static std::optional<std::size_t> step_of(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    std::size_t step = 0;
    if (!name.starts_with("step-")) return {};
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    if (error != std::errc() || end != name.data() + name.size()) return {};
    return step;
  }
  static bool left_over(const std::filesystem::path& path) {
    const bool step = path.filename().string().starts_with("step-");
    return (step && (path.extension() == ".part" || path.extension() == ".old")) || is_part(path);
  }

  std::filesystem::path path_;
  std::optional<FileId> held_;
};

/// The model that `path` names: of a run's folder its last checkpoint, else `path` itself.
inline std::filesystem::path model_path(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path) || is_there(path / "config.json")) return path;
  require_open_folder(path);
  const RunFolder folder(path);
  const std::optional<std::size_t> last = folder.last();
  require(last.has_value(), path.string(), ": neither a model (no config.json) nor a run with a checkpoint");
  return folder.checkpoint(*last);
}

/// `read(path)` of the model that `path` names. A run that is learning may put a newer checkpoint in that one's place meanwhile:
/// then that is read. Throws as `model_path` and `read` do.
template <class Read>
auto read_model(const std::filesystem::path& path, const Read& read) {
  for (int tries = 0;; ++tries) {
    const std::filesystem::path model = model_path(path);
    try {
      return read(model);
    } catch (const Error&) {
      if (tries == 100 || model == path || std::filesystem::exists(model)) throw;
    }
  }
}

}  // namespace skipv1
