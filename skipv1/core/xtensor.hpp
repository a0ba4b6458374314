// Tensors as xtensor's arrays and back, for who computes with its expressions. Nothing else here needs xtensor.
#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)  // (0.26 moved them)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include <vector>

#include "skipv1/core/tensor.hpp"

namespace skipv1 {

/// The elements of `x` where they lie, as an xtensor expression; `x`'s owner outlives it.
template <class T>
auto as_xtensor(const View<T, Cpu>& x) {
  return xt::adapt(x.data(), x.size(), xt::no_ownership(), std::vector<std::size_t>(x.shape().begin(), x.shape().end()));
}

/// A tensor with the elements of an xtensor array; throws if that has more than four dimensions.
template <class T>
Tensor<T> from_xtensor(const xt::xarray<T>& array) {
  Tensor<T> x(Shape(array.shape().begin(), array.shape().end()));
  std::copy_n(array.data(), x.size(), x.data());
  return x;
}

}  // namespace skipv1
