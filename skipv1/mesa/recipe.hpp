// The recipe by which a model learns the task.
#pragma once

#include <cstddef>

namespace skipv1::mesa {

/// How a model learns.
struct Recipe {
  std::size_t steps = 4000, batch = 64;
  double rate = 0.04, warm_up = 0.05, floor = 0.02;
  double gain = 0.5;  ///< matrices start normal with the variance gain^2 / (columns)
  double clip = 1, weight_decay = 0, beta2 = 0.99;
};

}  // namespace skipv1::mesa
