// Copying single heads on the device: see head_copy.hpp.
#pragma once

#include "skipv1/ops/head.cuh"
#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One call, one output: `to[b, t, i] = from[b, t, i]`, or `+=` with `WriteMode::accumulate`; n = (b, t).
template <class T>
struct CopyHead {
  Head<T, Device> to;
  Head<const T, Device> from;
  std::size_t positions;
  WriteMode mode;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    const std::size_t t = n % positions, b = n / positions;
    T& out = head_at(to, b, t)[i];
    const T copied = head_at(from, b, t)[i];
    out = mode == WriteMode::accumulate ? static_cast<T>(static_cast<Sum<T>>(out) + static_cast<Sum<T>>(copied)) : copied;
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: 2 sizeof(T) bytes per element, 3 with `WriteMode::accumulate`. One kernel: the first is the
/// fast one.
template <class T>
void copy_head(Head<T, Device> to, ConstHead<T, Device> from, std::size_t batch, std::size_t positions, std::size_t width,
               WriteMode mode = WriteMode::overwrite) {
  detail::for_each_of_rows("copy_head", batch * positions, width, detail::CopyHead<T>{to, from, positions, mode});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
