// What another implementation wrote, held against a case.
#pragma once

#include "skipv1/conformance/case.hpp"
#include "skipv1/conformance/compare.hpp"

namespace skipv1::conformance {

/// Compares what `folder` has of a case's results, in the order of the passes: trace tensors (with the library's own trace in
/// float64), logits, loss, gradients in `backward_order`, counts. A tensor lies in NAME.npy or, under its name, in any
/// .safetensors file; a gradient in a .safetensors file under its parameter's name; loss and counts in expected.json. Bounds are
/// those of `dtype`, or where it is empty of each file's own scalar. Throws, naming it, on a file, a tensor or a key that belongs
/// to nothing, on a malformed file, or if nothing is there.
std::vector<Comparison> compare_actual(const Case& c, const std::filesystem::path& folder, const std::string& dtype);

/// The scalar whose bounds hold for the logits in `folder`, with `dtype` as above; empty where it has none.
std::string dtype_of_logits(const Case& c, const std::filesystem::path& folder, const std::string& dtype);

/// Fills in `mistakes` of those `comparisons` that differ: of logits in `folder`, of the loss where logits hold or are not there,
/// and of counts.
void recognise_actual(const Case& c, const std::filesystem::path& folder, std::vector<Comparison>& comparisons);

}  // namespace skipv1::conformance
