// Any text is either a configuration, which then survives being written and read, or an `Error`.
#include <cstdlib>

#include "skipv1/io/config.hpp"

using namespace skipv1;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Config config = parse_config({reinterpret_cast<const char*>(data), size});
    if (!(parse_config(config_text(config)) == config)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
