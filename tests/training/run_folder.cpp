#include "skipv1/training/run_folder.hpp"

#include <set>

#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
std::set<std::string> names(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}
auto writes(const std::string& content) {
  return [content](const std::filesystem::path& folder) { write_file(folder / "a", content); };
}
}  // namespace

TEST_CASE("the last checkpoint is the one of the highest step, and the only one kept") {
  const Folder place("run-folder");
  const RunFolder folder(place / "run");
  CHECK(!folder.last());
  folder.save(0, writes("zero"));
  CHECK(folder.last() == 0u);
  folder.save(9, writes("nine"));
  folder.save(100, writes("hundred"));
  CHECK(folder.last() == 100u);
  CHECK(file_content(folder.checkpoint(100) / "a") == "hundred");
  CHECK(names(folder.path()) == std::set<std::string>{"step-00000100"});
}

TEST_CASE("what interrupted programs leave is no checkpoint, and goes") {
  const Folder place("run-folder");
  const RunFolder folder(place.path());
  write_file(place / "step-00000007/a", "seven");
  write_file(place / "step-00000003/a", "three: its removal was interrupted");
  write_file(place / "step-00000002.old/a", "");
  write_file(place / "step-00000009.part/a", "half a nine");
  write_file(place / "step-none/a", "somebody's own");
  write_file(place / "log.csv.part-4711", "half a log");
  write_file(place / "notes.part-two", "somebody's own");
  write_file(place / "log.csv", "");
  CHECK(folder.last() == 7u);
  folder.clean();
  CHECK(names(place.path()) == std::set<std::string>{"log.csv", "notes.part-two", "step-00000007", "step-none"});
  write_file(place / "step-00000009.part/b", "again half a nine");
  folder.save(9, writes("nine"));
  CHECK(names(place / "step-00000009") == std::set<std::string>{"a"});
}

TEST_CASE("whoever reads a run that is learning reads the next checkpoint where the last one has gone") {
  const Folder place("run-folder");
  const RunFolder folder(place.path());
  folder.save(1, writes("one"));
  int reads = 0;
  const auto read = [&](const std::filesystem::path& path) {
    if (++reads < 3) folder.save(static_cast<std::size_t>(reads) + 1, writes("next"));
    require(std::filesystem::exists(path / "a"), path.string(), ": cannot be read");
    return path;
  };
  CHECK(read_model(place.path(), read) == folder.checkpoint(3));
  CHECK(reads == 3);
  CHECK(message([&] { read_model(place / "model.bin", [](const auto&) { fail("broken"); }); }) == "broken");
}

TEST_CASE("a checkpoint that cannot be written leaves the one before") {
  const Folder place("run-folder");
  const RunFolder folder(place.path());
  folder.save(1, writes("one"));
  const auto full = [](const std::filesystem::path& part) {
    write_file(part / "a", "tw");
    fail("no space left");
  };
  CHECK(message([&] { folder.save(2, full); }) == "no space left");
  CHECK(folder.last() == 1u);
  CHECK(names(place.path()) == std::set<std::string>{"step-00000001"});
  write_file(place / "file", "");
  CHECK_THAT(message([&] { RunFolder(place / "file").save(1, writes("")); }), Catch::Contains("cannot be made"));
}

TEST_CASE("a folder that is held is written to only while no other has its place") {
  const Folder place("run-folder");
  RunFolder folder(place / "run");
  folder.save(1, writes("one"));
  folder.hold();
  folder.save(2, writes("two"));
  std::filesystem::rename(place / "run", place / "away");
  CHECK(message([&] { folder.save(3, writes("three")); }) == (place / "run").string() + ": this run's folder is gone");
  write_file(place / "run/step-00000000/a", "another run's");
  write_file(place / "run/step-00000001/a", "another run's");
  const std::string line = (place / "run").string() + ": something else has taken the place of this run's folder";
  CHECK(message([&] { folder.save(3, writes("three")); }) == line);
  CHECK(message([&] { folder.clean(); }) == line);
  folder.remove_first();
  CHECK(names(place / "run") == std::set<std::string>{"step-00000000", "step-00000001"});
}
