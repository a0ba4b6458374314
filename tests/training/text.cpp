#include "skipv1/training/text.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/catch.hpp"

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
  const auto folder = std::filesystem::temp_directory_path() / "skipv1-test-text";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.txt", std::ios::binary) << "some\r\ntext";
  std::ofstream(folder / "empty.txt");
  CHECK(load_text(folder / "a.txt") == "some\r\ntext");
  CHECK_THROWS_WITH(load_text(folder / "empty.txt"), Catch::Contains("is empty"));
  CHECK_THROWS_WITH(load_text(folder / "none.txt"), Catch::Contains("cannot be read"));
  CHECK_THROWS_AS(load_text(folder), Error);
  std::filesystem::remove_all(folder);
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
