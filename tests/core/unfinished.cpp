// What an interrupted program takes away.
#include "skipv1/core/unfinished.hpp"

#include "skipv1/io/lock.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/training/run_folder.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>

using namespace skipv1;
using namespace skipv1::testing;

namespace {

/// Calls `work(interrupted)` in a process of its own, which `interrupted` ends by `number`; how it ended, as wait has it.
template <class Work>
int interrupted_by(int number, const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    for (const int own : {SIGINT, SIGTERM, SIGHUP})  // Catch's
      if (std::signal(own, SIG_DFL) == SIG_IGN) std::signal(own, SIG_IGN);
    remove_unfinished_when_interrupted();
    work([=] {
      kill(getpid(), number);
      for (;;) pause();
    });
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("an interrupted program leaves nothing half written, no lock, and ends by the signal") {
  const Folder folder("unfinished");
  write(folder / "kept", "before");
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const int status = interrupted_by(number, [&](const auto& interrupted) {
      NewFile file(folder / "kept"), other(folder / "file");
      NewFolder made(folder / "parent/made");
      write(made.path() / "inside", "");
      NewFiles files(made.path());
      const Lock lock(folder / "run/lock", "run");
      RunFolder(folder / "run").save(3, [&](const std::filesystem::path& part) {
        write(part / "weights", "");
        interrupted();
      });
    });
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == number));
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) CHECK(entry.path().filename() == "kept");
    CHECK(contents(folder / "kept") == "before");
  }
}

TEST_CASE("what is finished stays when the program is interrupted; a signal that is ignored stays so") {
  const Folder folder("finished");
  const int status = interrupted_by(SIGTERM, [&](const auto& interrupted) {
    write_whole(folder / "file", [](std::ostream& out) { out << "whole"; });
    NewFolder made(folder / "made");
    write(made.path() / "inside", "");
    made.commit();
    RunFolder(folder / "run").save(3, [&](const std::filesystem::path& part) {
      write(part / "weights", ""), write(part / "state.json", "");
    });
    interrupted();
  });
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
  CHECK(contents(folder / "file") == "whole");
  CHECK(std::filesystem::exists(folder / "made/inside"));
  CHECK(std::filesystem::exists(folder / "run/step-00000003/weights"));
  CHECK(folder.count() == 3);

  const auto before = std::signal(SIGHUP, SIG_IGN);
  CHECK(interrupted_by(SIGINT, [](const auto& interrupted) {
          kill(getpid(), SIGHUP);
          interrupted();
        }) == SIGINT);
  std::signal(SIGHUP, before);
}

TEST_CASE("between making something and saying that it is one's own no interrupt removes; after that it does") {
  const Folder folder("held");
  const int status = interrupted_by(SIGTERM, [&](const auto&) {
    std::optional<Unfinished> unfinished;
    {
      const auto held = Unfinished::hold();
      kill(getpid(), SIGTERM);
      OwnFolders made;
      made.make(folder / "parent/made");
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      unfinished.emplace(folder / "parent/made");
      unfinished->begun(made, file_id(folder / "parent/made"));
    }
    for (;;) pause();
  });
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
  CHECK(folder.count() == 0);
}

TEST_CASE("whenever a program is interrupted, folders and locks in the making go") {
  const Folder folder("whenever");
  for (int i = 0; i < 150; ++i) {
    int begun[2];
    REQUIRE(pipe(begun) == 0);
    const pid_t child = fork();
    if (child == 0) {
      for (const int own : {SIGINT, SIGTERM, SIGHUP}) std::signal(own, SIG_DFL);
      remove_unfinished_when_interrupted();
      close(begun[1]);
      for (int k = 0;; ++k) {
        const std::filesystem::path place = folder / std::to_string(k);
        const NewFolder made(place / "folder/x");
        const Lock lock(place / "run/lock", "run");
        const NewFiles files(place / "files");
        require_writable_folder(place / "new/folder");
      }
    }
    char byte = 0;
    close(begun[1]);
    CHECK(read(begun[0], &byte, 1) == 0);  // the child has closed its end
    close(begun[0]);
    std::this_thread::sleep_for(std::chrono::microseconds(37 * i));
    kill(child, SIGTERM);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
    if (folder.count() > 0) FAIL("left: " << *std::filesystem::directory_iterator(folder.path()));
  }
}

TEST_CASE("an interrupted program leaves what has taken the places of its files and folders") {
  const Folder folder("taken");
  const int status = interrupted_by(SIGTERM, [&](const auto& interrupted) {
    const Lock lock(folder / "run/lock", "run"), other(folder / "other/lock", "other");
    NewFolder made(folder / "parent/made");
    const std::string part = made.path().filename().string();
    RunFolder(folder / "other").save(3, [&](const std::filesystem::path& checkpoint) {
      const std::filesystem::path half = folder / "other" / checkpoint.filename();
      for (const char* name : {"run", "other", "parent"})
        std::filesystem::rename(folder / name, folder / (name + std::string("-away")));
      write(folder / "run", "precious");
      for (const auto& place : {half, folder / "parent"}) std::filesystem::create_directories(place);
      write(folder / "other/lock", "precious"), write(half / "weights", "precious"), write(folder / "half", half.string());
      write(folder / "parent" / part, "precious");
      interrupted();
    });
  });
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
  for (const std::filesystem::path& file :
       {folder / "run", folder / "other/lock", contents(folder / "half") / std::filesystem::path("weights")})
    CHECK(contents(file) == "precious");
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "parent"), {}) == 1);
}
#endif
