// What the tests of the device vocabulary share.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/kernel/launch.cuh"

namespace skipv1 {

inline std::vector<bfloat16> drawn(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<bfloat16> x(count);
  for (bfloat16& v : x) v = static_cast<bfloat16>(static_cast<float>(random.normal()));
  return x;
}
inline float number(const std::vector<bfloat16>& x, std::size_t i) { return static_cast<float>(x[i]); }

/// The fault of a launch, empty if there is none.
template <class... Parameters>
std::string fault(std::size_t blocks, std::size_t threads, void (*kernel)(Parameters...),
                  std::type_identity_t<Parameters>... arguments) {
  try {
    launch({"under_test", blocks, threads, 64 << 10}, kernel, arguments...);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace skipv1
