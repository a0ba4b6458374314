#include "skipv1/training/vocabulary.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/training/byte_pairs.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
/// A llama2.c vocabulary of `size` (>= 259) pieces as its file.
std::string llama2c_file(std::size_t size) {
  const auto little_endian = [](std::uint32_t value) {
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> 8 * i & 0xff);
    return bytes;
  };
  std::string bytes = little_endian(8);
  for (std::size_t id = 0; id < size; ++id) {
    char piece[16];
    std::snprintf(piece, sizeof piece, id >= 3 && id < 259 ? "<0x%02zX>" : "p%zu", id >= 3 && id < 259 ? id - 3 : id);
    bytes += little_endian(0) + little_endian(static_cast<std::uint32_t>(std::strlen(piece))) + piece;
  }
  return bytes;
}
std::string no_vocabulary(const std::filesystem::path& path, std::size_t size) {
  return message([&] { vocabulary_of(path, size); });
}
}  // namespace

TEST_CASE("of several vocabularies beside a model the one that fits is taken") {
  const Folder folder("vocabularies");
  write_file(folder / "model.bin", "");
  write_file(folder / "tokenizer.model", "broken");
  write_file(folder / "tokenizer.bin", llama2c_file(300));
  write_file(folder / "tok280.bin", llama2c_file(280));
  write_file(folder / "tok290.bin", llama2c_file(291));  // its name lies
  for (const std::filesystem::path& path : {folder / "model.bin", folder.path()}) {
    for (const std::size_t size : {280u, 300u}) {
      CHECK(vocabulary_of(path, size).tokenizer->vocab_size() == size);
      CHECK(vocabulary_of(path, size).content == llama2c_file(size));
    }
    CHECK_THAT(no_vocabulary(path, 290), Catch::Contains("beside it") && Catch::Contains("tokenizer.model") &&
                                             Catch::Contains("tokenizer.bin: 300 pieces; tok290.bin: 291 pieces"));
    CHECK_FALSE(find_vocabulary(path, 290).vocabulary);
  }
  CHECK(vocabulary_of(folder / "model.bin", 256).tokenizer->name() == "bytes");
  CHECK_THAT(no_vocabulary(folder.path(), 256), Catch::Contains("tok280.bin: the model's 256 ids are bytes only where") &&
                                                    Catch::Contains("tokenizer.bin: 300 pieces"));
  CHECK(vocabulary_of(folder / "model.bin", 291, folder / "tok290.bin").tokenizer->vocab_size() == 291);
  CHECK_THAT(message([&] { vocabulary_of(folder / "model.bin", 300, folder / "tok280.bin"); }),
             Catch::Contains("tok280.bin: 280 pieces, the model has 300"));
  std::filesystem::remove_all(folder.path());
  std::filesystem::create_directories(folder.path());
  CHECK_THAT(no_vocabulary(folder.path(), 300), Catch::Contains("no tokenizer.json, no tokenizer.model and no tokenizer.bin"));
}

TEST_CASE("a vocabulary that is not read is named, and bytes do not take its place") {
  const Folder folder("unread-vocabulary");
  CHECK(vocabulary_of(folder.path(), 256).tokenizer->name() == "bytes");
  write_file(folder / "vocab.json", "{}");
  CHECK_THAT(no_vocabulary(folder.path(), 256), Catch::Contains("vocab.json: vocabularies of this kind are not read"));
  write_file(folder / "tokenizer.json", "{}");
  CHECK_THAT(
      no_vocabulary(folder.path(), 256),
      Catch::EndsWith("tokenizer.json: \"model\" is missing; the text's token ids can be given by --tokens FILE.npy instead"));
  CHECK_THAT(no_vocabulary(folder.path(), 300), Catch::Contains("tokenizer.json: \"model\" is missing"));
  write_file(folder / "model.bin", "");
  CHECK(vocabulary_of(folder / "model.bin", 256).tokenizer->name() == "bytes");
  write_file(folder / "tokenizer.bin", llama2c_file(300));
  CHECK(vocabulary_of(folder.path(), 300).tokenizer->vocab_size() == 300);
}

