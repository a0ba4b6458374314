// The residual stream's additions on the device: see add.hpp.
#pragma once

#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one output.
template <class T>
SKIPV1_KERNEL add_first(T* y, const T* a, const T* b, std::size_t size) {
  const std::size_t i = global_thread();
  if (i >= size) return;
  y[i] = static_cast<T>(static_cast<Sum<T>>(a[i]) + static_cast<Sum<T>>(b[i]));
}

struct Add {
  template <class S>
  SKIPV1_DEVICE_MEMBER S operator()(S a, S b) const {
    return a + b;
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: 3 sizeof(T) bytes per element for one addition.
template <class T>
void add(View<T, Device> y, ConstView<T, Device> a, ConstView<T, Device> b, Version version = Version::fast) {
  if (version == Version::fast) return detail::map("add", y, detail::Add{}, a.data(), b.data());
  launch(one_thread_each("add_first", y.size()), detail::add_first<T>, y.data(), a.data(), b.data(), y.size());
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
