#include "skipv1/core/utf8.hpp"

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("UTF-8 characters have lengths, what is none has not") {
  CHECK(utf8_length("a", 0) == 1);
  CHECK(utf8_length("\xc3\xa9", 0) == 2);
  CHECK(utf8_length("\xe2\x96\x81", 0) == 3);
  CHECK(utf8_length("\xf4\x8f\xbf\xbf", 0) == 4);  // U+10FFFF
  CHECK(utf8_length(std::string_view("\0", 1), 0) == 1);
  for (const char* bad : {"\x80", "\xc3", "\xc3(", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x96", "\xff", ""})
    CHECK(utf8_length(bad, 0) == 0);
}

TEST_CASE("a text is UTF-8 if all its characters are") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("caf\xc3\xa9"));
  CHECK_FALSE(is_utf8("caf\xe9"));
  CHECK_FALSE(is_utf8("caf\xc3"));
}

TEST_CASE("where a text ceases to be UTF-8 is found at every byte of words of ASCII, and across them") {
  for (std::size_t at = 0; at <= 40; ++at) {
    const auto with = [&](std::string_view bytes) { return std::string(40, 'a').insert(at, bytes); };
    CHECK(utf8_end(with("")) == 40);
    CHECK(utf8_end(with("\xe2\x96\x81")) == 43);
    CHECK(utf8_end(with("\xe2\x96\x81\xff")) == at + 3);
    CHECK(utf8_end(with("\x80")) == at);
    CHECK(utf8_end(with("\xc3\xa9\xe2\x96").substr(0, at + 4)) == at + 2);
  }
}
