// DenseFormer's depth-weighted average on the device: see depth_average.hpp.
#pragma once

#include "skipv1/ops/map.cuh"
#include "skipv1/ops/total.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// One call, one output.
template <class T>
struct DepthAverage {
  T* y;
  const T *x, *weights;
  std::size_t size, count;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t i) const {
    Sum<T> sum(0);
    for (std::size_t j = 0; j < count; ++j) sum += static_cast<Sum<T>>(weights[j]) * static_cast<Sum<T>>(x[j * size + i]);
    y[i] = static_cast<T>(sum);
  }
};
template <class T>
struct DepthAverageBackward {
  T* dx;
  const T *dy, *weights;
  std::size_t size;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t at) const {
    const Sum<T> add = static_cast<Sum<T>>(weights[at / size]) * static_cast<Sum<T>>(dy[at % size]);
    dx[at] = static_cast<T>(static_cast<Sum<T>>(dx[at]) + add);
  }
};
template <class T>
struct DepthAverageWeight {
  const T *dy, *x;
  std::size_t size;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t j, std::size_t i) const {
    return static_cast<Sum<T>>(dy[i]) * static_cast<Sum<T>>(x[j * size + i]);
  }
};
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU.
template <class T>
void depth_average_forward(View<T, Device> y, ConstView<T, Device> x, ConstView<T, Device> weights) {
  detail::for_each("depth_average_forward", y.size(),
                   detail::DepthAverage<T>{y.data(), x.data(), weights.data(), y.size(), weights.size()});
}
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
