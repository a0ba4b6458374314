#include "skipv1/io/file.hpp"

#include "skipv1/io/new_folder.hpp"
#include "skipv1/io/safetensors.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <thread>

#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

TEST_CASE("a file is written whole or not at all") {
  const Folder folder("file");
  const auto path = folder / "x";
  write_whole(path, [](std::ostream& out) { out << "first"; });
  CHECK(contents(path) == "first");
  const auto stops = [](std::ostream& out) { fail(out << "sec" ? "no more" : "not even that"); };
  CHECK(error_of([&] { write_whole(path, stops); }) == "no more");
  CHECK(contents(path) == "first");
  CHECK_THROWS_AS(write_whole(path, [](std::ostream& out) { out.setstate(std::ios::badbit); }), Error);
  CHECK(contents(path) == "first");
  write_whole(path, [](std::ostream& out) { out << "second"; });
  CHECK(contents(path) == "second");
  CHECK(folder.count() == 1);
}

#if defined(__unix__) || defined(__APPLE__)
TEST_CASE("what killed processes have left of a file or a folder in the making goes when it is made again") {
  const Folder folder("left-over");
  const std::string gone = ".skipv1-part-2147483647",
                    living = ".skipv1-part-1";  // no system has so many processes, each has its first
  for (const std::string name : {"x", "y", "folder"})
    for (const std::string& end :
         {gone, living, std::string(".skipv1-part-"), std::string(".skipv1-part-a"), gone + "0", std::string(".part-2147483647")})
      write(folder / (name + end), "");
  write_whole(folder / "x", [](std::ostream& out) { out << "whole"; });
  CHECK_FALSE(std::filesystem::exists(folder / ("x" + gone)));
  std::filesystem::remove(folder / ("folder" + gone));
  std::filesystem::create_directory(folder / ("folder" + gone));
  write(folder / ("folder" + gone) / "inside", "");
  NewFolder made(folder / "folder");
  CHECK_FALSE(std::filesystem::exists(folder / ("folder" + gone)));
  made.commit();
  CHECK(folder.count() == 18);  // x, folder, what was left of y, and the other names
  CHECK(contents(folder / "x") == "whole");
}
#endif

TEST_CASE("a folder in the making goes with the folders made for it, and says so when another was faster") {
  const Folder folder("new-folder");
  {
    NewFolder made(folder / "a/b/c");
    write(made.path() / "inside", "");
  }
  CHECK(folder.count() == 0);
  NewFolder first(folder / "a/b"), second(folder / "other");
  write(first.path() / "inside", "");
  std::filesystem::create_directory(folder / "a/b");
  write(folder / "a/b/theirs", "");
  CHECK(error_of([&] { first.commit(); }) == (folder / "a/b").string() + ": exists already");
  second.commit();
  CHECK(error_of([&] { NewFolder third(folder / "other"); }) == (folder / "other").string() + ": exists already");
}

TEST_CASE("files of one folder are written all or none, and leave others in it") {
  const Folder folder("new-files");
  {
    NewFiles files(folder / "new/deep");
    write(files.path() / "x", "first");
  }
  CHECK(folder.count() == 0);
  write(folder / "kept", "kept");
  write(folder / "x", "before");
  std::filesystem::create_directory(folder / "y");
  {
    NewFiles files(folder.path());
    for (const char* name : {"w", "x", "y"}) write(files.path() / name, "new");
    CHECK(error_of([&] { files.commit(); }) == (folder / "y").string() + ": cannot be written: Is a directory");
  }
  CHECK(folder.count() == 3);
  CHECK(contents(folder / "x") == "before");
  NewFiles files(folder.path());
  write(files.path() / "x", "new");
  files.commit();
  CHECK(contents(folder / "x") == "new");
  CHECK(contents(folder / "kept") == "kept");
}

