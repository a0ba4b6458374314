// Numbers of 16 bits that lie in wider files.
#pragma once

#include <optional>
#include <string>

#include "skipv1/conformance/case.hpp"
#include "skipv1/conformance/compare.hpp"

namespace skipv1::conformance {

/// The type of 16 bits that has all numbers of `x`, "bfloat16" before "float16"; empty where neither has, or `x` has none.
std::string narrow_type(View<const double> x);

/// What differs by no more than the rounding to such a type.
struct NarrowNumbers {
  std::string type;    ///< "bfloat16" or "float16"
  std::string tensor;  ///< one that differs, all of whose numbers are of that type
};

/// The type that what another implementation wrote into `folder` was computed or stored in, where its files are wider: one tensor
/// that differs at least has no other numbers, and every difference in `comparisons` is within the bounds of bfloat16, of float16
/// within an eighth of them, since it rounds to three bits more.
std::optional<NarrowNumbers> narrow_numbers(const Case& c, const std::filesystem::path& folder,
                                            const std::vector<Comparison>& comparisons);

}  // namespace skipv1::conformance
