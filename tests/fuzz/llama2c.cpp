// Any bytes are either a llama2.c checkpoint or an `Error`; the same for any small header before enough data.
#include "skipv1/io/llama2c.hpp"

using namespace skipv1;

static void read_all(std::span<const std::byte> bytes) {
  try {
    Source from(bytes, "fuzz");
    import_llama2c<float>(from);
  } catch (const Error&) {
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read_all(std::as_bytes(std::span(data, size)));
  if (size < 7) return 0;
  std::array<std::int32_t, 7> header;
  for (std::size_t i = 0; i < 7; ++i) header[i] = static_cast<std::int8_t>(data[i]) % 17;
  std::vector<std::byte> file(sizeof header);
  std::memcpy(file.data(), header.data(), sizeof header);
  try {
    Source from(file, "fuzz");
    file.resize(28 + 4 * static_cast<std::size_t>(detail::llama2c_floats(detail::read_llama2c_config(from))));
  } catch (const Error&) {
    return 0;
  }
  std::memcpy(file.data() + 28, data + 7, std::min(size - 7, file.size() - 28));
  read_all(file);
  return 0;
}
