// Copying single heads: MLA puts its keys together from a content part and the shared rotary part.
#pragma once

#include "skipv1/ops/head.hpp"
#include "skipv1/core/parallel.hpp"

namespace skipv1 {

namespace reference {

/// `to[b, t, i] = from[b, t, i]`, or `to[b, t, i] += from[b, t, i]` with `WriteMode::accumulate`, for `b < batch`, `t <
/// positions`, `i < width`.
template <class T>
void copy_head(Head<T> to, ConstHead<T> from, std::size_t batch, std::size_t positions, std::size_t width,
               WriteMode mode = WriteMode::overwrite) {
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t t = 0; t < positions; ++t)
      for (std::size_t i = 0; i < width; ++i) {
        const T before = to.at(b, t)[i], copied = from.at(b, t)[i];
        to.at(b, t)[i] = mode == WriteMode::accumulate ? before + copied : copied;
      }
}

}  // namespace reference

/// As `reference::copy_head`, one thread per sequence.
template <class T>
void copy_head(Head<T, Cpu> to, ConstHead<T, Cpu> from, std::size_t batch, std::size_t positions, std::size_t width,
               WriteMode mode = WriteMode::overwrite) {
  parallel_for(batch, [&](std::size_t b) {
    for (std::size_t t = 0; t < positions; ++t) {
      T* out = to.at(b, t);
      const T* in = from.at(b, t);
      for (std::size_t i = 0; i < width; ++i) out[i] = mode == WriteMode::accumulate ? out[i] + in[i] : in[i];
    }
  });
}

}  // namespace skipv1
