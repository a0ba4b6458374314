// skipv1-encode-texts TOKENIZER.json TEXTS: for each text its ids and, in hexadecimal, the bytes they stand for, or why it is
// refused. TEXTS holds each text behind its length, 4 bytes, little-endian.
#include <cstdio>
#include <iostream>

#include "skipv1/training/tokenizer_json.hpp"

using namespace skipv1;

namespace {

void print_ids(const Tokenizer& tokenizer, const std::string& text) {
  std::string line, bytes;
  try {
    for (const std::int32_t id : tokenizer.encode(text)) {
      line += std::to_string(id) + ' ';
      for (const char c : tokenizer.piece(id)) {
        char hex[3];
        std::snprintf(hex, sizeof hex, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        bytes += hex;
      }
    }
    std::cout << line << "= " << bytes << '\n';
  } catch (const Error& error) {
    std::cout << "refused: " << error.what() << '\n';
  }
}

void run(const char* vocabulary, const char* texts) {
  Source json{std::filesystem::path(vocabulary)}, file{std::filesystem::path(texts)};
  const auto tokenizer = read_tokenizer_json(json.text(0, json.size()));
  std::cout << tokenizer->vocab_size() << ' ' << tokenizer->start().value_or(-1) << '\n';
  for (std::uint64_t at = 0; at < file.size();) {
    const std::string length = file.text(at, 4);
    std::size_t size = 0;
    for (std::size_t i = 4; i-- > 0;) size = size << 8 | static_cast<unsigned char>(length[i]);
    print_ids(*tokenizer, file.text(at + 4, size));
    at += 4 + size;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc == 3, "two arguments: a tokenizer.json, and texts");
    run(argv[1], argv[2]);
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
