// Every operation has its twin: each function of ops/NAME.hpp stands in ops/NAME.cuh too, and in docs/performance/pairs.md.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "tests/catch.hpp"

namespace {

/// Names of the functions that a header declares for tensors of `space`, those of namespace detail excepted.
std::set<std::string> functions(const std::filesystem::path& header, const std::string& space) {
  std::ifstream in(header);
  REQUIRE(in.good());
  std::set<std::string> names;
  static const std::regex declaration(R"(^(?:inline )?(?:void|double|[A-Z]\w*<.*>) (\w+)\((.*))");
  bool detail = false;
  std::string last;
  for (std::string line; std::getline(in, line);) {
    static const std::regex begins(R"(^namespace (skipv1::)?detail\b.*)"), ends(R"(^\}  // namespace (skipv1::)?detail\b.*)");
    if (std::regex_match(line, begins)) detail = true;
    if (std::regex_match(line, ends)) detail = false;
    std::smatch match;
    if (!last.empty()) {  // a declaration's second line
      if (line.find(space + ">") != std::string::npos) names.insert(last);
      last.clear();
    }
    if (detail || !std::regex_search(line, match, declaration)) continue;
    if (line.find(", " + space + ">") != std::string::npos)
      names.insert(match[1]);
    else if (line.find(')') == std::string::npos)
      last = match[1];
  }
  return names;
}

}  // namespace

TEST_CASE("every operation on the CPU has a twin on the device", "[cuda]") {
  const std::filesystem::path root = std::filesystem::path(__FILE__).parent_path() / "../..", ops = root / "skipv1/ops";
  std::ifstream table(root / "docs/performance/pairs.md");
  const std::string documented{std::istreambuf_iterator<char>(table), {}};
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(ops)) {
    if (file.path().extension() != ".hpp") continue;
    std::filesystem::path twin = file.path();
    twin.replace_extension(".cuh");
    const std::set<std::string> on_cpu = functions(file.path(), "Cpu");
    if (on_cpu.empty()) continue;
    INFO(file.path().filename());
    REQUIRE(std::filesystem::exists(twin));
    const std::set<std::string> on_device = functions(twin, "Device");
    for (const std::string& name : on_cpu) {
      if (name == "rope_table") continue;  // made once, on the host
      INFO(name);
      CHECK(on_device.count(name) == 1);
      CHECK(documented.find("| `" + name + "` | [" + file.path().stem().string() + "](") != std::string::npos);
      ++count;
    }
  }
  CHECK(count >= 20);
}
