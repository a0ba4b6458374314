// Where a program's `--json` goes, and how such a file is read again.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/io/place.hpp"

namespace skipv1 {

namespace detail {
#if defined(_WIN32)
inline int duplicate(int descriptor) { return _dup(descriptor); }
inline int duplicate_to(int descriptor, int as) { return _dup2(descriptor, as); }
inline std::FILE* open_descriptor(int descriptor) { return _fdopen(descriptor, "wb"); }
inline int descriptor_of(std::FILE* file) { return _fileno(file); }
#else
inline int duplicate(int descriptor) { return dup(descriptor); }
inline int duplicate_to(int descriptor, int as) { return dup2(descriptor, as); }
inline std::FILE* open_descriptor(int descriptor) { return fdopen(descriptor, "wb"); }
inline int descriptor_of(std::FILE* file) { return fileno(file); }
#endif

/// Whether `path` is a file or a pipe that standard output goes to: "/dev/stdout", or the file of a redirection.
inline bool is_standard_output(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::equivalent(path, "/dev/stdout", error) && !error && !std::filesystem::is_character_file(path, error);
}

/// Which of `keys` a program's results lack, an object or a list of objects; empty if they have all.
inline std::string missing_key(const Json& results, const std::vector<std::string>& keys) {
  const Json& object = results.is_array() && !results.empty() ? results[0] : results;
  for (const std::string& key : keys)
    if (!object.is_object() || !object.contains(key)) return key;
  return "";
}

/// Throws if a file is at `path` that numbers must not take the place of: one of a model's, a run's or a case's folder by its
/// name, or one that is not empty and has not the `keys` of the program's results.
inline void require_replaceable(const std::filesystem::path& path, const std::vector<std::string>& keys) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return;
  const std::string name = end_of_links(path).filename().string();
  for (const char* own :
       {"config.json", "run.json", "state.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "generation_config.json", "model.safetensors.index.json", "expected.json", "decoding.json", "manifest.json"})
    require(name != own, path.string(), ": is there, and of a model, a run or a case by its name: numbers do not take its place");
  Source file(path);
  if (file.size() == 0) return;
  Json there;
  try {
    there = parse_json(file.text(0, file.size()));
  } catch (const Error&) {
    fail(path.string(), ": is there, and no JSON: numbers do not take its place");
  }
  const std::string missing = missing_key(there, keys);
  require(missing.empty(), path.string(), ": is there, and without \"", missing,
          "\" no result of this program: numbers do not take its place");
}
}  // namespace detail

/// A JSON file that is written whole or not at all; with the name "-", or that of the file that standard output goes to, standard
/// output, which from then on has the JSON alone: as long as this lives, all else that the program prints goes to standard error.
/// With an empty name nothing is written.
class JsonOutput {
 public:
  /// Throws if nothing can be written there, so that this is said before the work, or if something else is there than what this
  /// program writes: an object, or a list of objects, with these `keys`. A file there stays as it is until `write`.
  JsonOutput(std::string path, const std::vector<std::string>& keys)
      : path_(detail::is_standard_output(path) ? "-" : std::move(path)) {
    if (path_ != "-") {
      if (!path_.empty()) detail::require_replaceable(path_, keys), require_writable(path_);
      return;
    }
    std::fflush(stdout);
    const int own = detail::duplicate(1);
    standard_output_ = own < 0 ? nullptr : detail::open_descriptor(own);
    require(standard_output_ && detail::duplicate_to(2, 1) >= 0, "standard output cannot be written");
  }
  JsonOutput(const JsonOutput&) = delete;
  JsonOutput& operator=(const JsonOutput&) = delete;
  ~JsonOutput() {
    if (!standard_output_) return;
    std::fflush(stdout);
    detail::duplicate_to(detail::descriptor_of(standard_output_), 1);
    std::fclose(standard_output_);
  }

  explicit operator bool() const { return !path_.empty(); }
  /// Writes `json`. Throws if it cannot be written (a full disk).
  void write(const Json& json, int indent = 2) {
    if (path_.empty()) return;
    const std::string text = json_text(json, indent) + '\n';
    if (!standard_output_) return write_whole(path_, [&](std::ostream& out) { out << text; });
    const bool written = std::fwrite(text.data(), 1, text.size(), standard_output_) == text.size();
    require(written && std::fflush(standard_output_) == 0, "standard output cannot be written");
  }

 private:
  std::string path_;
  std::FILE* standard_output_ = nullptr;
};

/// What the JSON library says of a value that is not there or of another type: "[json.exception.name.id] why" without its name.
inline std::string reason_of(const Json::exception& error) {
  const std::string line = error.what();
  const std::size_t end = line.starts_with('[') ? line.find("] ") : line.npos;
  return end == line.npos ? line : line.substr(end + 2);
}

/// Calls `task` with the numbers that `--json` wrote into `file`; throws with its name where they are others.
template <class Task>
void with_written_json(const std::string& file, const Task& task) {
  Source source(file);
  at_place(file, [&] {
    const Json numbers = parse_json(source.text(0, source.size()));
    try {
      task(numbers);
    } catch (const Json::exception& error) {
      fail("not what --json writes: ", reason_of(error));
    }
  });
}

}  // namespace skipv1
