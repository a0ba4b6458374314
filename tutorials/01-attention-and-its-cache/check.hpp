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

inline void check_01_1() {
  const auto is = [](const std::vector<double>& x, double a, double b) {
    return x.size() == 2 && std::abs(x[0] - a) < 1e-9 && std::abs(x[1] - b) < 1e-9;
  };
  // Scores ln 3 sqrt(2) and 0: probabilities 3/4 and 1/4 after the scale.
  const double score = std::log(3.0) * std::sqrt(2.0);
  const std::vector<double> o = attend({score, 0}, {{1, 0}, {0, 1}}, {{4, 0}, {0, 8}});
  skipv1::require(o.size() == 2, "o has ", o.size(), " elements; it is as wide as a value, 2");
  const double unscaled = std::exp(score) / (std::exp(score) + 1);
  skipv1::require(!is(o, 4 * unscaled, 8 * (1 - unscaled)), "the scores are not divided by sqrt(d): o[0] is ", o[0],
                  ", must be 3");
  const double too_small = 1 / (1 + std::exp(-score / 2));
  skipv1::require(!is(o, 4 * too_small, 8 * (1 - too_small)), "the scores are divided by d, must be by sqrt(d): o[0] is ", o[0],
                  ", must be 3");
  skipv1::require(!is(o, 12, 8), "the weights do not add up to 1: o is (12, 8), must be (3, 2); divide by the sum");
  skipv1::require(is(o, 3, 2), "o is (", o[0], ", ", o[1],
                  ") where the probabilities are 3/4 and 1/4 and the values (4, 0) and (0, 8):", " must be (3, 2)");
  const std::vector<double> large = attend({2000, 0}, {{1, 0}, {1, 0}}, {{1, 3}, {3, 5}});
  skipv1::require(large.size() == 2, "o has ", large.size(), " elements; it is as wide as a value, 2");
  skipv1::require(is(large, 2, 4), "two equal scores of 1414 give (", large[0], ", ", large[1],
                  "), must be (2, 4): exp overflows; subtract the largest score first");
}

inline void check_01_2() {
  // GPT-2 small in float: 12 layers, 12 heads of 64, 1024 tokens.
  const std::size_t bytes = cache_bytes(12, 12, 64, 4, 1024), right = std::size_t{2} * 12 * 12 * 64 * 4 * 1024;
  skipv1::require(2 * bytes != right, bytes, " bytes are the keys alone: each head has a value per token, too");
  skipv1::require(bytes == right, bytes, " bytes for 1024 tokens of 12 layers and 12 heads of 64 floats: must be ", right,
                  ", a key and a value of 64 x 4 bytes per token, head and layer");
  skipv1::require(cache_bytes(24, 16, 64, 2, 1) == 98304,
                  "24 layers, 16 heads of 64 in bfloat16: ", cache_bytes(24, 16, 64, 2, 1), " bytes per token, must be 98304");
}

}  // namespace exercise
