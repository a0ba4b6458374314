#include "skipv1/io/lock.hpp"

#include <atomic>
#include <functional>
#include <thread>

#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

#if defined(LOCK_EX)

TEST_CASE("a lock has one holder, whom the second is told; its file goes with it") {
  const Folder folder("lock");
  const auto file = folder / "lock";
  {
    const Lock first(file, "run");
    CHECK(error_of([&] { Lock(file, "run"); }) ==
          "run: in use by another process " + std::to_string(process_id()) + " (lock " + file.string() + ")");
    CHECK(std::filesystem::exists(file));  // the one refused has not taken it away
    CHECK_FALSE(error_of([&] { Lock(file, "run"); }).empty());
  }
  CHECK(folder.count() == 0);
  const Lock again(file, "run");
}

TEST_CASE("a lock that is moved stays locked until its last place goes") {
  const Folder folder("lock-moved");
  const auto file = folder / "lock";
  {
    Lock first(file, "run");
    const Lock second(std::move(first));
    CHECK_FALSE(error_of([&] { Lock(file, "run"); }).empty());
  }
  CHECK(folder.count() == 0);
}

TEST_CASE("the file that a killed process has left locks nobody out") {
  const Folder folder("lock-stale");
  write(folder / "lock", "4711\n");
  {
    const Lock lock(folder / "lock", "run");
    CHECK(contents(folder / "lock") == std::to_string(process_id()) + "\n");
  }
  CHECK(folder.count() == 0);
}

TEST_CASE("a file or a link of a lock's name that is no lock stays as it is") {
  const Folder folder("lock-foreign");
  const std::string refused = (folder / "lock").string() + ": is there, and no lock of a program: move it away";
  for (const char* content : {"4711 and what else was in there\n", "123456789012345678901234567890\n"}) {
    write(folder / "lock", content);
    CHECK(error_of([&] { Lock(folder / "lock", "run"); }) == refused);
    CHECK(contents(folder / "lock") == content);
  }
  std::filesystem::rename(folder / "lock", folder / "precious");
  write(folder / "precious", "4711\n");
  for (const char* target : {"precious", "nowhere"}) {
    std::filesystem::remove(folder / "lock");
    std::filesystem::create_symlink(target, folder / "lock");
    CHECK(error_of([&] { Lock(folder / "lock", "run"); }) == refused);
  }
  CHECK(contents(folder / "precious") == "4711\n");
  CHECK(std::filesystem::is_symlink(folder / "lock"));
  CHECK(folder.count() == 2);
}

TEST_CASE("a lock makes its folder, which goes unless something is in it") {
  const Folder folder("lock-folder");
  { const Lock lock(folder / "a/b/lock", "run"); }
  CHECK(folder.count() == 0);
  {
    const Lock lock(folder / "a/b/lock", "run");
    write(folder / "a/b/model", "");
  }
  CHECK(std::filesystem::exists(folder / "a/b/model"));
  CHECK_FALSE(std::filesystem::exists(folder / "a/b/lock"));
  CHECK(error_of([&] { Lock(folder / "a/b/model/lock", "run"); }) == "run: cannot be written: Not a directory");
}

TEST_CASE("what has taken the place of a lock, or of the folder made for it, stays") {
  const auto holds = [](const Folder& folder, const std::function<void()>& meanwhile) {
    const Lock lock(folder / "a/b/lock", "run");
    std::filesystem::rename(folder / "a/b", folder / "away");
    meanwhile();
  };
  const Folder folder("lock-taken");
  holds(folder, [&] { write(folder / "a/b", "precious"); });
  CHECK(contents(folder / "a/b") == "precious");
  const Folder link("lock-taken");
  holds(link, [&] { std::filesystem::create_symlink("nowhere", link / "a/b"); });
  CHECK(std::filesystem::is_symlink(link / "a/b"));
  const Folder empty("lock-taken");
  holds(empty, [&] { std::filesystem::create_directory(empty / "a/b"); });
  CHECK(std::filesystem::is_directory(empty / "a/b"));
  const Folder other("lock-taken");
  holds(other, [&] { std::filesystem::create_directory(other / "a/b"), write(other / "a/b/lock", "precious"); });
  CHECK(contents(other / "a/b/lock") == "precious");
  const Folder parents("lock-taken");  // those that another has made are not this one's
  std::filesystem::create_directory(parents / "a");
  { const Lock lock(parents / "a/b/lock", "run"); }
  CHECK(parents.count() == 1);
}

TEST_CASE("a folder of the lock's name is what cannot be written, not the folder that is locked") {
  const Folder folder("lock-is-folder");
  std::filesystem::create_directory(folder / "lock");
  CHECK(error_of([&] { Lock(folder / "lock", "run"); }) == (folder / "lock").string() + ": cannot be written: Is a directory");
}

TEST_CASE("a lock can be waited for") {
  const Folder folder("lock-wait");
  const auto file = folder / "lock";
  std::optional<Lock> first(std::in_place, file, "run");
  std::atomic<bool> released = false;
  std::thread holder([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    released = true;
    first.reset();
  });
  const Lock second(file, "run", Busy::wait);
  CHECK(released);
  holder.join();
}

#endif
