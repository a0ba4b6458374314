// Any bytes are either a safetensors file or an `Error`; the same for any header before some data.
#include <cstdlib>

#include "skipv1/io/safetensors.hpp"

using namespace skipv1;

static void read_all(std::span<const std::byte> bytes) {
  try {
    SafetensorsFile file(Source(bytes, "fuzz"));
    for (const auto& [name, entry] : file.entries()) {
      if (entry.shape.size() * entry.dtype.width != entry.end - entry.begin || entry.end > bytes.size()) std::abort();
      try {
        file.read<float>(name);
        file.read<double>(name, Values::any);
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_all(bytes);
  std::vector<std::byte> file(8 + size + 16);  // the header is whole, 16 bytes follow
  const std::uint64_t length = size;
  std::memcpy(file.data(), &length, 8);
  std::copy(bytes.begin(), bytes.end(), file.begin() + 8);
  read_all(file);
  return 0;
}
