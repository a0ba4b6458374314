// What another implementation wrote, held against a case.
#pragma once

#include "skipv1/conformance/case.hpp"
#include "skipv1/conformance/compare.hpp"

namespace skipv1::conformance {

/// Compares whatever `folder` has of a case's results, in the order of the forward pass: trace files (with the library's own
/// trace in float64), logits.npy, the loss of expected.json, grads.safetensors, the counts of expected.json. Bounds are those of
/// `dtype`, or where it is empty of each file's own scalar. Throws if nothing is there or a file is malformed.
std::vector<Comparison> compare_actual(const Case& c, const std::filesystem::path& folder, const std::string& dtype);

/// The least divisor of a gradient's error: 0.01 times the case's largest gradient entry (a key's bias has gradient zero
/// exactly).
double least_gradient_divisor(const Case& c);

}  // namespace skipv1::conformance
