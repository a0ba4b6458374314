// The types in which safetensors files store numbers, and half precision.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/core/check.hpp"

namespace skipv1 {

/// IEEE 754 half precision, for reading.
class float16 {
 public:
  float16() = default;
  /// Exact: every half is a float.
  explicit operator float() const {
    const int exponent = bits_ >> 10 & 31;
    const std::uint32_t sign = static_cast<std::uint32_t>(bits_ & 0x8000u) << 16, fraction = bits_ & 0x3ffu;
    if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(fraction) * 0x1p-24f));
    const std::uint32_t wide = exponent == 31 ? 255 : static_cast<std::uint32_t>(exponent + 112);  // bias 15 becomes 127
    return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
  }
  explicit operator double() const { return static_cast<double>(static_cast<float>(*this)); }

 private:
  std::uint16_t bits_;
};

/// A type of the safetensors format, by the name that the format gives it.
struct Dtype {
  const char* name;
  std::size_t width;  ///< bytes of one number
  friend bool operator==(const Dtype& a, const Dtype& b) { return std::string_view(a.name) == b.name; }
};

inline constexpr Dtype dtypes[] = {{"F64", 8}, {"F32", 4}, {"BF16", 2},    {"F16", 2},     {"I64", 8},
                                   {"I32", 4}, {"I16", 2}, {"I8", 1},      {"U64", 8},     {"U32", 4},
                                   {"U16", 2}, {"U8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};

/// The dtype called `name`, or null.
inline const Dtype* find_dtype(std::string_view name) {
  for (const Dtype& dtype : dtypes)
    if (name == dtype.name) return &dtype;
  return nullptr;
}

namespace detail {
template <class T>
constexpr const char* dtype_name = nullptr;
template <>
inline constexpr const char* dtype_name<double> = "F64";
template <>
inline constexpr const char* dtype_name<float> = "F32";
template <>
inline constexpr const char* dtype_name<bfloat16> = "BF16";
template <>
inline constexpr const char* dtype_name<float16> = "F16";
}  // namespace detail

/// The dtype that stores a `T` unchanged.
template <class T>
Dtype dtype_of() {
  constexpr const char* name = detail::dtype_name<std::remove_const_t<T>>;
  static_assert(name != nullptr, "double, float, bfloat16 and float16 can be stored");
  return *find_dtype(name);
}

/// Calls `use(Stored{})` with the type whose numbers `dtype` stores. Throws, naming `what`, if it is none of F64, F32, BF16, F16.
template <class Use>
void with_dtype(const Dtype& dtype, std::string_view what, const Use& use) {
  if (dtype == dtype_of<double>()) return use(double{});
  if (dtype == dtype_of<float>()) return use(float{});
  if (dtype == dtype_of<bfloat16>()) return use(bfloat16{});
  if (dtype == dtype_of<float16>()) return use(float16{});
  fail(what, ": dtype ", dtype.name, ": only F64, F32, BF16 and F16 are weights");
}

}  // namespace skipv1
