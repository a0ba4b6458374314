// Holding an operation on the device to its CPU form in double.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/device/memory.cuh"
#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"

namespace skipv1::test {

inline constexpr std::size_t awkward[] = {1, 3, 7, 31, 33, 63, 65, 127, 129};
inline constexpr std::size_t widths[] = {1,  3,  7,   31,  33, 63,
                                         64, 65, 127, 129, 256};  ///< some of which are read 16 bytes at a time

/// Every awkward row count and every width, but not every pair of them.
inline std::vector<std::pair<std::size_t, std::size_t>> row_shapes() {
  std::vector<std::pair<std::size_t, std::size_t>> shapes;
  for (std::size_t rows : awkward)
    for (std::size_t d : widths)
      if (rows <= 3 || rows % d == 0 || rows == 65) shapes.emplace_back(rows, d);
  return shapes;
}

/// Numbers on the device, and the same numbers in double on the host.
template <class T>
struct Both {
  Tensor<double> host;
  Tensor<T, Device> device;

  operator View<T, Device>() const { return device; }
  operator View<const T, Device>() const { return View<T, Device>(device); }
};

template <class T>
Tensor<T> rounded(const Tensor<double>& x) {
  Tensor<T> y(x.shape());
  for (std::size_t i = 0; i < x.size(); ++i) y.data()[i] = static_cast<T>(x.data()[i]);
  return y;
}
/// Gives both sides the values of `x`, rounded to T.
template <class T>
Both<T> both(Tensor<double> x) {
  const Tensor<T> y = rounded<T>(x);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<double>(y.data()[i]);
  return {std::move(x), to_device<T>(y)};
}
/// Standard normal, times `scale`.
template <class T>
Both<T> normal(Shape shape, Random& random, double scale = 1) {
  Tensor<double> x(shape);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = scale * random.normal();
  return both<T>(std::move(x));
}
/// An output: NaN on the device, so that what a kernel leaves out is seen.
template <class T>
Both<T> unwritten(Shape shape) {
  Tensor<double> x(shape);
  std::fill_n(x.data(), x.size(), std::nan(""));
  return both<T>(std::move(x));
}
/// Whole numbers in `0 … limit - 1`, on both sides.
struct Numbers {
  Tensor<std::int32_t> host;
  Tensor<std::int32_t, Device> device;
};
inline Numbers numbers(std::size_t count, std::size_t limit, Random& random) {
  Tensor<std::int32_t> x({count});
  for (std::size_t i = 0; i < count; ++i) x.data()[i] = static_cast<std::int32_t>(random.below(limit));
  Tensor<std::int32_t, Device> y = to_device<std::int32_t>(x);
  return {std::move(x), std::move(y)};
}

/// The error that rounding alone explains, relative to the norm: of numbers stored as T and summed as Sum<T>.
template <class T>
inline constexpr double bound = std::is_same_v<T, double>  ? 1e-13
                                : std::is_same_v<T, float> ? 2e-6
                                                           : 8e-3;

/// The largest error of each function and type; the file that SKIPV1_ERRORS names gets them at the end, a line each:
/// docs/performance/pairs.md.
class Errors {
 public:
  static Errors& all() {
    static Errors errors;
    return errors;
  }
  void add(const std::string& function, const char* dtype, double error) {
    double& most = most_[{function, dtype}];
    most = std::max(most, error);
  }
  ~Errors() {
    const char* path = std::getenv("SKIPV1_ERRORS");
    if (!path) return;
    std::ofstream out(path);
    out << std::setprecision(2);
    for (const auto& [key, error] : most_) out << key.first << ' ' << key.second << ' ' << error << '\n';
  }

 private:
  std::map<std::pair<std::string, std::string>, double> most_;
};
template <class T>
inline constexpr const char* dtype_name = std::is_same_v<T, double>  ? "f64"
                                          : std::is_same_v<T, float> ? "f32"
                                                                     : "bf16";

/// Compares what the device holds with the host's: first which numbers are finite, then the error's norm over that of the truth,
/// then the cosine. `what`: the function, then which of its outputs. `terms`: the size of what is summed for one number, where it
/// may cancel.
template <class T>
void check_close(const char* what, const Both<T>& x, double most = bound<T>, double terms = 0) {
  const Tensor<T> device = to_host<T>(x.device);
  double error = 0, norm = 0, device_norm = 0, dot = 0;
  for (std::size_t i = 0; i < device.size(); ++i) {
    const double got = static_cast<double>(device.data()[i]), want = x.host.data()[i];
    if (!std::isfinite(got) || !std::isfinite(want)) {
      if (got == want || (std::isnan(got) && std::isnan(want))) continue;
      FAIL(what << " " << x.host.shape() << ", element " << i << ": device " << got << ", host " << want);
    }
    error += (got - want) * (got - want);
    norm += want * want;
    device_norm += got * got;
    dot += got * want;
  }
  INFO(what << " " << x.host.shape() << ": error " << std::sqrt(error) << " of norm " << std::sqrt(norm));
  const double size = terms * std::sqrt(static_cast<double>(x.host.size()));
  if (norm > 0) {
    const std::string text = what;
    Errors::all().add(text.substr(0, text.find(' ')), dtype_name<T>, std::sqrt(error) / (std::sqrt(norm) + size));
  }
  REQUIRE(std::sqrt(error) <= most * (std::sqrt(norm) + size));
  if (std::sqrt(norm) > size) REQUIRE(dot >= (1 - most - 1e-15) * std::sqrt(norm) * std::sqrt(device_norm));
}

}  // namespace skipv1::test
