// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include <cmath>

#include "skipv1/core/check.hpp"

namespace exercise {

/// By finite differences of `loss = sum over s of g_s p_s`, whose gradients by p are g.
inline void check_02a_1() {
  const std::vector<double> scores{0.3, -1.2, 0.8}, g{1.0, -2.0, 0.5};
  const auto softmax = [](std::vector<double> x) {
    double sum = 0;
    for (double& v : x) sum += v = std::exp(v);
    for (double& v : x) v /= sum;
    return x;
  };
  const auto loss = [&](const std::vector<double>& x) {
    const std::vector<double> p = softmax(x);
    return p[0] * g[0] + p[1] * g[1] + p[2] * g[2];
  };
  const std::vector<double> ds = softmax_backward(softmax(scores), g);
  skipv1::require(ds.size() == 3, "3 scores have 3 gradients, not ", ds.size());
  const double sum = ds[0] + ds[1] + ds[2];
  skipv1::require(
      std::abs(sum) < 1e-9, "the gradients of a row add up to ", sum,
      "; adding a constant to all scores changes no probability, so they must add up to 0: what of the softmax's sum?");
  for (std::size_t s = 0; s < 3; ++s) {
    std::vector<double> above = scores, below = scores;
    above[s] += 1e-5, below[s] -= 1e-5;
    const double right = (loss(above) - loss(below)) / 2e-5;
    skipv1::require(std::abs(ds[s] - right) < 1e-7, "dS[", s, "] is ", ds[s], "; finite differences say ", right);
  }
}

inline void check_02a_2() {
  const Reader first{{{1, 0}, {0.5, 0.5}}, {1, 2}}, second{{{1, 0}, {0.25, 0.75}}, {4, 8}};
  const std::vector<double> one = value_gradient({first}), both = value_gradient({first, second}),
                            last = value_gradient({second});
  for (const auto* own : {&one, &both, &last})
    skipv1::require(own->size() == 2, "dV of two positions has ", own->size(), " elements");
  skipv1::require(one[0] == 2 && one[1] == 1, "one reader: dV is (", one[0], ", ", one[1], "), P^T dO is (2, 1)");
  skipv1::require(both[0] != last[0] || both[1] != last[1], "two layers read the head, but dV is (", both[0], ", ", both[1],
                  "), what the last of them alone sends back: accumulate");
  skipv1::require(both[0] == 8 && both[1] == 7, "two readers: dV is (", both[0], ", ", both[1], "), must be (8, 7)");
}

}  // namespace exercise
