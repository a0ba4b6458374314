// Where a run keeps its checkpoints: a folder step-00000300 each, complete from the moment it has that name.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "skipv1/core/own_files.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/io/lock.hpp"

namespace skipv1 {

/// The folder of a run. Whatever moment a program ends at, the last checkpoint in it is whole. Who writes to it has its `lock`.
/// A checkpoint is a folder of such a name, no link, with a file state.json: what else has such a name is left alone.
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
    for (const std::size_t step : named())
      if (is_checkpoint(checkpoint(step)) && (!last || step > *last)) last = step;
    return last;
  }
  /// The steps of whose checkpoints something has the name, whatever it is.
  std::vector<std::size_t> named() const {
    std::vector<std::size_t> steps;
    for (const auto& entry : entries())
      if (const std::optional<std::size_t> step = step_of(entry)) steps.push_back(*step);
    return steps;
  }
  /// Throws if there is no checkpoint, but something of the name of one.
  void require_no_broken() const {
    if (last()) return;
    for (const std::size_t step : named())
      fail(checkpoint(step).string(), ": is no checkpoint: must be a folder, no link, with a file ", mark);
  }
  /// Throws if something has the name of the checkpoint of `step`, which is to be made.
  void require_free(std::size_t step) const {
    require(!is_there(checkpoint(step)), checkpoint(step).string(), ": is there, and not this run's checkpoint of step ", step,
            ": move it away");
  }

  /// Makes the checkpoint of `step`: `write(folder)` fills a folder, state.json among it, which then gets its name; only after
  /// that are older ones removed. Throws if writing fails (a full disk), with the older ones kept.
  template <class Write>
  void save(std::size_t step, const Write& write) const {
    require_held();
    require_free(step);
    const std::filesystem::path target = checkpoint(step), part = part_of(target);
    std::error_code error;
    const Unfinished unfinished(part);
    std::filesystem::remove_all(part, error);
    std::filesystem::create_directories(part, error);
    require(!error, part.string(), ": cannot be made: ", error.message());
    try {
      write(part);
      require(is_checkpoint(part), target.string(), ": is to be a checkpoint, but was filled without ", mark);
    } catch (...) {
      require_held();
      std::filesystem::remove_all(part, error);
      throw;
    }
    require_held();
    require_free(step);
    std::filesystem::rename(part, target, error);
    require(!error, target.string(), ": cannot be made: ", error.message());
    clean(step);
  }

  /// Removes the checkpoint of step 0, of a run that has made it and learned nothing.
  void remove_first() const {
    std::error_code ignored;
    if (is_held() && is_checkpoint(checkpoint(0))) std::filesystem::remove_all(checkpoint(0), ignored);
  }

  /// Removes what interrupted programs have left, and all checkpoints before the one of step `kept`: the files of theirs that
  /// this one has, too. What else somebody has put there stays.
  void clean(std::size_t kept) const {
    require_held();
    std::set<std::string> own;
    for (const auto& file : entries(checkpoint(kept))) own.insert(file.filename().string());
    std::error_code error;  // what stays costs room, no more
    for (const std::filesystem::path& entry : entries()) {
      const std::optional<std::size_t> step = step_of(entry);
      const bool older = step && *step < kept && is_checkpoint(entry);
      if (!older && !left_over(entry)) continue;
      const std::filesystem::path part = older ? part_of(entry) : entry;
      std::optional<Unfinished> unfinished;
      if (holds_only(own, entry)) unfinished.emplace(part);
      if (older) std::filesystem::rename(entry, part, error);  // it must not lose some of its files under a checkpoint's name
      if (!older || !error) remove(part, own);
      if (older && is_folder(part) && !is_there(entry)) std::filesystem::rename(part, entry, error);  // something is left in it
    }
  }

 private:
  static constexpr const char* mark = "state.json";  ///< what a folder without it is no checkpoint

  bool is_held() const { return !held_ || file_id(path_ / ".") == held_; }
  static bool is_folder(const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::is_directory(std::filesystem::symlink_status(path, error));
  }
  static bool is_checkpoint(const std::filesystem::path& path) {
    std::error_code error;
    return is_folder(path) && std::filesystem::is_regular_file(path / mark, error);
  }
  static std::vector<std::filesystem::path> entries(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
      paths.push_back(i->path());
    return paths;
  }
  std::vector<std::filesystem::path> entries() const { return entries(path_); }
  std::optional<std::size_t> step_of(const std::filesystem::path& path) const {
    const std::string name = path.filename().string();
    std::size_t step = 0;
    if (!name.starts_with("step-")) return {};
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    if (error != std::errc() || end != name.data() + name.size() || checkpoint(step).filename() != path.filename()) return {};
    return step;
  }

  static bool is_own(const std::set<std::string>& own, const std::filesystem::path& file) {
    return !is_folder(file) && (own.contains(file.filename().string()) || is_part(file));
  }
  static bool holds_only(const std::set<std::string>& own, const std::filesystem::path& path) {
    if (!is_folder(path)) return true;
    const std::vector<std::filesystem::path> files = entries(path);
    return std::all_of(files.begin(), files.end(), [&](const auto& file) { return is_own(own, file); });
  }
  /// Whether an interrupted program has left this in the making: a file, or a checkpoint, which nobody makes beside who has the
  /// lock.
  bool left_over(const std::filesystem::path& path) const {
    if (!is_part(path)) return false;
    return is_folder(path) ? step_of(path.parent_path() / path.stem()).has_value() : !part_lives(path);
  }
  /// Removes a file or folder of a temporary name; a folder in which something is left stays.
  static void remove(const std::filesystem::path& part, const std::set<std::string>& own) {
    std::error_code ignored;
    for (const auto& file : is_folder(part) ? entries(part) : std::vector<std::filesystem::path>())
      if (is_own(own, file)) std::filesystem::remove(file, ignored);
    std::filesystem::remove(part, ignored);
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
  folder.require_no_broken();
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
