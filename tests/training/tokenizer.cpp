#include "skipv1/training/tokenizer.hpp"

#include <filesystem>
#include <fstream>

#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;

namespace {
using Pieces = std::vector<std::pair<std::string, float>>;

/// The 259 pieces that every vocabulary begins with, then these.
Pieces vocabulary(const Pieces& more) {
  Pieces pieces = {{"<unk>", 0.f}, {"\n<s>\n", 0.f}, {"\n</s>\n", 0.f}};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    pieces.emplace_back(name, 0.f);
  }
  pieces.insert(pieces.end(), more.begin(), more.end());
  return pieces;
}

std::string file_of(const Pieces& pieces) {
  std::string bytes(4, '\7');
  for (const auto& [piece, score] : pieces) {
    const auto length = static_cast<std::uint32_t>(piece.size());
    for (const std::uint32_t word : {std::bit_cast<std::uint32_t>(score), length})
      for (unsigned shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(word >> shift & 255);
    bytes += piece;
  }
  return bytes;
}

/// llama2.c's own way: try all pairs, merge the best, again.
std::vector<std::int32_t> merge_slowly(const Pieces& pieces, std::vector<std::int32_t> ids) {
  for (;;) {
    float best_score = -1e10f;
    std::size_t best = ids.size(), best_id = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      for (std::size_t id = 259; id < pieces.size(); ++id)
        if (pieces[id].first ==
                pieces[static_cast<std::size_t>(ids[i])].first + pieces[static_cast<std::size_t>(ids[i + 1])].first &&
            pieces[id].second > best_score) {
          best_score = pieces[id].second;
          best = i;
          best_id = id;
        }
    if (best == ids.size()) return ids;
    ids[best] = static_cast<std::int32_t>(best_id);
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}
}  // namespace

TEST_CASE("bytes are their own ids") {
  const ByteTokenizer bytes;
  CHECK(bytes.vocab_size() == 256);
  CHECK(bytes.encode("A\n\xff") == std::vector<std::int32_t>{65, 10, 255});
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(bytes.decode(bytes.encode(all)) == all);
  CHECK_THROWS_WITH(bytes.piece(256), "token 256: tokenizer bytes has ids 0 to 255");
  CHECK_THROWS_AS(bytes.piece(-1), Error);
}

TEST_CASE("llama2.c: the best pair merges first, a character outside the vocabulary falls back to bytes") {
  // 259 ' ', 260 a, 261 b, 262 c, 263 ab, 264 bc, 265 abc
  const Llama2cTokenizer t(vocabulary({{" ", -1}, {"a", -2}, {"b", -3}, {"c", -4}, {"ab", -6}, {"bc", -5}, {"abc", -7}}));
  CHECK(t.vocab_size() == 266);
  CHECK(t.start() == 1);
  CHECK(t.encode("ab") == std::vector<std::int32_t>{259, 263});
  CHECK(t.encode("abc") == std::vector<std::int32_t>{259, 265});  // bc before ab, then a + bc
  CHECK(t.encode("abbc") == std::vector<std::int32_t>{259, 263, 264});
  CHECK(t.encode("\xc3\xa9") == std::vector<std::int32_t>{259, 3 + 0xc3, 3 + 0xa9});
  CHECK(t.encode("").empty());
  for (const std::string text : {"ab", " a  b\n\tc", "\n", "caf\xc3\xa9 \xf0\x9f\x98\x80"})
    CHECK(t.decode(t.encode(text)) == text);
  CHECK(t.piece(1).empty());
  CHECK(t.piece(13) == "\n");
  CHECK_THROWS_AS(t.piece(266), Error);
  CHECK_THROWS_WITH(t.encode("ab\xff"), Catch::Contains("not UTF-8 at byte 2"));
}

TEST_CASE("llama2.c: merging by a heap is merging by trying all pairs") {
  Random random(5);
  Pieces more = {{" ", -1}, {"a", -1}, {"b", -1}, {"c", -1}};
  while (more.size() < 60) {  // random words of two known pieces each, scores with ties
    const std::string word = more[random.below(more.size())].first + more[random.below(more.size())].first;
    if (word.size() <= 6) more.emplace_back(word, -static_cast<float>(random.below(12)));
  }
  std::sort(more.begin() + 4, more.end());
  more.erase(std::unique(more.begin() + 4, more.end(), [](auto& a, auto& b) { return a.first == b.first; }), more.end());
  const Pieces pieces = vocabulary(more);
  const Llama2cTokenizer t(pieces);
  for (int trial = 0; trial < 200; ++trial) {
    std::string text;
    std::vector<std::int32_t> characters = {259};
    for (std::size_t i = 1 + random.below(40); i-- > 0;) {
      const std::size_t letter = random.below(4);
      text += " abc"[letter];
      characters.push_back(static_cast<std::int32_t>(259 + letter));
    }
    CHECK(t.encode(text) == merge_slowly(pieces, characters));
    CHECK(t.decode(t.encode(text)) == text);
  }
}

TEST_CASE("llama2.c: a vocabulary file is read, a broken one is refused") {
  const skipv1::test::Folder folder("tokenizer");
  const auto path = folder / "vocabulary.bin";
  const auto write = [&](const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; };
  const std::string bytes = file_of(vocabulary({{" ", -1}, {"h", -2}, {"i", -3}, {" h", -4}, {" hi", -5}}));
  write(bytes);
  const Llama2cTokenizer t = Llama2cTokenizer::load(path);
  CHECK(t.vocab_size() == 264);
  CHECK(t.encode("hi") == std::vector<std::int32_t>{263});
  CHECK(t.decode(t.encode("hi hi")) == "hi hi");
  for (std::size_t cut = 1; cut <= 11; ++cut) {  // the last piece has 4 + 4 + 3 bytes
    write(bytes.substr(0, bytes.size() - cut));
    if (cut < 11) CHECK_THROWS_WITH(Llama2cTokenizer::load(path), Catch::Contains("ends within piece 263"));
  }
  std::string huge = bytes;
  huge[8 + 3] = '\x7f';  // the first piece's length
  CHECK_THROWS_AS(Llama2cTokenizer::load(std::filesystem::temp_directory_path()), Error);
  for (const std::string& broken : {huge, std::string("abc"), std::string(), file_of({{"a", 0.f}})}) {
    write(broken);
    CHECK_THROWS_AS(Llama2cTokenizer::load(path), Error);
  }
  std::filesystem::remove(path);
  CHECK_THROWS_AS(Llama2cTokenizer::load(path), Error);
}

TEST_CASE("llama2.c: pieces that cannot be a vocabulary are refused") {
  Pieces pieces = vocabulary({{"a", std::numeric_limits<float>::quiet_NaN()}});
  CHECK_THROWS_WITH(Llama2cTokenizer(pieces), Catch::Contains("piece 259 has the score nan"));
  pieces = vocabulary({});
  CHECK_NOTHROW(Llama2cTokenizer(pieces));
  std::swap(pieces[10], pieces[11]);
  CHECK_THROWS_WITH(Llama2cTokenizer(pieces), "piece 10 must be that of byte 7");
}

TEST_CASE("pieces of bytes have a fixed form") {
  CHECK(byte_of_piece("<0x0A>") == '\n');
  CHECK(byte_of_piece("<0xFF>") == '\xff');
  for (const char* other : {"<0x0a>", "<0x0A", "0x0A>", "<0xG0>", "<0x00A>", ""}) CHECK_FALSE(byte_of_piece(other).has_value());
}

TEST_CASE("a tokenizer is named only where there is an error: pieces of millions of tokens make no strings of the name") {
  class Counted : public ByteTokenizer {
   public:
    std::string name() const override { return ++named, "counted"; }
    mutable int named = 0;
  };
  const Counted t;
  for (std::int32_t id = 0; id < 256; ++id) t.piece(id);
  CHECK(t.named == 0);
  CHECK_THROWS_WITH(t.piece(256), Catch::Contains("tokenizer counted has ids 0 to 255"));
  CHECK_THROWS_WITH(t.piece(-1), Catch::Contains("token -1"));
}
