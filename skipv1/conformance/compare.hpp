// Tensors held against what is expected.
#pragma once

#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "skipv1/core/tensor.hpp"

namespace skipv1::conformance {

/// The error of one tensor in one check, and its bound.
struct Comparison {
  std::string check, tensor;
  double error = 0, bound = 0;
  bool pass = false;
  std::string note = {};  ///< of one that fails: where it differs first and by what, or both shapes
  /// The first element beyond the bound, or where it passes the worst; none where shapes differ or there is nothing.
  std::vector<std::size_t> index = {};
  double expected = std::numeric_limits<double>::quiet_NaN(), actual = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::string> mistakes = {};  ///< known ones that give exactly these numbers (mistakes.hpp)
};

/// `max|actual - expected| / max(1e-12, least, max|expected|)`, which passes where it is at most `bound` and `actual` is finite
/// everywhere. Where the shapes differ it fails, with an infinite error.
Comparison compare(const std::string& check, const std::string& tensor, View<const double> actual, View<const double> expected,
                   double bound, double least = 0);

/// Two counts, which must be equal; the error is their relative difference.
Comparison compare_counts(const std::string& check, const std::string& name, std::size_t actual, std::size_t expected);

/// Where `comparisons`, in the order of a pass, differ first: "layer1.values, first at …", or, where the forward pass holds,
/// "the forward pass holds; gradients first differ at …". Empty if nothing differs.
std::string first_difference(const std::vector<Comparison>& comparisons);

/// The note of a gradient that is not there while others are.
inline constexpr const char* is_missing = "is missing";

/// What was compared, in a line: "12 trace tensors, logits, loss, 23 gradients, 2 counts"; of gradients also which are missing.
std::string list_compared(const std::vector<Comparison>& comparisons);

/// Writes a line for each comparison; of gradients and trace only the largest error, or every tensor that fails, with its note.
void print(std::ostream& out, const std::vector<Comparison>& comparisons);

}  // namespace skipv1::conformance
