// Mixing values: ResFormer's `lambda V_l + (1 - lambda) V_0`, and means of two heads (docs/spec/models.md,
// eq. (9); docs/spec/models.md, "Injections").
#pragma once

#include <vector>

#include "skipv1/ops/head.hpp"
#include "skipv1/core/parallel.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `mixed = lambda own + (1 - lambda) first`, over the first w columns of `first`. mixed, own (N, w), first (N, w0), lambda (1).
template <class T>
void value_mix_forward(View<T> mixed, ConstView<T> own, ConstView<T> first, ConstView<T> lambda) {
  for (std::size_t n = 0; n < own.extent(0); ++n)
    for (std::size_t i = 0; i < own.extent(1); ++i) mixed(n, i) = lambda(0u) * own(n, i) + (T(1) - lambda(0u)) * first(n, i);
}

/// `down = lambda dmixed`, `dfirst += (1 - lambda) dmixed`, `dlambda += sum of dmixed (own - first)`. Shapes as forward; down may
/// be dmixed.
template <class T>
void value_mix_backward(View<T> down, View<T> dfirst, View<T> dlambda, ConstView<T> dmixed, ConstView<T> own, ConstView<T> first,
                        ConstView<T> lambda) {
  for (std::size_t n = 0; n < own.extent(0); ++n)
    for (std::size_t i = 0; i < own.extent(1); ++i) {
      const T d = dmixed(n, i);
      down(n, i) = lambda(0u) * d;
      dfirst(n, i) += (T(1) - lambda(0u)) * d;
      dlambda(0u) += d * (own(n, i) - first(n, i));
    }
}

/// `pooled = (first + second) / 2`: the mean of two heads, for `b < batch`, `t < positions`, `i < width`.
template <class T>
void pool_forward(Head<T> pooled, ConstHead<T> first, ConstHead<T> second, std::size_t batch, std::size_t positions,
                  std::size_t width) {
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t t = 0; t < positions; ++t)
      for (std::size_t i = 0; i < width; ++i) pooled.at(b, t)[i] = (first.at(b, t)[i] + second.at(b, t)[i]) / T(2);
}

/// `dfirst += dpooled / 2`, `dsecond += dpooled / 2`. Arguments as forward.
template <class T>
void pool_backward(Head<T> dfirst, Head<T> dsecond, ConstHead<T> dpooled, std::size_t batch, std::size_t positions,
                   std::size_t width) {
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t t = 0; t < positions; ++t)
      for (std::size_t i = 0; i < width; ++i) {
        dfirst.at(b, t)[i] += dpooled.at(b, t)[i] / T(2);
        dsecond.at(b, t)[i] += dpooled.at(b, t)[i] / T(2);
      }
}

}  // namespace reference

/// As `reference::value_mix_forward`; mixed may be own. `w < w0` where a layer owns fewer heads than the first one: head i is
/// mixed with the first layer's head i. Memory bounds it: 3 numbers per element for 3 operations.
template <class T>
void value_mix_forward(View<T, Cpu> mixed, ConstView<T, Cpu> own, ConstView<T, Cpu> first, ConstView<T, Cpu> lambda) {
  require_fit(same_rows(mixed, own) && first.rows() == own.rows() && own.width() <= first.width() && lambda.size() == 1,
              "value_mix_forward", "mixed own first lambda", "mixed, own (N, w), first (N, at least w), lambda (1)", mixed, own,
              first, lambda);
  const std::size_t w = own.width(), w0 = first.width();
  const T a = lambda.data()[0];
  parallel_ranges(own.rows(), 64, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n)
      for (std::size_t i = 0; i < w; ++i)
        mixed.data()[n * w + i] = a * own.data()[n * w + i] + (T(1) - a) * first.data()[n * w0 + i];
  });
}

/// As `reference::value_mix_backward`; down may be dmixed, dlambda may be empty. Memory bounds it: 4 numbers per element, 6 with
/// dlambda.
template <class T>
void value_mix_backward(View<T, Cpu> down, View<T, Cpu> dfirst, View<T, Cpu> dlambda, ConstView<T, Cpu> dmixed,
                        ConstView<T, Cpu> own, ConstView<T, Cpu> first, ConstView<T, Cpu> lambda) {
  require_fit(same_rows(down, dmixed) && same_rows(own, dmixed) && same_rows(dfirst, first) && first.rows() == own.rows() &&
                  own.width() <= first.width() && dlambda.size() <= 1 && lambda.size() == 1,
              "value_mix_backward", "down dmixed own dfirst first dlambda lambda",
              "down, dmixed, own (N, w), dfirst, first (N, at least w), dlambda (1) or none, lambda (1)", down, dmixed, own,
              dfirst, first, dlambda, lambda);
  const std::size_t w = dmixed.width(), w0 = first.width();
  const T a = lambda.data()[0];
  constexpr std::size_t grain = 64;
  std::vector<T> parts((dmixed.rows() + grain - 1) / grain, T(0));  // of dlambda
  parallel_ranges(dmixed.rows(), grain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      for (std::size_t i = 0; i < w; ++i) {
        const T d = dmixed.data()[n * w + i];
        if (!dlambda.empty()) parts[begin / grain] += d * (own.data()[n * w + i] - first.data()[n * w0 + i]);
        dfirst.data()[n * w0 + i] += (T(1) - a) * d;
        down.data()[n * w + i] = a * d;
      }
    }
  });
  if (!dlambda.empty())
    for (T part : parts) dlambda.data()[0] += part;
}

/// As `reference::pool_forward`, one thread per sequence.
template <class T>
void pool_forward(Head<T, Cpu> pooled, ConstHead<T, Cpu> first, ConstHead<T, Cpu> second, std::size_t batch,
                  std::size_t positions, std::size_t width) {
  parallel_for(batch, [&](std::size_t b) {
    const auto of = [b](auto head) { return decltype(head){head.at(b, 0), 0, head.row_stride}; };  // sequence b alone
    reference::pool_forward(of(pooled), of(first), of(second), 1, positions, width);
  });
}

/// As `reference::pool_backward`, one thread per sequence.
template <class T>
void pool_backward(Head<T, Cpu> dfirst, Head<T, Cpu> dsecond, ConstHead<T, Cpu> dpooled, std::size_t batch, std::size_t positions,
                   std::size_t width) {
  parallel_for(batch, [&](std::size_t b) {
    const auto of = [b](auto head) { return decltype(head){head.at(b, 0), 0, head.row_stride}; };
    reference::pool_backward(of(dfirst), of(dsecond), of(dpooled), 1, positions, width);
  });
}

}  // namespace skipv1
