#include "skipv1/training/token_file.hpp"

#include "skipv1/training/text.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/training/byte_pairs.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
std::filesystem::path ids_file(const Folder& folder, std::vector<std::int32_t> ids, Shape shape) {
  write_npy(folder / "ids.npy", View<const std::int32_t>(ids.data(), std::move(shape)));
  return folder / "ids.npy";
}
std::string ids_error(const std::filesystem::path& path, std::size_t vocab_size) {
  return message([&] { load_tokens(path, vocab_size); });
}
}  // namespace

TEST_CASE("a file of token ids is one axis of ids that the model has") {
  const Folder folder("token-file");
  CHECK(load_tokens(ids_file(folder, {3, 0, 4}, {3}), 5) == std::vector<std::int32_t>{3, 0, 4});
  CHECK_THAT(ids_error(folder / "ids.npy", 4), Catch::Contains("ids.npy: element 2 is 4: the model's vocabulary has ids 0 to 3"));
  CHECK_THAT(ids_error(ids_file(folder, {3, -1, 9}, {3}), 5), Catch::Contains("element 1 is -1"));
  CHECK_THAT(ids_error(ids_file(folder, {3, 1}, {1, 2}), 5), Catch::Contains("must have one axis"));
  CHECK_THAT(ids_error(ids_file(folder, {}, {0}), 5), Catch::Contains("holds no token"));
  const std::string text = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n";
  const std::string value("\0\0\0\0\0\1\0\0", 8);  // 2^40
  write_file(folder / "far.npy", std::string("\x93NUMPY\1\0", 8) + static_cast<char>(text.size()) + '\0' + text + value);
  CHECK_THAT(ids_error(folder / "far.npy", 5),
             Catch::Contains("far.npy: element 0 is 1099511627776: the model's vocabulary has ids 0 to 4"));
  write_file(folder / "short.npy", "\x93NUMPY");
  CHECK_THAT(ids_error(folder / "short.npy", 5), Catch::Contains("short.npy: not an .npy file"));
}

TEST_CASE("of token ids the bytes are known with a vocabulary, and only then") {
  const auto tokenizer = read_tokenizer_json(small_tokenizer_json().dump());
  const std::vector<std::int32_t> ids = tokenizer->encode("the<|end|> the");
  const TextData text(ids, tokenizer.get()), unknown(ids);
  CHECK(text.size() == 3);
  CHECK(text.bytes(0, 3) == 14);
  CHECK(unknown.bytes(0, 3) == 0);
  CHECK(std::isnan(bits_per_byte(1, 3, unknown.bytes(0, 3))));
  CHECK(unknown.sequential(0, 1, 2).targets == std::vector<std::int32_t>{260, 258});
  CHECK(split_count(10, 0.2) == 8);
  CHECK_THROWS_WITH(split_count(1, 0.2), "1 tokens cannot be split with a share of 0.2 for validation");
  const TextData written("the<|end|> the", *tokenizer);  // a mark in a text stands for its bytes
  CHECK(written.tokens() == ids);
}

TEST_CASE("a vocabulary that puts a space before a text keeps texts with and without one") {
  Json file = small_tokenizer_json();
  file["pre_tokenizer"]["add_prefix_space"] = true;
  const auto tokenizer = read_tokenizer_json(file.dump());
  for (const std::string text : {"the he", " the he"}) {
    const TextData data(text, *tokenizer);
    CHECK(data.bytes(0, data.size()) == text.size());
  }
  CHECK_THROWS_WITH(TextData("the<|end|>the", *tokenizer), Catch::Contains("it does not keep the text"));
}
