// Any bytes are either an .npy file or an `Error`; the same for any header before some data.
#include <cstdlib>

#include "skipv1/io/npy.hpp"

using namespace skipv1;

static void read_all(std::span<const std::byte> bytes) {
  try {
    Source floats(bytes, "fuzz"), integers(bytes, "fuzz");
    const std::size_t size = read_npy_header(floats).shape.size();
    if (size > bytes.size()) std::abort();
    if (bytes.size() % 2) {
      read_npy<float>(floats);
    } else {
      read_npy<std::int32_t>(integers);
    }
  } catch (const Error&) {
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_all(bytes);
  if (size > 0xffff) return 0;
  std::vector<std::byte> file(10 + size + 16);  // the header is whole, 16 bytes follow
  std::memcpy(file.data(), "\x93NUMPY\x01\x00", 8);
  file[8] = static_cast<std::byte>(size & 0xff);
  file[9] = static_cast<std::byte>(size >> 8);
  std::copy(bytes.begin(), bytes.end(), file.begin() + 10);
  read_all(file);
  return 0;
}
