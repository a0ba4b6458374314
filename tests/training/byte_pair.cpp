#include <functional>

#include "skipv1/training/byte_pair.hpp"

#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/training/byte_pairs.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
using Ids = std::vector<std::int32_t>;

Ids encoded(const Json& file, std::string_view text) { return read_tokenizer_json(file.dump())->encode(text); }
/// What a spoiled file is refused with.
std::string refusal(const std::function<void(Json&)>& spoil) {
  Json file = small_tokenizer_json();
  spoil(file);
  return message([&] { read_tokenizer_json(file.dump()); });
}
/// The words that `end` cuts `text` into, a bar between them.
std::string cut_words(WordEnd end, std::string_view text) {
  std::string bars;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t next = end(text, at);
    REQUIRE(next > at);
    bars += (at ? "|" : "") + std::string(text.substr(at, next - at));
    at = next;
  }
  return bars;
}
}  // namespace

TEST_CASE("every byte has a letter of its own in byte-level vocabularies") {
  const std::vector<std::string> letters = byte_letters();
  const ByteAlphabet alphabet;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    CHECK(alphabet.bytes(letters[byte]) == std::string(1, static_cast<char>(byte)));
    for (std::size_t other = 0; other < byte; ++other) CHECK(letters[other] != letters[byte]);
  }
  CHECK(letters[' '] == "\xc4\xa0");   // U+0120
  CHECK(letters['\n'] == "\xc4\x8a");  // U+010A
  CHECK(letters[0xad] == "\xc5\x83");  // U+0143, the last
  CHECK_FALSE(alphabet.bytes("<| |>"));
}

TEST_CASE("GPT-2's words") {
  const WordEnd end = word_end_of(gpt2_pattern);
  CHECK(cut_words(end, "It's  a test, isn't IT'S 12x3") == "It|'s| | a| test|,| isn|'t| IT|'|S| 12|x|3");
  CHECK(cut_words(end, "a\n\n b  ") == "a|\n\n| b|  ");
  CHECK(cut_words(end, "a \t b") == "a| \t| b");
  CHECK(cut_words(end, "\tx \xe3\x80\x80y") == "\t|x| |\xe3\x80\x80|y");  // U+3000 is a space, not the one before words
  CHECK(cut_words(end, "\xc2\xbd\xe2\x85\xa7 e\xcc\x81") ==
        "\xc2\xbd\xe2\x85\xa7| e|\xcc\x81");  // numbers; U+0301 is none of all
}

TEST_CASE("LLaMA 3's and Qwen2's words") {
  const WordEnd llama = word_end_of(llama3_pattern), qwen = word_end_of(qwen2_pattern);
  CHECK(cut_words(llama, "It'S 12345.\n\n\tx (y)\r\n") == "It|'S| |123|45|.\n\n|\tx| (|y|)\r\n");
  CHECK(cut_words(qwen, "It'S 123.") == "It|'S| |1|2|3|.");
  CHECK(cut_words(llama, "a  \n \n  b") == "a|  \n \n| | b");
  CHECK(cut_words(llama, "a   ") == "a|   ");
  CHECK(cut_words(llama, "'\xc5\xbf!") == "'\xc5\xbf|!");  // (?i:'s): U+017F is an s, too
  CHECK(cut_words(llama, "'Ll'lx") == "'Ll|'lx");
  CHECK(word_end_of("\\w+") == nullptr);
}

TEST_CASE("the digits of SmolLM, of Unicode 17") {
  CHECK(cut_words(detail::each_digit_end, "ab12\xf0\x91\xb7\xa0\xc2\xb2x") == "ab|1|2|\xf0\x91\xb7\xa0|\xc2\xb2|x");
  CHECK(cut_words(detail::digits_end, "ab12\xc2\xb2x") == "ab|12\xc2\xb2|x");
}

