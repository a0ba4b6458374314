#include "skipv1/io/dtype.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "tests/catch.hpp"

using namespace skipv1;

namespace {

/// The value of a binary floating-point pattern by its definition (IEEE 754, section 3.4), in double, where all of these are
/// exact.
double value(unsigned bits, int exponent_bits, int fraction_bits) {
  const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double fraction = static_cast<double>(bits & ((1u << fraction_bits) - 1));
  const double sign = bits >> (exponent_bits + fraction_bits) ? -1 : 1;
  if (exponent == 2 * bias + 1) return fraction > 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(1 + std::ldexp(fraction, -fraction_bits), exponent - bias);
}

template <class Stored>
std::size_t wrong_patterns(int exponent_bits) {
  std::size_t wrong = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto x = std::bit_cast<Stored>(static_cast<std::uint16_t>(bits));
    const double exact = value(bits, exponent_bits, 15 - exponent_bits);
    for (const double read : {static_cast<double>(static_cast<float>(x)), static_cast<double>(x)}) {
      const bool same =
          std::isnan(exact) ? std::isnan(read) : std::bit_cast<std::uint64_t>(read) == std::bit_cast<std::uint64_t>(exact);
      wrong += !same;
    }
  }
  return wrong;
}

}  // namespace

TEST_CASE("every float16 and every bfloat16 is read exactly") {
  CHECK(wrong_patterns<float16>(5) == 0);
  CHECK(wrong_patterns<bfloat16>(8) == 0);
}

TEST_CASE("dtypes go by their names") {
  CHECK(dtype_of<double>().width == 8);
  CHECK(dtype_of<const float>() == *find_dtype("F32"));
  CHECK_FALSE(dtype_of<bfloat16>() == dtype_of<float16>());
  CHECK(find_dtype("F64 ") == nullptr);
  CHECK_THROWS_WITH(with_dtype(*find_dtype("I64"), "x", [](auto) {}), "x: dtype I64: only F64, F32, BF16 and F16 are weights");
}
