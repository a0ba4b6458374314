// A folder for one test.
#pragma once

#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>

namespace skipv1::testing {

/// A fresh folder of its own, even where tests run side by side; removed in the end.
class Folder {
 public:
  explicit Folder(const std::string& name) {
    const std::string start = (std::filesystem::temp_directory_path() / ("skipv1-test-" + name)).string();
    for (int i = 0; path_.empty() || !std::filesystem::create_directory(path_); ++i) path_ = start + '-' + std::to_string(i);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  /// How many files there are.
  std::ptrdiff_t count() const { return std::distance(std::filesystem::directory_iterator(path_), {}); }

 private:
  std::filesystem::path path_;
};

}  // namespace skipv1::testing
