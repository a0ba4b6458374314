#include "skipv1/training/text.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/catch.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;

namespace {
/// Halves of words: "ab" is one token of two bytes, every other byte is its own.
class Pairs : public ByteTokenizer {
 public:
  std::size_t vocab_size() const override { return 257; }
  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool pair = text.substr(i, 2) == "ab";
      ids.push_back(pair ? 256 : static_cast<unsigned char>(text[i]));
      if (pair) ++i;
    }
    return ids;
  }
  std::string piece(std::int32_t id) const override { return id == 256 ? "ab" : ByteTokenizer::piece(id); }
};

/// As LLaMA's: a space before the text.
class Spaced : public Pairs {
 public:
  bool adds_space() const override { return true; }
  std::vector<std::int32_t> encode(std::string_view text) const override { return Pairs::encode(" " + std::string(text)); }
};

/// Loses capitals' places: what it gives back is shorter.
class Lossy : public ByteTokenizer {
 public:
  std::vector<std::int32_t> encode(std::string_view text) const override { return ByteTokenizer::encode(text.substr(1)); }
};

TextData letters(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += static_cast<char>(i % 251);
  return TextData(text, ByteTokenizer());
}
}  // namespace

TEST_CASE("a text file is loaded; missing, empty or a folder is an error") {
  const skipv1::test::Folder folder("text");
  std::ofstream(folder / "a.txt", std::ios::binary) << "some\r\ntext";
  std::ofstream(folder / "empty.txt");
  CHECK(load_text(folder / "a.txt") == "some\r\ntext");
  CHECK_THROWS_WITH(load_text(folder / "empty.txt"), Catch::Contains("is empty"));
  CHECK_THROWS_WITH(load_text(folder / "none.txt"), Catch::Contains("cannot be read"));
  CHECK_THROWS_AS(load_text(folder.path()), Error);
}

TEST_CASE("a file that is no text is refused by what it is, and where") {
  const skipv1::test::Folder folder("text");
  const auto path = folder / "file";
  const auto why = [&](std::string_view bytes) -> std::string {
    std::ofstream(path, std::ios::binary) << bytes;
    CHECK(load_bytes(path) == bytes);
    try {
      load_text(path);
    } catch (const Error& error) {
      return std::string(error.what()).substr(path.string().size());
    }
    return "";
  };
  using namespace std::string_view_literals;
  CHECK(why("\x1f\x8b\x08"sv) == ": is compressed (gzip): must be text, in UTF-8");
  CHECK(why("\xfd\x37zXZ\0"sv) == ": is compressed (xz): must be text, in UTF-8");
  CHECK(why("\x28\xb5\x2f\xfd"sv) == ": is compressed (zstd): must be text, in UTF-8");
  CHECK(why("BZh91AY&SY"sv) == ": is compressed (bzip2): must be text, in UTF-8");
  CHECK(why("PK\x03\x04"sv) == ": is compressed (zip): must be text, in UTF-8");
  CHECK(why("abc\0d\xff"sv) == ": is no text: byte 3 is NUL");
  CHECK(why("abc\xff\0"sv) == ": is no text: not UTF-8 at byte 3");
  for (const std::string_view text : {"BZh9"sv, "PK"sv, "\xef\xbb\xbfgr\xc3\xbc n"sv}) CHECK(why(text).empty());
}

