// Weights for SkipV1 that nobody trained: how much of one gradient step the architecture of tutorial 05 can hold.
#pragma once

#include "skipv1/programs/mesa/trained.hpp"

namespace skipv1::mesa {

/// A SkipV1 of depth 2 with linear attention after its first layer, built by hand.
struct BuiltByHand {
  std::size_t rows = 0;       ///< coordinates of x, and of y, that it uses: min(d, D - 1), as one of D says x from y
  double expected = 0;        ///< its error if all limits were reached
  std::vector<double> pairs;  ///< its measured error after 0 … n pairs, over the zero predictor's
};

/// Builds and measures it. Throws unless heads are 8 wide, RoPE's base is 10, `n <= 12` and `2 <= width <= 8`.
BuiltByHand build_by_hand(const Setting& s, std::size_t width);

}  // namespace skipv1::mesa
