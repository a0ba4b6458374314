// Rotary positions that are counted from another number than 0, by queries and keys alike: scores see differences alone.
#pragma once

#include <filesystem>
#include <vector>

#include "skipv1/conformance/case.hpp"
#include "skipv1/conformance/compare.hpp"

namespace skipv1::conformance {

/// The position that the results of `folder` count from, where that alone makes them differ: logits hold, and what differs are
/// rotated queries and keys of the trace, each as at that many positions later. 0 where that is not so.
std::size_t counted_from(const Case& c, const std::filesystem::path& folder, const std::vector<Comparison>& comparisons);

}  // namespace skipv1::conformance