TEST_CASE("bytes merge in the order of the merges, and come back") {
  const Json file = small_tokenizer_json();
  const auto t = read_tokenizer_json(file.dump());
  CHECK(t->encode("the the he") == Ids{257, 258, ' ', 259});
  CHECK(t->encode("thhe") == Ids{256, 259});
  CHECK(t->encode("").empty());
  CHECK(t->encode("the<|end|>th<|end|") == Ids{257, 260, 256, '<', '|', 'e', 'n', 'd', '|'});
  CHECK(t->piece(260).empty());
  CHECK(t->text_bytes(260) == 7);
  CHECK_FALSE(t->start());
  std::string all;
  for (unsigned code = 1; code < 0x300; ++code)
    all += code < 0x80 ? std::string(1, static_cast<char>(code))
                       : std::string{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
  for (const std::string& text :
       {all, std::string(1, '\0') + "the", std::string("\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9 the\r\n")})
    CHECK(t->decode(t->encode(text)) == text);
  for (std::int32_t byte = 0; byte < 256; ++byte) CHECK(t->piece(byte) == std::string(1, static_cast<char>(byte)));
  CHECK(t->encode(std::string(100000, 'h')).size() == 100000);
  CHECK_THROWS_WITH(t->encode("the\xff"), Catch::Contains("not UTF-8 at byte 3"));
  CHECK_THROWS_WITH(t->piece(261), "token 261: tokenizer byte-level BPE has ids 0 to 260");
}

TEST_CASE("a space before the text, whole words, the start mark, and the normal form") {
  Json file = small_tokenizer_json();
  file["pre_tokenizer"]["add_prefix_space"] = true;
  const auto prefixed = read_tokenizer_json(file.dump());
  CHECK(prefixed->encode("the<|end|>the") == Ids{258, 260, 258});
  CHECK(prefixed->encode(" the") == Ids{258});
  CHECK(prefixed->decode(Ids{258, 258}) == "the the");
  file = small_tokenizer_json();
  file["model"]["vocab"]["hat"] = 260;
  file["added_tokens"][0]["id"] = 261;
  CHECK(encoded(file, "hat") == Ids{'h', 'a', 't'});
  file["model"]["ignore_merges"] = true;
  CHECK(encoded(file, "hat hats") == Ids{260, ' ', 'h', 'a', 't', 's'});
  Json other = file;  // a piece in letters of its own is no word
  other["model"]["vocab"]["\xe4\xb8\x80"] = 261;
  other["added_tokens"][0]["id"] = 262;
  CHECK(encoded(other, "\xe4\xb8\x80") == Ids{0xe4, 0xb8, 0x80});
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<|end|>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"<|end|>", {{"id", "<|end|>"}, {"ids", {261}}, {"tokens", {"<|end|>"}}}}}}};
  CHECK(read_tokenizer_json(file.dump())->start() == 261);
  CHECK(read_tokenizer_json(file.dump())->puts_start());
  file["normalizer"] = {{"type", "NFC"}};
  CHECK(encoded(file, "caf\xc3\xa9").size() == 5);
  CHECK_THROWS_WITH(encoded(file, "cafe\xcc\x81"), Catch::Contains("at byte 4: this vocabulary's normal form NFC may change it"));
  CHECK_THROWS_WITH(encoded(file, "\xe2\x84\xab"), Catch::Contains("at byte 0"));  // U+212B becomes U+00C5
}

