// What the tests share: seeded tensors, errors against doubles, and central differences.
#pragma once

#include <cmath>
#include <limits>
#include <string>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/random.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1::test {

/// Shapes at which blocked and vectorised loops go wrong: one row, width one, a block and one more or less.
struct Size {
  std::size_t rows, width;
};
inline constexpr Size sizes[] = {{1, 1}, {3, 1}, {1, 63}, {3, 64}, {65, 3}, {33, 65}, {2, 127}};

/// Normal numbers of standard deviation `sigma`, rounded to float, so that a float and a double tensor of one seed are equal.
template <class T>
Tensor<T> draw(Shape shape, std::uint64_t seed, double sigma = 1) {
  Tensor<T> x(shape);
  Random random(seed);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(static_cast<float>(sigma * random.normal()));
  return x;
}

template <class T>
Tensor<T> filled(Shape shape, T value) {
  Tensor<T> x(shape);
  std::fill_n(x.data(), x.size(), value);
  return x;
}
/// For outputs: a number that nobody has written shows.
template <class T>
Tensor<T> poisoned(Shape shape) {
  return filled<T>(shape, std::numeric_limits<T>::quiet_NaN());
}

/// `x` in double.
template <class T>
Tensor<double> wide(View<T> x) {
  Tensor<double> y(x.shape());
  for (std::size_t i = 0; i < x.size(); ++i) y.data()[i] = static_cast<double>(x.data()[i]);
  return y;
}

/// x (d) plus the sums over rows of y (N, d).
inline Tensor<double> plus_row_sums(Tensor<double> x, const Tensor<double>& y) {
  for (std::size_t n = 0; n < y.rows(); ++n)
    for (std::size_t i = 0; i < y.width(); ++i) x(i) += y(n, i);
  return x;
}

/// `after - before`: what a call has added.
inline Tensor<double> added(View<const double> after, View<const double> before) {
  Tensor<double> y(after.shape());
  for (std::size_t i = 0; i < y.size(); ++i) y.data()[i] = after.data()[i] - before.data()[i];
  return y;
}

inline double dot(View<const double> a, View<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a.data()[i] * b.data()[i];
  return sum;
}

template <class T>
double largest(View<T> x) {
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(static_cast<double>(x.data()[i])));
  return most;
}

/// `max |actual - expected| / max |expected|`; infinite where one of them is not finite, or their shapes differ.
template <class T>
double error(View<T> actual, View<const double> expected) {
  if (!(actual.shape() == expected.shape())) return std::numeric_limits<double>::infinity();
  double most = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double e = std::abs(static_cast<double>(actual.data()[i]) - expected.data()[i]);
    if (!std::isfinite(e)) return std::numeric_limits<double>::infinity();
    most = std::max(most, e);
  }
  return most / std::max(largest(expected), 1e-30);
}

template <class T>
double error(const Tensor<T>& actual, View<const double> expected) {
  return error(View<T>(actual), expected);
}

/// What rounding may cost in a sum of a hundred or so, in terms of `error`.
template <class T>
constexpr double rounding = 64 * static_cast<double>(std::numeric_limits<T>::epsilon());

/// Whether two tensors are equal to the bit (NaN equals itself).
template <class T>
bool same_bits(View<T> a, ConstView<T> b) {
  const auto bytes = [](ConstView<T> x) { return reinterpret_cast<const unsigned char*>(x.data()); };
  return a.shape() == b.shape() && std::equal(bytes(a), bytes(a) + a.size() * sizeof(T), bytes(b));
}
template <class T>
bool same_bits(const Tensor<T>& a, ConstView<T> b) {
  return same_bits(View<T>(a), b);
}

/// The error of `gradient` against central differences (of fourth order) of `f` in x: at most 40 of its entries, drawn.
template <class F>
double gradient_error(View<double> x, View<const double> gradient, const F& f, double step = 1e-3) {
  if (!(x.shape() == gradient.shape())) return std::numeric_limits<double>::infinity();
  constexpr std::size_t most = 40;
  Random random(x.size());
  double worst = 0;
  for (std::size_t repeat = 0; repeat < std::min(x.size(), most); ++repeat) {
    const std::size_t i = x.size() <= most ? repeat : random.below(x.size());
    const double kept = x.data()[i];
    const auto at = [&](double shift) {
      x.data()[i] = kept + shift;
      return f();
    };
    const double near = (at(step) - at(-step)) / (2 * step), far = (at(2 * step) - at(-2 * step)) / (4 * step);
    x.data()[i] = kept;
    const double e = std::abs((4 * near - far) / 3 - gradient.data()[i]);
    if (!std::isfinite(e)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, e);
  }
  return worst / std::max(largest(gradient), 1e-2);
}
inline constexpr double gradient_bound = 1e-9;

/// Runs `f` with one, two and three threads and says whether its results, a tensor each, are equal to the bit.
template <class F>
bool thread_invariant(const F& f) {
  const int before = threads();
  set_threads(1);
  const auto one = f();
  bool same = true;
  for (int n : {2, 3}) {
    set_threads(n);
    const auto several = f();
    same = same && same_bits(View(one), View(several));
  }
  set_threads(before);
  return same;
}

/// The message of the `Error` that `f` throws; empty if it throws none.
template <class F>
std::string message(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace skipv1::test