TEST_CASE("a text is split at a line's or a character's end") {
  const auto [train, valid] = split_text("one line\ntwo lines\nthree\n", 0.4);
  CHECK(train == "one line\n");
  CHECK(valid == "two lines\nthree\n");
  const auto [first, second] = split_text("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 0.4);  // 4.8 bytes: within a character
  CHECK(first == "\xc3\xa9\xc3\xa9");
  CHECK(second == "\xc3\xa9\xc3\xa9");
  CHECK_THROWS_AS(split_text("some text", 0), Error);
  CHECK_THROWS_AS(split_text("some text", 1), Error);
  CHECK_THROWS_AS(split_text("a", 0.5), Error);
  CHECK_THROWS_AS(split_text("", 0.5), Error);
}

TEST_CASE("tokens know the bytes they stand for") {
  const TextData data("xababy", Pairs());
  REQUIRE(data.tokens() == std::vector<std::int32_t>{'x', 256, 256, 'y'});
  CHECK(data.bytes(0, 4) == 6);
  CHECK(data.bytes(1, 3) == 4);
  CHECK(data.bytes(2, 2) == 0);
  CHECK_THROWS_AS(data.bytes(2, 5), Error);
  const TextData spaced("ab", Spaced());
  CHECK(spaced.size() == 2);
  CHECK(spaced.bytes(0, 2) == 2);
  CHECK(spaced.bytes(0, 1) == 0);  // the added space is not in the text
  CHECK(spaced.bytes(1, 2) == 2);
}

TEST_CASE("a tokenizer that does not keep the text, and an empty text, are errors") {
  CHECK_THROWS_WITH(TextData("abc", Lossy()), Catch::Contains("makes tokens of 2 bytes from 3 bytes"));
  CHECK_THROWS_AS(TextData("", ByteTokenizer()), Error);
  CHECK_THROWS_AS(TextData("", Spaced()), Error);
}

TEST_CASE("random windows depend on seed and step only, and their targets follow their tokens") {
  const TextData data = letters(1000);
  const Windows a = data.random(8, 32, 7, 41);
  CHECK(a.tokens.size() == 8 * 32);
  CHECK(a.targets.size() == 8 * 32);
  CHECK(a.tokens == data.random(8, 32, 7, 41).tokens);
  CHECK(a.tokens != data.random(8, 32, 7, 42).tokens);
  CHECK(a.tokens != data.random(8, 32, 8, 41).tokens);
  const std::vector<std::int32_t>& tokens = data.tokens();
  for (std::size_t b = 0; b < 8; ++b) {
    const auto row = a.tokens.begin() + static_cast<std::ptrdiff_t>(32 * b),
               next = a.targets.begin() + static_cast<std::ptrdiff_t>(32 * b);
    CHECK(std::search(tokens.begin(), tokens.end(), row, row + 32) != tokens.end());
    CHECK(std::equal(row + 1, row + 32, next));
    CHECK(next[31] == (row[31] + 1) % 251);
  }
}

TEST_CASE("random windows reach both ends of the text") {
  const TextData data = letters(12);
  std::set<std::int32_t> starts;
  for (std::uint64_t step = 0; step < 100; ++step) starts.insert(data.random(1, 8, 1, step).tokens[0]);
  CHECK(starts == std::set<std::int32_t>{0, 1, 2, 3});  // 8 tokens and a target in 12
}

TEST_CASE("a permutation reaches every number once, and keys give different ones") {
  for (const std::size_t n : {1u, 2u, 3u, 4u, 5u, 63u, 64u, 65u, 127u, 1000u}) {
    const Permutation permutation(n, Random(1));
    std::set<std::size_t> reached;
    for (std::size_t i = 0; i < n; ++i) reached.insert(permutation(i));
    CHECK(reached.size() == n);
    CHECK(*reached.rbegin() == n - 1);
  }
  const Permutation first(1000, Random(1)), second(1000, Random(2));
  std::size_t fixed = 0, equal = 0;
  for (std::size_t i = 0; i < 1000; ++i) fixed += first(i) == i, equal += first(i) == second(i);
  CHECK(fixed < 10);  // one in the mean
  CHECK(equal < 10);
  CHECK_THROWS_AS(first(1000), Error);
  CHECK_THROWS_AS(Permutation(0, Random(1)), Error);
}

TEST_CASE("an epoch reads every window once, epochs differ, and only the first tokens are read where so asked") {
  const TextData data = letters(1003);  // windows of 10: 99, from a first place of 0 … 9
  REQUIRE(data.windows_of_epoch(10) == 99);
  const auto starts = [&](std::uint64_t epoch) {
    std::vector<std::int32_t> found;
    for (std::uint64_t step = 0; step < 33; ++step) {
      const Windows w = data.epochs(3, 10, 5, epoch * 33 + step);
      for (std::size_t row = 0; row < 3; ++row) {
        found.push_back(w.tokens[10 * row]);
        CHECK(w.targets[10 * row + 9] == (w.tokens[10 * row] + 10) % 251);
      }
    }
    return found;
  };
  std::vector<std::int32_t> first = starts(0), second = starts(1);
  CHECK(first != second);
  std::sort(first.begin(), first.end());
  std::size_t begin = 0;
  for (; begin < 10; ++begin) {  // windows next to each other, from one of the first places
    std::vector<std::int32_t> expected;
    for (std::size_t i = 0; i < 99; ++i) expected.push_back(static_cast<std::int32_t>((begin + 10 * i) % 251));
    std::sort(expected.begin(), expected.end());
    if (expected == first) break;
  }
  CHECK(begin < 10);
  CHECK(data.epochs(3, 10, 5, 7).tokens == data.epochs(3, 10, 5, 7).tokens);
  CHECK(data.epochs(3, 10, 5, 7).tokens != data.epochs(3, 10, 6, 7).tokens);
  for (std::uint64_t step = 0; step < 50; ++step)
    for (const std::int32_t target : data.epochs(2, 10, 5, step, 64).targets) CHECK(target < 64);
  CHECK_THROWS_AS(data.epochs(1, 10, 1, 0, 19), Error);
  CHECK_THROWS_AS(data.epochs(1, 10, 1, 0, 1004), Error);
}

TEST_CASE("sequential windows predict every token but the first once") {
  const TextData data = letters(101);
  REQUIRE(data.count(10) == 10);
  std::vector<std::int32_t> predicted;
  for (std::size_t first = 0; first < 10; first += 5)
    for (const std::int32_t target : data.sequential(first, 5, 10).targets) predicted.push_back(target);
  CHECK(std::equal(predicted.begin(), predicted.end(), data.tokens().begin() + 1, data.tokens().end()));
  CHECK(letters(100).count(10) == 9);
  CHECK_THROWS_AS(data.sequential(8, 3, 10), Error);
}

TEST_CASE("a text shorter than a window is an error with both numbers") {
  CHECK_THROWS_WITH(letters(32).random(1, 32, 1, 0),
                    "a text of 32 tokens is too short for a window of 32 tokens and the one that follows it");
  CHECK_NOTHROW(letters(33).random(1, 32, 1, 0));
  CHECK_THROWS_AS(letters(5).count(8), Error);
  CHECK_THROWS_AS(letters(5).count(0), Error);
}

TEST_CASE("bits per byte: eight for uniform bytes, halved by tokens of two bytes") {
  CHECK(bits_per_byte(std::log(256.0), 1000, 1000) == Approx(8));
  CHECK(bits_per_byte(std::log(256.0), 500, 1000) == Approx(4));
}
