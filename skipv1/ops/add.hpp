// The residual stream's additions.
#pragma once

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `y = a + b`, element by element. y, a, b of one shape. Backwards, `da += dy` and `db += dy`.
template <class T>
void add(View<T> y, ConstView<T> a, ConstView<T> b) {
  for (std::size_t i = 0; i < y.size(); ++i) y.data()[i] = a.data()[i] + b.data()[i];
}

}  // namespace reference

/// `y = a + b`, element by element. y, a, b of one shape; y may be a or b.
template <class T>
void add(View<T, Cpu> y, ConstView<T, Cpu> a, ConstView<T, Cpu> b) {
  require_fit(y.size() == a.size() && y.size() == b.size(), "add", "y a b", "y, a, b of one shape", y, a, b);
  parallel_ranges(y.size(), 1 << 15, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) y.data()[i] = a.data()[i] + b.data()[i];
  });
}

}  // namespace skipv1