TEST_CASE("a file that cannot be written is named, with the reason") {
  const Folder folder("file-unwritable");
  const auto nothing = [](std::ostream&) {};
  const auto path = folder / "no folder/x";
  CHECK(error_of([&] { write_whole(path, nothing); }) == path.string() + ": cannot be written: No such file or directory");
  CHECK(error_of([&] { write_whole(folder.path(), nothing); }).find(": cannot be written: ") != std::string::npos);
  CHECK(error_of([&] { require_writable(path); }) == path.string() + ": cannot be written: No such file or directory");
  CHECK(error_of([&] { require_writable(folder.path()); }) == folder.path().string() + ": cannot be written: Is a directory");
  require_writable(folder / "x");
  CHECK(folder.count() == 0);
  if (std::filesystem::exists("/dev/full")) {  // a full disk
    const auto much = [](std::ostream& out) { out << std::string(100000, 'x'); };
    CHECK(error_of([&] { write_whole("/dev/full", much); }) == "/dev/full: cannot be written: No space left on device");
    CHECK(error_of([&] { write_whole("/dev/full", [](std::ostream& out) { out << 'x'; }); }) ==
          "/dev/full: cannot be written: No space left on device");
  }
}

#if defined(__unix__) || defined(__APPLE__)
TEST_CASE("a file is written where a link leads, and the link stays") {
  const Folder folder("file-links");
  std::filesystem::create_directory(folder / "there");
  std::filesystem::create_symlink("there/x", folder / "link");
  std::filesystem::create_symlink(folder / "link", folder / "second");
  for (const std::string text : {"first", "second"}) {  // where nothing is yet, and where something is
    write_whole(folder / "second", [&](std::ostream& out) { out << text; });
    CHECK(contents(folder / "there/x") == text);
  }
  CHECK_THROWS_AS(write_whole(folder / "link", [](std::ostream& out) { out.setstate(std::ios::badbit); }), Error);
  CHECK(contents(folder / "there/x") == "second");
  NewFiles files(folder.path());
  for (const char* name : {"link", "other"}) write(files.path() / name, "third");
  files.commit();
  CHECK(contents(folder / "there/x") == "third");
  for (const char* name : {"link", "second"}) CHECK(std::filesystem::is_symlink(folder / name));
  CHECK_FALSE(std::filesystem::is_symlink(folder / "there/x"));
  CHECK(contents(folder / "other") == "third");
}

TEST_CASE("a link that leads nowhere is named, with where it leads, and stays") {
  const Folder folder("no-folder-links");
  const auto link = folder / "link";
  std::filesystem::create_symlink("gone", link);
  const std::string nowhere = "it is a link that leads nowhere, to gone";
  CHECK(error_of([&] { require_writable_folder(link); }) ==
        link.string() + ": nothing can be written into this folder: " + nowhere);
  CHECK(error_of([&] { require_writable_folder(link / "x"); }) ==
        (link / "x").string() + ": nothing can be written into this folder: " + link.string() +
            " is a link that leads nowhere, to gone");
  CHECK(error_of([&] { NewFolder made(link); }) == link.string() + ": cannot be made: " + nowhere);
  CHECK(error_of([&] { NewFiles made(link); }) == link.string() + ": nothing can be written into this folder: " + nowhere);
  CHECK(error_of([&] { Source made(link); }) == link.string() + ": cannot be read: " + nowhere);
  CHECK(std::filesystem::is_symlink(link));
  CHECK(folder.count() == 1);
}
#endif

TEST_CASE("a source gives the bytes it has and no more") {
  const Folder folder("file-source");
  write(folder / "x", "0123456789");
  Source file(folder / "x"), memory(bytes_of("0123456789"), "memory");
  for (Source* source : {&file, &memory}) {
    CHECK(source->size() == 10);
    CHECK(source->text(8, 2) == "89");
    CHECK(source->text(0, 3) == "012");
    CHECK(source->text(10, 0).empty());
    CHECK(error_of([&] { source->text(8, 3); }).find("ends at byte 10, too short: expected 3 bytes from byte 8 on") !=
          std::string::npos);
    CHECK_THROWS_AS(source->text(11, 0), Error);
    CHECK_THROWS_AS(source->text(1, ~std::uint64_t{0}), Error);
  }
  CHECK(error_of([&] { Source(folder / "y"); }) == (folder / "y").string() + ": cannot be read: No such file or directory");
  CHECK(error_of([&] { Source(folder.path()); }).starts_with(folder.path().string() + ": cannot be read: "));
}