TEST_CASE("bytes take the place of no vocabulary, whatever it is called") {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.bpe", "encoder.json",
                           "merges.txt", "spiece.model", "sentencepiece.bpe.model", "qwen.tiktoken", "tekken.json",
                           "tokenizer.pkl", "tokenizer.JSON", "tokenizer.model", "tokenizer.bin", "tok512.bin"}) {
    const Folder folder("names-of-vocabularies");
    write_file(folder / name, "x");
    CHECK_THAT(no_vocabulary(folder.path(), 256), Catch::StartsWith((folder / name).string() + ": "));
    CHECK_FALSE(no_vocabulary(folder.path(), 300).empty());
  }
  const Folder folder("no-vocabularies");
  for (const char* name : {"README.md", "generation_config.json", "chat_template.jinja", "state.json", "token.txt", "model.bin"})
    write_file(folder / name, "x");
  CHECK(vocabulary_of(folder.path(), 256).tokenizer->name() == "bytes");
}

TEST_CASE("what lies beside a tokenizer.json and gives transformers other ids is refused by name") {
  const Folder folder("beside-tokenizer-json");
  const auto error = [&](const char* name, const std::string& content) {
    write_file(folder / "tokenizer.json", small_tokenizer_json().dump());
    write_file(folder / name, content);
    const std::string line = message([&] { open_vocabulary(folder / "tokenizer.json"); });
    std::filesystem::remove(folder / name);
    return line;
  };
  const Json small = small_tokenizer_json();
  const Json token = small["added_tokens"][0];
  const std::string content = token["content"].dump(), id = std::to_string(token["id"].get<int>());
  for (const std::string& same :
       {std::string("{}"),
        "{\"bos_token\": " + content + ", \"pad_token\": null, \"add_bos_token\": true, \"model_max_length\": 5}",
        "{\"eos_token\": {\"content\": " + content + ", \"lstrip\": false}, \"additional_special_tokens\": [" + content + "]}",
        "{\"added_tokens_decoder\": {\"" + id + "\": {\"content\": " + content + ", \"special\": " + token["special"].dump() +
            "}}}",
        std::string(R"({"tokenizer_class": "PreTrainedTokenizerFast", "split_special_tokens": false, "auto_map": null})"),
        std::string(R"({"tokenizer_class": null, "add_prefix_space": )") +
            (small["pre_tokenizer"]["add_prefix_space"] == true ? "true}" : "false}")})
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) CHECK(error(name, same).empty());
  const auto refused = [&](const std::string& config, const std::string& part) {
    const std::string line = error("tokenizer_config.json", config);
    CHECK_THAT(line, Catch::Contains((folder / "tokenizer_config.json").string() + ": ") && Catch::Contains(part));
  };
  refused("{", "not JSON");
  refused("[]", "expected an object");
  refused(R"({"pad_token": "<pad>"})", "\"pad_token\", \"<pad>\", is none of tokenizer.json's added tokens");
  refused(R"({"mask_token": {"content": "[MASK]"}})", "\"mask_token\", \"[MASK]\"");
  refused(R"({"bos_token": "a"})", "\"bos_token\", \"a\"");  // a piece, but none that stands as it is written
  refused(R"({"extra_special_tokens": ["<x>"]})", "\"extra_special_tokens\", \"<x>\"");
  refused(R"({"extra_special_tokens": {"image": "<x>"}})", "\"extra_special_tokens\", \"<x>\"");
  refused(R"({"additional_special_tokens": [{"content": "<y>"}]})", "\"additional_special_tokens\", \"<y>\"");
  refused(R"({"added_tokens_decoder": {"999": {"content": "<new>"}}})", "\"added_tokens_decoder.999\", \"<new>\", is none of");
  refused("{\"added_tokens_decoder\": {\"999\": {\"content\": " + content + "}}}", "is token " + id + " in tokenizer.json");
  refused("{\"added_tokens_decoder\": {\"" + id + "\": {\"content\": " + content + ", \"lstrip\": true}}}",
          "its \"lstrip\" differs");
  refused(R"({"split_special_tokens": true})", "\"split_special_tokens\" is true");
  refused(R"({"auto_map": {"AutoTokenizer": ["a.B", null]}})", "\"auto_map\"");
  refused(small["pre_tokenizer"]["add_prefix_space"] == true ? R"({"add_prefix_space": false})" : R"({"add_prefix_space": true})",
          "in tokenizer.json it is");
  for (const char* other :
       {"\"BertTokenizer\"", "\"Qwen2TokenizerFast\"", "\"RobertaTokenizer\"", "\"T5Tokenizer\"", "\"GPTNeoXTokenizer\"", "3"})
    refused(std::string("{\"tokenizer_class\": ") + other + "}", "\"tokenizer_class\" is");
  for (const char* known : {"GPT2TokenizerFast", "GPT2Tokenizer", "CodeGenTokenizer", "LlamaTokenizerFast", "TokenizersBackend"})
    CHECK(error("tokenizer_config.json", std::string("{\"tokenizer_class\": \"") + known + "\"}").empty());
  CHECK_THAT(error("special_tokens_map.json", R"({"pad_token": "<pad>"})"),
             Catch::Contains("special_tokens_map.json: \"pad_token\""));
}

