// Any text is either a configuration, ours or transformers', which then survives being written and read, or an `Error`.
#include <cstdlib>

#include "skipv1/io/hugging_face.hpp"

using namespace skipv1;

template <class Parse>
static void read_and_write(std::string_view text, const Parse& parse) {
  try {
    const Config config = parse(text);
    if (!(parse_config(config_text(config)) == config)) std::abort();
  } catch (const Error&) {
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_and_write(text, parse_config);
  read_and_write(text, parse_hugging_face_config);
  return 0;
}
