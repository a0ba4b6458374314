// A folder for one test.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace skipv1::test {

/// A fresh folder of its own, even where tests run side by side; removed in the end.
class Folder {
 public:
  explicit Folder(const std::string& name) {
    const std::string start = (std::filesystem::temp_directory_path() / ("skipv1-test-" + name)).string();
    for (int i = 0; path.empty() || !std::filesystem::create_directory(path); ++i) path = start + '-' + std::to_string(i);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  std::filesystem::path operator/(const std::string& name) const { return path / name; }
  std::filesystem::path path;
};

inline void write_file(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}
inline std::string file_content(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

}  // namespace skipv1::test
