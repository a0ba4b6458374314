// Copying single heads: MLA puts its keys together from a content part and the shared rotary part.
#pragma once

#include "skipv1/ops/head.hpp"
#include "skipv1/core/parallel.hpp"

namespace skipv1 {

/// `to[b, t] = from[b, t]`, or `to[b, t] += from[b, t]` where `add` says so, `width` elements each, for `t < positions`, `b <
/// batch`.
template <class T>
void copy_head(Head<T, Cpu> to, ConstHead<T, Cpu> from, std::size_t batch, std::size_t positions, std::size_t width,
               bool add = false) {
  parallel_for(batch, [&](std::size_t b) {
    for (std::size_t t = 0; t < positions; ++t) {
      T* out = to.at(b, t);
      const T* in = from.at(b, t);
      for (std::size_t i = 0; i < width; ++i) out[i] = add ? out[i] + in[i] : in[i];
    }
  });
}

}  // namespace skipv1
