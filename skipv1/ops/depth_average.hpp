// DenseFormer's depth-weighted average (Pagliardini et al. 2024; docs/spec/models.md, eq. (10)).
#pragma once

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `y[n, i] = sum over j of weights[j] x[j, n, i]`. y (N, d), x (J, N, d), weights (J).
template <class T>
void depth_average_forward(View<T> y, ConstView<T> x, ConstView<T> weights) {
  for (std::size_t n = 0; n < y.extent(0); ++n)
    for (std::size_t i = 0; i < y.extent(1); ++i) {
      y(n, i) = T(0);
      for (std::size_t j = 0; j < weights.size(); ++j) y(n, i) += weights(j) * x(j, n, i);
    }
}

/// `dx[j] += weights[j] dy`, `dweights[j] += dy . x[j]`. Shapes as forward.
template <class T>
void depth_average_backward(View<T> dx, View<T> dweights, ConstView<T> dy, ConstView<T> x, ConstView<T> weights) {
  for (std::size_t j = 0; j < weights.size(); ++j)
    for (std::size_t n = 0; n < dy.extent(0); ++n)
      for (std::size_t i = 0; i < dy.extent(1); ++i) {
        dx(j, n, i) += weights(j) * dy(n, i);
        dweights(j) += dy(n, i) * x(j, n, i);
      }
}

}  // namespace reference

/// As `reference::depth_average_forward`, one x[j] after the other. Memory bounds it: x is read once, y stays in the cache.
template <class T>
void depth_average_forward(View<T, Cpu> y, ConstView<T, Cpu> x, ConstView<T, Cpu> weights) {
  require_fit(x.size() == weights.size() * y.size(), "depth_average_forward", "y x weights", "y (N, d), x (J, N, d), weights (J)",
              y, x, weights);
  const std::size_t size = y.size();
  parallel_ranges(size, 1 << 14, [&](std::size_t begin, std::size_t end) {
    std::fill(y.data() + begin, y.data() + end, T(0));
    for (std::size_t j = 0; j < weights.size(); ++j)
      for (std::size_t i = begin; i < end; ++i) y.data()[i] += weights.data()[j] * x.data()[j * size + i];
  });
}

/// As `reference::depth_average_backward`, one thread per j. Memory bounds it: 4 numbers per element of x.
template <class T>
void depth_average_backward(View<T, Cpu> dx, View<T, Cpu> dweights, ConstView<T, Cpu> dy, ConstView<T, Cpu> x,
                            ConstView<T, Cpu> weights) {
  require_fit(x.size() == weights.size() * dy.size() && dx.size() == x.size() && dweights.size() == weights.size(),
              "depth_average_backward", "dx x dweights weights dy", "dx, x (J, N, d), dweights, weights (J), dy (N, d)", dx, x,
              dweights, weights, dy);
  const std::size_t size = dy.size();
  parallel_for(weights.size(), [&](std::size_t j) {
    T sum(0);
    for (std::size_t i = 0; i < size; ++i) {
      sum += dy.data()[i] * x.data()[j * size + i];
      dx.data()[j * size + i] += weights.data()[j] * dy.data()[i];
    }
    dweights.data()[j] += sum;
  });
}

}  // namespace skipv1
