#include "skipv1/io/place.hpp"

#include "skipv1/io/json.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

TEST_CASE("a place that is UTF-8 is text as it is") {
  for (const char* name : {"", "run", "/tmp/caf\xc3\xa9 100%.txt", "a/../b"}) {
    CHECK(place_text(name) == name);
    CHECK(place_of(name).string() == name);
  }
  CHECK(file_name_text("/tmp/book.txt") == "book.txt");
  CHECK(file_name_text("none/./run/") == "run");
  CHECK(file_name_text(".") == std::filesystem::current_path().filename().string());
}

#ifndef _WIN32  // where a file's name may be any bytes
TEST_CASE("a place that is not UTF-8 is a URI, which leads back to it") {
  const std::string name = "/tmp/caf\xe9 100%.txt";
  CHECK(place_text(name) == "file:///tmp/caf%E9%20100%25.txt");
  CHECK(place_of(place_text(name)).string() == name);
  CHECK(is_utf8(place_text("caf\xe9")));
  CHECK(place_of(place_text("caf\xe9")) == std::filesystem::absolute("caf\xe9"));
  CHECK(file_name_text(name) == "caf%E9%20100%25.txt");
  std::string all;
  for (int c = 1; c < 256; ++c)
    if (c != '/') all += static_cast<char>(c);
  CHECK(place_of(place_text("/" + all)).string() == "/" + all);
}

TEST_CASE("two names of one place are the same") {
  const Folder folder("place");
  std::filesystem::create_directory(folder / "m");
  std::filesystem::create_symlink(folder / "m", folder / "link");
  CHECK(same_place(folder / "m", folder / "./m/"));
  CHECK(same_place(folder / "m", folder / "link"));
  CHECK_FALSE(same_place(folder / "m", folder / "n"));
  CHECK(same_place(folder / "n", folder / "m/../n/"));  // neither is there
  CHECK(same_place("", ""));
  CHECK_FALSE(same_place("", folder / "m"));
}
#endif

TEST_CASE("JSON is UTF-8, whatever its strings are") {
  CHECK(json_text({{"a", "caf\xe9"}}) == "{\"a\":\"caf\xef\xbf\xbd\"}");
  CHECK(json_text({{"a", 1}}, 1) == "{\n \"a\": 1\n}");
}
