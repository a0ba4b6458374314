// Mixing values on the device: see value_mix.hpp.
#pragma once

#include "skipv1/ops/head.hpp"
#include "skipv1/ops/map.cuh"
#include "skipv1/ops/total.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// One call, one output.
template <class T>
struct ValueMix {
  T* mixed;
  const T *own, *first, *lambda;
  std::size_t w, w0;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const std::size_t at = n * w + i;
    const S a = static_cast<S>(lambda[0]), other = static_cast<S>(first[n * w0 + i]);
    mixed[at] = static_cast<T>(a * static_cast<S>(own[at]) + (S(1) - a) * other);
  }
};
template <class T>
struct ValueMixBackward {
  T *down, *dfirst;
  const T *dmixed, *lambda;
  std::size_t w, w0;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const std::size_t at = n * w + i;
    const S a = static_cast<S>(lambda[0]), d = static_cast<S>(dmixed[at]);
    T& other = dfirst[n * w0 + i];
    other = static_cast<T>(static_cast<S>(other) + (S(1) - a) * d);
    down[at] = static_cast<T>(a * d);
  }
};
template <class T>
struct ValueMixLambda {
  const T *dmixed, *own, *first;
  std::size_t w, w0;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t, std::size_t at) const {
    using S = Sum<T>;
    return static_cast<S>(dmixed[at]) * (static_cast<S>(own[at]) - static_cast<S>(first[at / w * w0 + at % w]));
  }
};
template <class T>
struct Pool {
  Head<T, Device> pooled;
  Head<const T, Device> first, second;
  std::size_t positions;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const std::size_t t = n % positions, b = n / positions;
    const S a = static_cast<S>(first.data[b * first.batch_stride + t * first.row_stride + i]);
    const S c = static_cast<S>(second.data[b * second.batch_stride + t * second.row_stride + i]);
    pooled.data[b * pooled.batch_stride + t * pooled.row_stride + i] = static_cast<T>((a + c) / S(2));
  }
};
template <class T>
struct PoolBackward {
  Head<T, Device> dfirst, dsecond;
  Head<const T, Device> dpooled;
  std::size_t positions;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    using S = Sum<T>;
    const std::size_t t = n % positions, b = n / positions;
    const S half = static_cast<S>(dpooled.data[b * dpooled.batch_stride + t * dpooled.row_stride + i]) / S(2);
    T& a = dfirst.data[b * dfirst.batch_stride + t * dfirst.row_stride + i];
    a = static_cast<T>(static_cast<S>(a) + half);
    T& c = dsecond.data[b * dsecond.batch_stride + t * dsecond.row_stride + i];
    c = static_cast<T>(static_cast<S>(c) + half);
  }
};
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU.
template <class T>
void value_mix_forward(View<T, Device> mixed, ConstView<T, Device> own, ConstView<T, Device> first, ConstView<T, Device> lambda) {
  detail::for_each_of_rows(
      "value_mix_forward", own.rows(), own.width(),
      detail::ValueMix<T>{mixed.data(), own.data(), first.data(), lambda.data(), own.width(), first.width()});
}
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
template <class T>
void pool_forward(Head<T, Device> pooled, ConstHead<T, Device> first, ConstHead<T, Device> second, std::size_t batch,
                  std::size_t positions, std::size_t width) {
  detail::for_each_of_rows("pool_forward", batch * positions, width, detail::Pool<T>{pooled, first, second, positions});
}
template <class T>
void pool_backward(Head<T, Device> dfirst, Head<T, Device> dsecond, ConstHead<T, Device> dpooled, std::size_t batch,
                   std::size_t positions, std::size_t width) {
  detail::for_each_of_rows("pool_backward", batch * positions, width,
                           detail::PoolBackward<T>{dfirst, dsecond, dpooled, positions});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
