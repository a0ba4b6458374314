// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include "skipv1/core/check.hpp"

namespace exercise {

inline void check_03_1() {
  const Trace right{{"layer0.values", {1, 2}}, {"layer0.output", {3, 4}}, {"layer1.values", {5, 6}}, {"logits", {7, 8}}};
  const auto expect = [&](std::size_t tensor, double number, const char* first) {
    Trace theirs = right;
    for (std::size_t n = tensor; n < theirs.size(); ++n) theirs[n].second[1] = number;
    const std::string own = first_wrong(right, theirs, 1e-3);
    skipv1::require(own == first, "all from ", first, " on differ (element 1 is ", number, "): you name \"", own,
                    "\"; what goes wrong later says nothing");
  };
  expect(2, 9, "layer1.values");
  expect(0, 9, "layer0.values");
  expect(1, std::nan(""), "layer0.output");
  Trace close = right, shorter = right;
  close[1].second[0] += 1e-4, shorter[0].second.pop_back();
  skipv1::require(first_wrong(right, close, 1e-3).empty(), "a trace within the bound is right; you name \"",
                  first_wrong(right, close, 1e-3), "\"");
  skipv1::require(first_wrong(right, shorter, 1e-3) == "layer0.values", "layer0.values lacks an element; you name \"",
                  first_wrong(right, shorter, 1e-3), "\"");
}

inline void check_03_2() {
  skipv1::require(mistake_in_values() == Mistake::first_half_of_layer_0,
                  "not that one. Values at position 0, as the four query heads of layer 1 read them, expected 1.3 0.2 0.7 -0.4, ",
                  "theirs 1.3 0.2 -0.9 0.5; layer 0's value heads hold -0.9 0.5 0.7 -0.4, layer 1's own 1.3 0.2");
}
inline void check_03_3() {
  skipv1::require(
      mistake_in_attention() == Mistake::mask_top_left,
      "not that one. Keys, values and one pass over all eight tokens are right. With five tokens cached, rows 0, 1, 2 of the ",
      "new three give weights to keys 0, 0 to 1 and 0 to 2 alone; each row's weights add up to 1");
}
inline void check_03_4() {
  skipv1::require(largest_error({1, 2.5}, {1, 2}) == 0.5, "the largest error of (1, 2.5) from (1, 2) is 0.5, not ",
                  largest_error({1, 2.5}, {1, 2}));
  for (const std::vector<double>& x : {std::vector<double>{std::nan(""), 2}, {1, std::nan("")}})
    skipv1::require(!(largest_error(x, {1, 2}) < 1e-3), "(", x[0], ", ", x[1], ") passes with an error of ",
                    largest_error(x, {1, 2}), ": NaN compares as false with everything, and std::max keeps its first argument");
}

}  // namespace exercise
