// bfloat16: a float's upper half, for storage; and the type that sums over such numbers are kept in.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "skipv1/core/check.hpp"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#endif

namespace skipv1 {

#if defined(__CUDACC__)
using bfloat16 = __nv_bfloat16;
#else
/// CUDA's `__nv_bfloat16` for compilers without it: conversions only, rounded to nearest, ties to even.
class bfloat16 {
 public:
  bfloat16() = default;
  explicit bfloat16(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    bits_ = static_cast<std::uint16_t>(nan ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
  explicit bfloat16(double x) : bfloat16(static_cast<float>(x)) {}
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits_) << 16); }
  explicit operator double() const { return static_cast<double>(static_cast<float>(*this)); }

 private:
  std::uint16_t bits_;
};
#endif
static_assert(sizeof(bfloat16) == 2);

/// What sums and statistics over numbers of type `T` are kept in: float for bfloat16, else `T` itself.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

}  // namespace skipv1
