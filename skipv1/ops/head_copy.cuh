// Copying single heads on the device: see head_copy.hpp.
#pragma once

#include "skipv1/ops/head.hpp"
#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// One call, one output.
template <class T>
struct CopyHead {
  Head<T, Device> to;
  Head<const T, Device> from;
  std::size_t positions;
  bool add;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    const std::size_t t = n % positions, b = n / positions;
    T& out = to.data[b * to.batch_stride + t * to.row_stride + i];
    const T in = from.data[b * from.batch_stride + t * from.row_stride + i];
    out = add ? static_cast<T>(static_cast<Sum<T>>(out) + static_cast<Sum<T>>(in)) : in;
  }
};
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU.
template <class T>
void copy_head(Head<T, Device> to, ConstHead<T, Device> from, std::size_t batch, std::size_t positions, std::size_t width,
               bool add = false) {
  detail::for_each_of_rows("copy_head", batch * positions, width, detail::CopyHead<T>{to, from, positions, add});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
