#include "skipv1/training/sentencepiece.hpp"

#include <filesystem>

#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;

namespace {
/// Lines of made-up words.
std::string made_up(std::size_t lines) {
  Random random(11);
  std::vector<std::string> words;
  for (int i = 0; i < 200; ++i) {
    std::string word;
    for (std::size_t n = 2 + random.below(6); n-- > 0;) word += static_cast<char>('a' + random.below(20));
    words.push_back(word);
  }
  std::string text;
  for (std::size_t line = 0; line < lines; ++line) {
    for (std::size_t n = 5 + random.below(8); n-- > 0;) text += words[random.below(words.size())] + (n == 0 ? ".\n" : " ");
  }
  return text;
}
const std::string& corpus() {
  static const std::string text = made_up(400);
  return text;
}
}  // namespace

TEST_CASE("a trained vocabulary has the size asked for and gives every text back") {
  const SentencePieceTokenizer t = SentencePieceTokenizer::train(corpus(), 400);
  CHECK(t.vocab_size() == 400);
  CHECK_FALSE(t.adds_space());
  CHECK(t.encode(corpus()).size() < corpus().size() * 2 / 3);
  for (const std::string& text : {corpus(), std::string("two  spaces\n\n\tand a tab \n  indented"), std::string(" "),
                                  std::string("\n"), std::string(), std::string("\r\nno line end at the end"),
                                  std::string("caf\xc3\xa9 \xf0\x9f\x98\x80 \xe2\x80\x94 ?"), std::string("zero \0 byte", 11)}) {
    CHECK(t.decode(t.encode(text)) == text);
    std::size_t bytes = 0;
    for (const std::int32_t id : t.encode(text)) bytes += t.piece(id).size();
    CHECK(bytes == text.size());
  }
  CHECK_THROWS_AS(t.piece(400), Error);
  CHECK_THROWS_WITH(t.encode("\xff"), Catch::Contains("not UTF-8 at byte 0"));
}

TEST_CASE("encoding by parts on many threads is encoding at once") {
  const SentencePieceTokenizer t = SentencePieceTokenizer::train(corpus(), 300);
  std::vector<std::int32_t> lines;
  for (std::size_t begin = 0; begin < corpus().size();) {
    const std::size_t end = corpus().find('\n', begin) + 1;
    for (const std::int32_t id : t.encode(std::string_view(corpus()).substr(begin, end - begin))) lines.push_back(id);
    begin = end;
  }
  CHECK(t.encode(corpus()) == lines);
}

TEST_CASE("the same text gives the same vocabulary, which a file keeps") {
  const skipv1::test::Folder folder("sentencepiece");
  const auto path = folder / "a.model";
  const SentencePieceTokenizer a = SentencePieceTokenizer::train(corpus(), 350), b = SentencePieceTokenizer::train(corpus(), 350);
  a.save(path);
  const SentencePieceTokenizer c = SentencePieceTokenizer::load(path);
  for (std::int32_t id = 0; id < 350; ++id) {
    CHECK(a.piece(id) == b.piece(id));
    CHECK(a.piece(id) == c.piece(id));
  }
  CHECK(c.encode(corpus()) == a.encode(corpus()));
  std::filesystem::remove(path);
  CHECK_THROWS_AS(SentencePieceTokenizer::load(path), Error);
  std::ofstream(path) << "no model";
  CHECK_THROWS_AS(SentencePieceTokenizer::load(path), Error);
  CHECK_THROWS_AS(a.save(path / "below a file"), Error);
}

TEST_CASE("a model that adds a space, as LLaMA's does, gives texts back too") {
  const skipv1::test::Folder folder("sentencepiece");
  std::ofstream(folder / "text") << corpus();
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      "--model_type=bpe --vocab_size=350 --byte_fallback=true --normalization_rule_name=identity "
      "--remove_extra_whitespaces=false "
      "--minloglevel=3 --input=" +
      (folder / "text").string() + " --model_prefix=" + (folder / "model").string());
  REQUIRE(status.ok());
  const SentencePieceTokenizer t = SentencePieceTokenizer::load(folder / "model.model");
  CHECK(t.adds_space());
  CHECK(t.start() == 1);
  for (const std::string text : {"some words", " a space before", "two\nlines  and \n\n so on\n"})
    CHECK(t.decode(t.encode(text)) == text);
}

TEST_CASE("training refuses a text that is too short, not UTF-8, or too small a vocabulary") {
  CHECK_THROWS_WITH(SentencePieceTokenizer::train("short", 1000), Catch::Contains("cannot be trained on 5 bytes"));
  CHECK_THROWS_WITH(SentencePieceTokenizer::train("short", 2'000'000'000), Catch::Contains("so many give at most 270"));
  CHECK_THROWS_AS(SentencePieceTokenizer::train("", 1000), Error);
  CHECK_THROWS_AS(SentencePieceTokenizer::train("\xff\xfe", 300), Error);
  CHECK_THROWS_WITH(SentencePieceTokenizer::train("abc def", 264),
                    "a vocabulary of 264 pieces: the text has 7 different characters, "
                    "the space among them: must be at least 266, of which 256 are bytes and 3 are marks");
  CHECK_THROWS_WITH(SentencePieceTokenizer::train(corpus(), 200), Catch::Contains("must be 256 (bytes), or at least 260"));
}

TEST_CASE("words of any length are trained on: letters, digits, characters of several bytes") {
  Random random(5);
  for (const std::string unit :
       {"a", "", "7", "\xe4\xb8\x80", "\xf0\x9f\x98\x80", "\xcc\x81", "\xc2\xa0", "\t", "\xe2\x96\x81", " "}) {
    for (const std::size_t count : {33'000u, 70'000u}) {
      std::string word;
      for (std::size_t i = 0; i < count; ++i)
        word += unit.empty() ? std::string(1, static_cast<char>('a' + random.below(26))) : unit;
      const SentencePieceTokenizer t = SentencePieceTokenizer::train(corpus() + word + "\n" + word, 300);
      INFO('"' << unit << "\" x " << count);
      CHECK(t.vocab_size() == 300);
      const std::string text = unit == "\xe2\x96\x81" ? std::string(count, ' ') : word;  // which stands for a space
      CHECK(t.decode(t.encode(word)) == text);
    }
  }
}

TEST_CASE("a vocabulary of a text without a space keeps spaces") {
  std::string text;
  for (int i = 0; i < 500; ++i) text += std::to_string(i * i * 7919) + "\n";
  const SentencePieceTokenizer t = SentencePieceTokenizer::train(text, 290);
  for (const std::string& other : {corpus(), std::string(" "), std::string("a  b\n c ")})
    CHECK(t.decode(t.encode(other)) == other);
  const SentencePieceTokenizer sampled = SentencePieceTokenizer::train("1234567\n7 6\n" + text, 290, 64);
  CHECK(sampled.decode(sampled.encode(corpus())) == corpus());
}

TEST_CASE("a long text is trained on in part") {
  const SentencePieceTokenizer t = SentencePieceTokenizer::train(corpus(), 300, corpus().size() / 7);
  CHECK(t.vocab_size() == 300);
  CHECK(t.decode(t.encode(corpus())) == corpus());
}
