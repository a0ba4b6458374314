// The residual stream's additions on the device: see add.hpp.
#pragma once

#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
struct Add {
  template <class S>
  SKIPV1_DEVICE_MEMBER S operator()(S a, S b) const {
    return a + b;
  }
};
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU.
template <class T>
void add(View<T, Device> y, ConstView<T, Device> a, ConstView<T, Device> b, Version version = Version::fast) {
  detail::map("add", y, detail::Add{}, version, a.data(), b.data());
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
