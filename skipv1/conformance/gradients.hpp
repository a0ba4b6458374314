// Gradients held against a case, in the order in which the backward pass makes them.
#pragma once

#include <string>
#include <vector>

#include "skipv1/conformance/case.hpp"
#include "skipv1/conformance/compare.hpp"

namespace skipv1::conformance {

/// The least divisor of a gradient's error: 0.01 times the case's largest gradient entry (a key's bias has gradient zero
/// exactly).
double least_gradient_divisor(const Case& c);

/// The names of all parameters in the order in which the backward pass completes their gradients: the output head, the final
/// norm, the blocks from the last to the first (in each: feed-forward, its norm, o_proj, values, keys, queries, the first norm),
/// the embeddings. The first gradient that differs here is the nearest to the mistake: later ones inherit it.
std::vector<std::string> backward_order(const ParameterLayout& layout);

}  // namespace skipv1::conformance
