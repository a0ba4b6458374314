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
  return [content](const std::filesystem::path& folder) {
    write_file(folder / "a", content), write_file(folder / "state.json", "{}");
  };
}
void checkpoint(const std::filesystem::path& folder, const std::string& content) { writes(content)(folder); }
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
  checkpoint(place / "step-00000007", "seven");
  checkpoint(place / "step-00000003", "three: its removal was interrupted");
  write_file(place / "step-00000009.skipv1-part-2000000000/a", "half a nine");
  write_file(place / "step-00000009.skipv1-part-2000000000/state.json.skipv1-part-2000000000", "");
  write_file(place / "log.csv.skipv1-part-2000000000", "half a log");
  write_file(place / "log.csv", "");
  CHECK(folder.last() == 7u);
  const std::set<std::string> others = {"exported.skipv1-part-2000000000", "step-00000010.skipv1-part-2000000000",
                                        part_of("notes").string()};
  write_file(place / "exported.skipv1-part-2000000000/a", "a model that another program makes");
  write_file(place / "step-00000010.skipv1-part-2000000000/notes.txt", "somebody's");
  write_file(place / part_of("notes"), "this process makes it");
  folder.clean(7);
  std::set<std::string> left = others;
  left.insert({"log.csv", "step-00000007"});
  CHECK(names(place.path()) == left);
  write_file(part_of(place / "step-00000009") / "b", "again half a nine");
  folder.save(9, writes("nine"));
  CHECK(names(place / "step-00000009") == std::set<std::string>{"a", "state.json"});
}

TEST_CASE("what is no checkpoint of the run is none, whatever its name, and stays") {
  const Folder place("run-folder");
  const RunFolder folder(place.path());
  checkpoint(place / "step-00000003", "three");
  write_file(place / "step-00000003/notes.txt", "mine");
  write_file(place / "step-00000003/figures/a", "mine");
  checkpoint(place / "away", "linked");
  std::filesystem::create_directory_symlink("away", place / "step-00000002");
  std::filesystem::create_directory_symlink("away", place / "step-00000800");
  checkpoint(place / "step-9", "another program's");
  for (const char* mine : {"step-00000004/a", "step-00000900/a", "step-00000001.old/a", "step-00000009.part/a", "step-none/a",
                           "notes.part-4711", "notes.part-two", "step-00000950"})
    write_file(place / mine, "mine");
  std::set<std::string> before = names(place.path());
  CHECK(folder.last() == 3u);
  folder.save(7, writes("seven"));
  CHECK(folder.last() == 7u);
  before.insert("step-00000007");
  CHECK(names(place.path()) == before);
  CHECK(names(place / "step-00000003") == std::set<std::string>{"figures", "notes.txt"});
  CHECK(file_content(place / "step-00000003/figures/a") == "mine");
  CHECK(names(place / "away") == std::set<std::string>{"a", "state.json"});
  checkpoint(place / "step-00000990", "of another run, which came while this one learns");
  folder.save(8, writes("eight"));
  CHECK(names(place / "step-00000008") == std::set<std::string>{"a", "state.json"});
  CHECK(!std::filesystem::exists(place / "step-00000007"));
  for (const std::size_t step : {3u, 4u, 800u, 900u, 950u, 990u})
    CHECK(message([&] { folder.save(step, writes("new")); }) == folder.checkpoint(step).string() +
                                                                    ": is there, and not this run's checkpoint of step " +
                                                                    std::to_string(step) + ": move it away");
}

TEST_CASE("a run none of whose checkpoints is whole is said to be so") {
  const Folder place("run-folder");
  write_file(place / "step-00000005/config.json", "{}");
  const std::string line =
      (place / "step-00000005").string() + ": is no checkpoint: must be a folder, no link, with a file state.json";
  CHECK(message([&] { RunFolder(place.path()).require_no_broken(); }) == line);
  CHECK(message([&] { model_path(place.path()); }) == line);
  const auto without = [](const std::filesystem::path& part) { write_file(part / "a", ""); };
  CHECK_THAT(message([&] { RunFolder(place.path()).save(6, without); }), Catch::Contains("without state.json"));
  checkpoint(place / "step-00000004", "four");
  CHECK(model_path(place.path()) == place / "step-00000004");
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
  for (const char* step : {"run/step-00000000", "run/step-00000001"}) checkpoint(place / step, "another run's");
  const std::string line = (place / "run").string() + ": something else has taken the place of this run's folder";
  CHECK(message([&] { folder.save(3, writes("three")); }) == line);
  CHECK(message([&] { folder.clean(2); }) == line);
  folder.remove_first();
  CHECK(names(place / "run") == std::set<std::string>{"step-00000000", "step-00000001"});
}
