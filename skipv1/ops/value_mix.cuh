// Mixing values on the device: see value_mix.hpp.
#pragma once

#include "skipv1/ops/head.cuh"
#include "skipv1/ops/map.cuh"
#include "skipv1/ops/total.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One call, one output: `mixed[n, i] = lambda own[n, i] + (1 - lambda) first[n, i]`.
template <class T>
struct ValueMix {
  T* mixed;
  const T *own, *first, *lambda;
  std::size_t w, w0;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const S a = static_cast<S>(lambda[0]);
    mixed[n * w + i] = static_cast<T>(a * static_cast<S>(own[n * w + i]) + (S(1) - a) * static_cast<S>(first[n * w0 + i]));
  }
};
/// One call, one element: `down[n, i] = lambda dmixed[n, i]`, `dfirst[n, i] += (1 - lambda) dmixed[n, i]`.
template <class T>
struct ValueMixBackward {
  T *down, *dfirst;
  const T *dmixed, *lambda;
  std::size_t w, w0;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const S a = static_cast<S>(lambda[0]), d = static_cast<S>(dmixed[n * w + i]);
    dfirst[n * w0 + i] = static_cast<T>(static_cast<S>(dfirst[n * w0 + i]) + (S(1) - a) * d);
    down[n * w + i] = static_cast<T>(a * d);
  }
};
/// A term of dlambda: `dmixed[n, i] (own[n, i] - first[n, i])`, at = (n, i).
template <class T>
struct ValueMixLambda {
  const T *dmixed, *own, *first;
  std::size_t w, w0;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t, std::size_t at) const {
    using S = Sum<T>;
    const std::size_t n = at / w, i = at % w;
    return static_cast<S>(dmixed[at]) * (static_cast<S>(own[at]) - static_cast<S>(first[n * w0 + i]));
  }
};
/// One call, one output: `pooled[b, t, i] = (first[b, t, i] + second[b, t, i]) / 2`; n = (b, t).
template <class T>
struct Pool {
  Head<T, Device> pooled;
  Head<const T, Device> first, second;
  std::size_t positions;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const std::size_t t = n % positions, b = n / positions;
    head_at(pooled, b, t)[i] =
        static_cast<T>((static_cast<S>(head_at(first, b, t)[i]) + static_cast<S>(head_at(second, b, t)[i])) / S(2));
  }
};
/// One call, one element: `dfirst[b, t, i] += dpooled[b, t, i] / 2`, and dsecond likewise; n = (b, t).
template <class T>
struct PoolBackward {
  Head<T, Device> dfirst, dsecond;
  Head<const T, Device> dpooled;
  std::size_t positions;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const std::size_t t = n % positions, b = n / positions;
    const S half = static_cast<S>(head_at(dpooled, b, t)[i]) / S(2);
    T &first = head_at(dfirst, b, t)[i], &second = head_at(dsecond, b, t)[i];
    first = static_cast<T>(static_cast<S>(first) + half);
    second = static_cast<T>(static_cast<S>(second) + half);
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: 3 sizeof(T) bytes per element for 3 operations. One kernel: the first is the fast one.
template <class T>
void value_mix_forward(View<T, Device> mixed, ConstView<T, Device> own, ConstView<T, Device> first, ConstView<T, Device> lambda) {
  detail::for_each_of_rows(
      "value_mix_forward", own.rows(), own.width(),
      detail::ValueMix<T>{mixed.data(), own.data(), first.data(), lambda.data(), own.width(), first.width()});
}
/// As on the CPU. Memory bounds it: 4 sizeof(T) bytes per element, and 3 more for dlambda.
template <class T>
void value_mix_backward(View<T, Device> down, View<T, Device> dfirst, View<T, Device> dlambda, ConstView<T, Device> dmixed,
                        ConstView<T, Device> own, ConstView<T, Device> first, ConstView<T, Device> lambda) {
  const std::size_t w = dmixed.width(), w0 = first.width();
  if (!dlambda.empty()) {  // first, since dmixed may be overwritten below
    detail::total<Sum<T>>("value_mix_backward_lambda", dlambda.data(), 1, dmixed.size(),
                          detail::ValueMixLambda<T>{dmixed.data(), own.data(), first.data(), w, w0});
  }
  detail::for_each_of_rows("value_mix_backward", dmixed.rows(), w,
                           detail::ValueMixBackward<T>{down.data(), dfirst.data(), dmixed.data(), lambda.data(), w, w0});
}
/// As on the CPU. Memory bounds it: 3 sizeof(T) bytes per element.
template <class T>
void pool_forward(Head<T, Device> pooled, ConstHead<T, Device> first, ConstHead<T, Device> second, std::size_t batch,
                  std::size_t positions, std::size_t width) {
  detail::for_each_of_rows("pool_forward", batch * positions, width, detail::Pool<T>{pooled, first, second, positions});
}
/// As on the CPU. Memory bounds it: 5 sizeof(T) bytes per element.
template <class T>
void pool_backward(Head<T, Device> dfirst, Head<T, Device> dsecond, ConstHead<T, Device> dpooled, std::size_t batch,
                   std::size_t positions, std::size_t width) {
  detail::for_each_of_rows("pool_backward", batch * positions, width,
                           detail::PoolBackward<T>{dfirst, dsecond, dpooled, positions});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
