// Any text is a tokenizer.json or an `Error`; what is read keeps every text that it takes, the file's own among them.
#include <cstdlib>

#include "skipv1/training/tokenizer_json.hpp"

using namespace skipv1;

static void encode_and_count(const Tokenizer& tokenizer, std::string_view text) {
  try {
    std::size_t bytes = 0;
    for (const std::int32_t id : tokenizer.encode(text)) bytes += tokenizer.text_bytes(id);
    if (bytes < text.size() || (bytes > text.size() && !tokenizer.adds_space())) std::abort();
  } catch (const Error&) {
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = read_tokenizer_json(text);
    encode_and_count(*tokenizer, text);
    encode_and_count(*tokenizer, "ab abc a's 123 \xc3\xa9\n\n a!<|e|>b");
  } catch (const Error&) {
  }
  return 0;
}
