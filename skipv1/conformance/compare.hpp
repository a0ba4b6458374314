// Tensors held against what is expected.
#pragma once

#include <string>
#include <vector>

#include "skipv1/core/tensor.hpp"

namespace skipv1::conformance {

/// The error of one tensor in one check, and its bound.
struct Comparison {
  std::string check, tensor;
  double error = 0, bound = 0;
  bool pass = false;
  std::string note;  ///< of one that fails: where it differs first and by what, or both shapes
};

/// `max|actual - expected| / max(1e-12, least, max|expected|)`, which passes where it is at most `bound` and `actual` is finite
/// everywhere. Where the shapes differ it fails, with an infinite error.
Comparison compare(const std::string& check, const std::string& tensor, View<const double> actual, View<const double> expected,
                   double bound, double least = 0);

/// Two counts, which must be equal; the error is their relative difference.
Comparison compare_counts(const std::string& check, const std::string& name, std::size_t actual, std::size_t expected);

/// Writes a line for each comparison; of gradients and trace only the largest error, or every tensor that fails, with its note.
void print(std::ostream& out, const std::vector<Comparison>& comparisons);

}  // namespace skipv1::conformance
