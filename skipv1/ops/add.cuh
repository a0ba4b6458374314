// The residual stream's additions on the device: see add.hpp.
#pragma once

#include "skipv1/ops/map.cuh"

namespace skipv1 {

namespace detail {
struct Add {
  template <class S>
  SKIPV1_DEVICE_MEMBER S operator()(S a, S b) const {
    return a + b;
  }
};
}  // namespace detail

/// As on the CPU.
template <class T>
void add(View<T, Cuda> y, ConstView<T, Cuda> a, ConstView<T, Cuda> b, Version version = Version::fast) {
  detail::map("add", y, detail::Add{}, version, a.data(), b.data());
}

}  // namespace skipv1