TEST_CASE("a Git LFS pointer in the place of a file is named as one, whatever reads it") {
  const Folder folder("file-pointer");
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') + "\nsize 123456789\n";
  const std::string says = ": a Git LFS pointer, not the file that it stands for: \"git lfs pull\" fetches that";
  for (const char* name : {"model.safetensors", "tokens.npy", "tokenizer.model", "stories.bin", "config.json"}) {
    write(folder / name, pointer);
    CHECK(error_of([&] { Source(folder / name); }) == (folder / name).string() + says);
  }
  CHECK(error_of([&] { SafetensorsFile(folder / "model.safetensors"); }) == (folder / "model.safetensors").string() + says);
  write(folder / "text", pointer.substr(1));
  CHECK(Source(folder / "text").size() == pointer.size() - 1);
  write(folder / "text", pointer + std::string(1024, 'x'));  // no pointer is as long
  CHECK(Source(folder / "text").size() == pointer.size() + 1024);
}

#if defined(__unix__) || defined(__APPLE__)
TEST_CASE("an open pipe is read to its end, and from any place; a named one, which may wait for ever, and a device are refused") {
  const Folder folder("file-pipe");
  const std::string text(100000, 'x');
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  std::thread writer([&] {
    for (const std::string& part : {text, std::string("end")})
      for (std::size_t done = 0; done < part.size();)
        done += static_cast<std::size_t>(write(ends[1], part.data() + done, part.size() - done));
    close(ends[1]);
  });
  Source source("/dev/fd/" + std::to_string(ends[0]));
  writer.join();
  CHECK(source.size() == text.size() + 3);
  CHECK(source.text(text.size(), 3) == "end");
  CHECK(source.text(0, text.size()) == text);

  const std::string named = (folder / "pipe").string(), link = (folder / "link").string();
  REQUIRE(mkfifo(named.c_str(), 0600) == 0);
  std::filesystem::create_symlink("pipe", link);
  for (const std::string& name : {named, link})
    CHECK(error_of([&] { Source(std::filesystem::path(name)); }) ==
          name + ": cannot be read: it is a named pipe: must be a file, or an open pipe such as /dev/stdin");
  const int open_one = open(named.c_str(), O_RDWR);  // of standard input that is one; its writer is gone when it is read
  REQUIRE(write(open_one, "left", 4) == 4);
  const int reader = open(named.c_str(), O_RDONLY);
  close(open_one);
  CHECK(Source("/dev/fd/" + std::to_string(reader)).text(0, 4) == "left");
  for (const int descriptor : {ends[0], reader}) close(descriptor);
  CHECK(error_of([] { Source("/dev/zero"); }) == "/dev/zero: cannot be read: it is neither a file nor a pipe");
}

TEST_CASE("a named pipe is written for who reads it") {
  const Folder folder("file-named-pipe");
  const std::string name = (folder / "pipe").string();
  REQUIRE(mkfifo(name.c_str(), 0600) == 0);
  std::string read;
  std::thread reader([&] { read = contents(name); });
  write_whole(name, [](std::ostream& out) { out << "whole"; });
  reader.join();
  CHECK(read == "whole");
  CHECK(folder.count() == 1);
}
#endif

TEST_CASE("a folder that nothing can be written into is named, and none is left behind") {
  const Folder folder("file-folder");
  require_writable_folder(folder.path());
  require_writable_folder(folder / "new/deep");
  require_writable_folder(folder / "new/");
  CHECK(folder.count() == 0);
  write(folder / "x", "a file");
  const std::string rule = ": nothing can be written into this folder: ";
  for (const char* name : {"x", "x/y"})
    CHECK(error_of([&] { require_writable_folder(folder / name); }).starts_with((folder / name).string() + rule));
  CHECK(contents(folder / "x") == "a file");
  if (std::filesystem::exists("/proc/self"))
    CHECK(error_of([] { require_writable_folder("/proc/none"); }).starts_with("/proc/none" + rule));
}

TEST_CASE("bytes of a shape are counted without overflow") {
  CHECK(byte_count({}, 8) == 8u);
  CHECK(byte_count({3, 4}, 2) == 24u);
  CHECK(byte_count({3, 0}, 2) == 0u);
  CHECK(byte_count({std::size_t{1} << 59}, 8) == std::uint64_t{1} << 62);
  CHECK_FALSE(byte_count({(std::size_t{1} << 59) + 1}, 8).has_value());
  CHECK_FALSE(byte_count({std::size_t{1} << 32, std::size_t{1} << 32}, 1).has_value());
  CHECK_FALSE(byte_count({0, ~std::size_t{0}}, 2).has_value());
}