TEST_CASE("a tokenizer.json goes with its model, whose rows may be more than its pieces, and never fewer") {
  const Folder folder("tokenizer-json");
  const std::string text = small_tokenizer_json().dump();
  write_file(folder / "tokenizer.json", text);
  const std::size_t pieces = read_tokenizer_json(text)->vocab_size();
  for (const std::size_t rows : {pieces, pieces + 40}) {
    const Vocabulary v = vocabulary_of(folder.path(), rows);
    CHECK(v.tokenizer->name() == "byte-level BPE");
    CHECK(v.tokenizer->vocab_size() == rows);
    CHECK(v.tokenizer->pieces() == pieces);
    CHECK(v.content == text);
    CHECK(v.tokenizer->piece(static_cast<std::int32_t>(rows - 1)).empty());
  }
  CHECK_THAT(no_vocabulary(folder.path(), pieces - 1), Catch::Contains("tokenizer.json: " + std::to_string(pieces) +
                                                                       " pieces, the model has " + std::to_string(pieces - 1)));
  CHECK_THAT(message([&] { vocabulary_of("elsewhere", 256, folder / "tokenizer.json"); }), Catch::Contains("the model has 256"));
  write_file(folder / "tokenizer.bin", llama2c_file(pieces + 40));  // what fits exactly goes first
  CHECK(vocabulary_of(folder.path(), pieces + 40).tokenizer->name() == "llama2.c");
  CHECK(vocabulary_of(folder.path(), pieces).tokenizer->name() == "byte-level BPE");
  const Folder saved("tokenizer-json-saved");
  vocabulary_of(folder.path(), pieces).save(saved.path());
  CHECK(vocabulary_of(saved.path(), pieces).content == text);
}

#ifdef SKIPV1_SENTENCEPIECE
TEST_CASE("a SentencePiece vocabulary beside one of llama2.c goes with the model of its size") {
  const Folder folder("two-kinds");
  std::string text;
  for (int i = 0; i < 300; ++i) text += "word" + std::to_string(i * i) + " and " + std::to_string(i) + "\n";
  train_vocabulary(text, 280).save(folder.path());
  write_file(folder / "tokenizer.bin", llama2c_file(300));
  CHECK(vocabulary_of(folder.path(), 280).tokenizer->name() == "sentencepiece");
  CHECK(vocabulary_of(folder.path(), 300).tokenizer->name() == "llama2.c");
}
#endif
