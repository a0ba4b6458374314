// One key or value head on the device: see head.hpp.
#pragma once

#include "skipv1/kernel/launch.cuh"
#include "skipv1/ops/head.hpp"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Entry (b, t) of a head, as `Head::at`.
template <class T>
SKIPV1_DEVICE T* head_at(const Head<T, Device>& head, std::size_t b, std::size_t t) {
  return head.data + b * head.batch_stride + t * head.row_stride;
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
