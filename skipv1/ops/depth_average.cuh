// DenseFormer's depth-weighted average on the device: see depth_average.hpp.
#pragma once

#include "skipv1/ops/map.cuh"
#include "skipv1/ops/total.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One call, one output: `y[at] = sum over j of weights[j] x[j, at]`, at = (n, i).
template <class T>
struct DepthAverage {
  T* y;
  const T *x, *weights;
  std::size_t size, count;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t at) const {
    using S = Sum<T>;
    S sum(0);
    for (std::size_t j = 0; j < count; ++j) sum += static_cast<S>(weights[j]) * static_cast<S>(x[j * size + at]);
    y[at] = static_cast<T>(sum);
  }
};
/// One call, one output: `dx[j, at] += weights[j] dy[at]`.
template <class T>
struct DepthAverageBackward {
  T* dx;
  const T *dy, *weights;
  std::size_t size;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t j_at) const {
    using S = Sum<T>;
    const std::size_t j = j_at / size, at = j_at % size;
    dx[j_at] = static_cast<T>(static_cast<S>(dx[j_at]) + static_cast<S>(weights[j]) * static_cast<S>(dy[at]));
  }
};
/// A term of `dweights[j]`: `dy[at] x[j, at]`.
template <class T>
struct DepthAverageWeight {
  const T *dy, *x;
  std::size_t size;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t j, std::size_t at) const {
    return static_cast<Sum<T>>(dy[at]) * static_cast<Sum<T>>(x[j * size + at]);
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: J + 1 numbers per output for 2 J operations. One kernel: the first is the fast one.
template <class T>
void depth_average_forward(View<T, Device> y, ConstView<T, Device> x, ConstView<T, Device> weights) {
  detail::for_each("depth_average_forward", y.size(),
                   detail::DepthAverage<T>{y.data(), x.data(), weights.data(), y.size(), weights.size()});
}
/// As on the CPU. Memory bounds it: dx 2 J numbers per element of dy, then x and dy once more for dweights.
template <class T>
void depth_average_backward(View<T, Device> dx, View<T, Device> dweights, ConstView<T, Device> dy, ConstView<T, Device> x,
                            ConstView<T, Device> weights) {
  const std::size_t size = dy.size(), count = weights.size();
  detail::for_each("depth_average_backward", count * size,
                   detail::DepthAverageBackward<T>{dx.data(), dy.data(), weights.data(), size});
  detail::total<Sum<T>>("depth_average_backward_weights", dweights.data(), count, size,
                        detail::DepthAverageWeight<T>{dy.data(), x.data(), size});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