TEST_CASE("a tokenizer.json that would give other ids is refused by name") {
  const auto says = [](const std::function<void(Json&)>& spoil, const std::string& what) {
    CHECK_THAT(refusal(spoil), Catch::Contains(what));
  };
  says([](Json& f) { f["model"] = nullptr; }, "\"model\": expected an object, found null");
  says([](Json& f) { f["model"].erase("merges"); }, "\"model.merges\" is missing");
  says([](Json& f) { f["model"].erase("vocab"); }, "\"model.vocab\" is missing");
  says([](Json& f) { f["model"]["vocab"]["zz"] = 257; }, "\"the\" and \"zz\" have the same id 257");
  says([](Json& f) { f["model"]["vocab"]["zz"] = -1; }, "the id of \"zz\" is -1");
  says([](Json& f) { f["model"]["vocab"]["zz"] = 1.5; }, "the id of \"zz\" is 1.5");
  says([](Json& f) { f["model"]["vocab"]["zz"] = {1}; }, "the id of \"zz\" is no number");
  says([](Json& f) { f["model"]["vocab"]["zz"] = 2000000000; }, "\"zz\" has the id 2000000000 in a vocabulary of 262 pieces");
  says([](Json& f) { f["model"]["vocab"] = Json::object(); }, "has no pieces");
  says([](Json& f) { f["model"]["merges"][1] = "th x y"; }, "merge 1, \"th x y\": expected two pieces");
  says([](Json& f) { f["model"]["merges"][1] = {"th"}; }, "merge 1 is of 1 pieces");
  says([](Json& f) { f["model"]["merges"][1] = 7; }, "merge 1: expected a string");
  says([](Json& f) { f["model"]["merges"][1] = "q q"; }, "merge 1: its result \"qq\" is not a piece");
  says([](Json& f) { f["model"]["merges"][1] = "qq q"; }, "merge 1: its first part \"qq\" is not a piece");
  says([](Json& f) { f["model"]["merges"].push_back("t h"); }, "merge 4: \"t h\" is there twice");
  says([](Json& f) { f["model"]["unk_token"] = "<unk>"; }, "\"<unk>\", is not in the vocabulary");
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"})
    says([&](Json& f) { f["model"]["type"] = type; }, '"' + std::string(type) + "\": only byte-level BPE is read");
  says(
      [](Json& f) {
        f["model"] = {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", Json::array({Json::array({"<unk>", 0.0})})}};
      },
      "\"model.type\" is \"Unigram\": only byte-level BPE is read");
  says(
      [](Json& f) {
        f["model"] = {{"vocab", Json::array({Json::array({"<unk>", 0.0})})}};
      },
      "\"model.vocab\" is a list, as that of Unigram");
  says([](Json& f) { f["model"]["byte_fallback"] = true; }, "\"model.byte_fallback\" is true");
  says([](Json& f) { f["model"]["dropout"] = 0.1; }, "\"model.dropout\" is 0.1");
  says([](Json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }, "\"model.end_of_word_suffix\" is \"</w>\"");
  says([](Json& f) { f["model"]["new"] = 1; }, "\"model.new\" is not a key that is known");
  says([](Json& f) { f["normalizer"] = {{"type", "NFKC"}}; }, "\"normalizer\" is NFKC: only NFC");
  says([](Json& f) { f["pre_tokenizer"] = nullptr; }, "\"pre_tokenizer\" is null");
  says([](Json& f) { f["pre_tokenizer"]["type"] = "Metaspace"; }, "\"pre_tokenizer\" is Metaspace");
  says([](Json& f) { f["decoder"]["type"] = "Metaspace"; }, "\"decoder\" is Metaspace");
  says([](Json& f) { f["post_processor"]["type"] = "BertProcessing"; }, "\"post_processor\" is BertProcessing");
  says([](Json& f) { f["added_tokens"][0]["lstrip"] = true; }, "\"<|end|>\" has \"lstrip\"");
  says([](Json& f) { f["added_tokens"][0]["id"] = 300; }, "\"<|end|>\" has the id 300, but transformers gives it 260");
  says([](Json& f) { f["added_tokens"].push_back(f["added_tokens"][0]); }, "\"<|end|>\"");
  says([](Json& f) { f["more"] = 1; }, "\"more\" is not a key that is known");
  const Json split = {{"type", "Split"}, {"pattern", {{"Regex", "\\w+"}}}, {"behavior", "Isolated"}, {"invert", false}};
  says(
      [&](Json& f) {
        f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, f["pre_tokenizer"]}}};
      },
      "\"pre_tokenizer.Split.pattern\" is \"\\\\w+\": only the patterns of GPT-2, LLaMA 3 and Qwen2");
  says(
      [&](Json& f) {
        f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {f["pre_tokenizer"], split}}};
      },
      "ByteLevel must be the last step");
}

TEST_CASE("a tokenizer.json that is cut off anywhere is an error") {
  const std::string whole = small_tokenizer_json().dump();
  for (std::size_t size = 0; size < whole.size(); size += 7) CHECK_THROWS_AS(read_tokenizer_json(whole.substr(0, size)), Error);
  CHECK_THROWS_WITH(read_tokenizer_json(whole.substr(0, 600)), Catch::StartsWith("not JSON: "));
}

TEST_CASE("a byte without a piece is an error, not dropped") {
  Json file = small_tokenizer_json();
  file["model"]["vocab"].erase("x");
  file["model"]["vocab"]["zz"] = static_cast<int>('x');
  CHECK(encoded(file, "the") == Ids{257});
  CHECK_THROWS_WITH(encoded(file, "the x"), Catch::Contains("the byte 120 at byte 4: no piece of tokenizer byte-level BPE"));
}

TEST_CASE("text comes out token by token in whole characters") {
  const auto t = read_tokenizer_json(small_tokenizer_json().dump());
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
  TextOfTokens shown(*t);
  std::vector<std::string> parts;
  for (const std::int32_t id : t->encode(text))
    if (std::string part = shown.add(id); !part.empty()) parts.push_back(part);
  CHECK(parts == std::vector<std::string>{"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "z"});
  CHECK(shown.rest().empty());
  CHECK(shown.text() == text);
  TextOfTokens broken(*t);
  CHECK(broken.add(0xe2).empty());
  CHECK(broken.add('a') ==
        "\xe2"
        "a");  // it can be no character any more
  CHECK(broken.add(0xff) == "\xff");
  CHECK(broken.add(0xf0).empty());
  CHECK(broken.add(0x80) == "\xf0\x80");  // overlong
  CHECK(broken.add(0xf0).empty());
  CHECK(broken.add(0x9f).empty());
  CHECK(broken.rest() == "\xf0\x9f");
}
