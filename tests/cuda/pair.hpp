// Holds an operation on the device to its reference in double on the host.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/device/memory.cuh"
#include "skipv1/ops/head.hpp"
#include "tests/catch.hpp"

namespace skipv1::test {

/// What each operation is tested in.
#if defined(SKIPV1_ONE_SCALAR)  // sanitized: every scalar goes through the same accesses
using Scalars = std::tuple<bfloat16>;
#elif defined(SKIPV1_FEWER_SCALARS)
using Scalars = std::tuple<float, bfloat16>;
#else
using Scalars = std::tuple<float, double, bfloat16>;
#endif

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

/// Lengths of element-wise operations.
inline constexpr std::size_t lengths[] = {1, 3, 7, 31, 33, 63, 64, 65, 127, 129, 1000, 1024};

/// Rows, width, and width after.
using ProductShapes = std::vector<std::array<std::size_t, 3>>;
/// Adds GPT-2's shape to those of the fast version on a card: cuBLASLt takes it in one pass.
inline void add_large([[maybe_unused]] ProductShapes& shapes, [[maybe_unused]] Version version) {
#if defined(__CUDACC__)
  if (version == Version::fast) shapes.push_back({1024, 768, 3072});
#endif
}

/// Whether the plain loops would take minutes. The CPU's GEMM, which tests/ops hold to them, then stands in for them.
inline bool is_large(const std::array<std::size_t, 3>& shape) { return shape[0] * shape[1] * shape[2] > std::size_t{1} << 24; }

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
/// Standard normal, times `scale`. Drawing takes longer than most kernels: behind a prime number of them, which is no row's
/// length, they begin again.
template <class T>
Both<T> normal(Shape shape, Random& random, double scale = 1) {
  constexpr std::size_t drawn = 8191;
  Tensor<double> x(shape);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = i < drawn ? scale * random.normal() : x.data()[i - drawn];
  return both<T>(std::move(x));
}
/// An output: NaN on the device, so that what a kernel leaves out is seen.
template <class T>
Both<T> unwritten(Shape shape) {
  Tensor<double> x(shape);
  std::fill_n(x.data(), x.size(), std::nan(""));
  return both<T>(std::move(x));
}
/// Two arrays of 64 with NaN and infinities among their numbers.
template <class T>
std::pair<Both<T>, Both<T>> not_finite(Random& random) {
  auto a = normal<T>({64}, random), b = normal<T>({64}, random);
  a.host(3) = std::nan(""), a.host(17) = HUGE_VAL, b.host(30) = -HUGE_VAL, b.host(17) = -HUGE_VAL;
  return {both<T>(a.host), both<T>(b.host)};
}
/// Three heads beside each other: (batch, positions, 3 width).
template <class T>
struct ThreeHeads {
  std::size_t positions, width;
  Both<T> all;

  ThreeHeads(std::size_t batch, std::size_t p, std::size_t w, Random& random)
      : positions(p), width(w), all(normal<T>({batch, p, 3 * w}, random)) {}
  Head<double> host(std::size_t h) { return {all.host.data() + h * width, positions * 3 * width, 3 * width}; }
  Head<T, Device> device(std::size_t h) { return {all.device.data() + h * width, positions * 3 * width, 3 * width}; }
};

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
