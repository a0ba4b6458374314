// RMSNorm's pair: the CPU function and its kernels give the same numbers; what bounds their speed; on a card, what they
// reach. Compiled by a host compiler the kernels run in the emulator, by nvcc on the card: README.md.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/ops/rms_norm.cuh"
#include "skipv1/ops/rms_norm.hpp"

using namespace skipv1;

namespace {

constexpr double epsilon = 1e-5;

template <class T>
Tensor<T> drawn(Shape shape, Random& random) {
  Tensor<T> x(shape);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(static_cast<float>(random.normal()));
  return x;
}

/// Between the first kernel and the fast one: one warp, one row, which it reads twice. float alone, d a multiple of 4.
SKIPV1_KERNEL one_warp_one_row(float* y, float* inverse_rms, const float* x, const float* weight, std::size_t rows, std::size_t d,
                               float eps) {
  const std::size_t n = global_thread() / warp_size;
  if (n >= rows) return;
  float square = 0;
  for (std::size_t i = lane() * 4; i < d; i += warp_size * 4) {
    const Vector<float, 4> v = load_vector<4>(x + n * d + i);
    for (std::size_t j = 0; j < 4; ++j) square += v[j] * v[j];
  }
  const float r = 1 / std::sqrt(warp_sum(square) / static_cast<float>(d) + eps);
  for (std::size_t i = lane() * 4; i < d; i += warp_size * 4) {
    Vector<float, 4> v = load_vector<4>(x + n * d + i);
    const Vector<float, 4> w = load_vector<4>(weight + i);
    for (std::size_t j = 0; j < 4; ++j) v[j] *= r * w[j];
    store_vector(y + n * d + i, v);
  }
  if (lane() == 0) inverse_rms[n] = r;
}

/// The power of ten above (1e-6 at least) the largest error of y, relative to the largest number of the truth.
double error_below(View<const float> y, View<const double> truth) {
  double error = 0, most = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(y.data()[i]) - truth.data()[i]));
    most = std::max(most, std::abs(truth.data()[i]));
  }
  return std::max(1e-6, std::pow(10, std::ceil(std::log10(error / most))));  // how a machine rounds is its own affair
}

/// The forward pass of (rows, d) numbers on the device, by the kernel of that name: "first", "middle" (one_warp_one_row), "fast".
template <class T>
void forward(const std::string& kernel, View<T, Device> y, View<Sum<T>, Device> r, View<T, Device> x, View<T, Device> weight) {
  if constexpr (std::is_same_v<T, float>) {
    if (kernel == "middle") {
      return launch({"one_warp_one_row", ceil_div(x.rows(), 4), 128}, one_warp_one_row, y.data(), r.data(), x.data(),
                    weight.data(), x.rows(), x.width(), epsilon);
    }
  }
  rms_norm_forward<T>(y, r, x, weight, epsilon, kernel == "first" ? Version::first : Version::fast);
}

/// All on the same numbers, (rows, d), against the reference in double.
void compare(std::size_t rows, std::size_t d) {
  Random random(1);
  const Tensor<float> x = drawn<float>({rows, d}, random), weight = drawn<float>({d}, random);
  Tensor<double> x64({rows, d}), weight64({d}), truth({rows, d}), r64({rows});
  std::copy_n(x.data(), x.size(), x64.data());
  std::copy_n(weight.data(), d, weight64.data());
  reference::rms_norm_forward<double>(truth, r64, x64, weight64, epsilon);

  Tensor<float> y({rows, d}), r({rows});
  rms_norm_forward<float>(y, r, x, weight, epsilon);
  std::printf("(%zu, %zu): errors below %.0e on the CPU", rows, d, error_below(y, truth));
  const Tensor<float, Device> x_on = to_device<float>(x), weight_on = to_device<float>(weight);
  for (const char* kernel : {"first", "middle", "fast"}) {
    if (kernel == std::string("middle") && d % 4 != 0) continue;
    const Tensor<float, Device> y_on({rows, d}), r_on({rows});
    forward<float>(kernel, y_on, r_on, x_on, weight_on);
    std::printf(", %.0e %s", error_below(to_host<float>(y_on), truth), kernel);
  }
  std::printf("\n");
}

/// What must be moved and done for (rows, d) numbers of `size` bytes, on a card with these bytes and operations per second.
void predict(const char* type, double rows, double d, double size, double bandwidth, double operations) {
  const double bytes = 2 * rows * d * size, work = 4 * rows * d;
  std::printf("%s: %.1f MB in and out, %.1f million operations: %.1f us of memory, %.1f us of arithmetic\n", type, bytes * 1e-6,
              work * 1e-6, bytes / bandwidth * 1e6, work / operations * 1e6);
}

#if defined(__CUDACC__)
/// Seconds of one call, the median of 20 after 3 to warm up.
template <class F>
double seconds(const F& f) {
  cudaEvent_t begin, end;
  check_cuda(cudaEventCreate(&begin), "cudaEventCreate");
  check_cuda(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<float> times;
  for (int i = 0; i < 23; ++i) {
    cudaEventRecord(begin);
    f();
    cudaEventRecord(end);
    check_cuda(cudaEventSynchronize(end), "cudaEventSynchronize");
    float ms = 0;
    cudaEventElapsedTime(&ms, begin, end);
    if (i >= 3) times.push_back(ms);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::nth_element(times.begin(), times.begin() + 10, times.end());
  return times[10] * 1e-3;
}

template <class T>
void measure(const char* type, std::size_t rows, std::size_t d) {
  Random random(2);
  const Tensor<T, Device> x = to_device<T>(drawn<T>({rows, d}, random)), weight = to_device<T>(drawn<T>({d}, random)),
                          y({rows, d});
  const Tensor<Sum<T>, Device> r({rows});
  const double bytes = 2.0 * static_cast<double>(rows * d * sizeof(T));
  const auto line = [&](const char* what, double s) {
    std::printf("%-6s %-4s %7.1f us  %5.0f GB/s\n", what, type, s * 1e6, bytes / s * 1e-9);
  };
  for (const char* kernel : {"first", "middle", "fast"}) {
    if (kernel == std::string("middle") && !std::is_same_v<T, float>) continue;
    line(kernel, seconds([&] { forward<T>(kernel, y, r, x, weight); }));
  }
  line("copy", seconds([&] { copy<T>(View<T, Device>(y), View<T, Device>(x)); }));
}
#endif

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "RMSNorm on the CPU and its kernels: the same numbers, what bounds their speed and, on a card, what they reach.\n"
      "Example: 06-a-pair-of-functions > output.txt"};
  return run_program(app, argc, argv, [] {
    require(device_available(), why_no_device());
    std::printf("kernels run on: %s\n", device_name);
    compare(3, 7);
    compare(33, 132);
    compare(64, 1024);
    const std::size_t rows = 16384, d = 1024;
    std::printf("\n%zu rows of %zu numbers, on a card of 3352 GB/s and 67 TFLOP/s in float (H100 SXM):\n", rows, d);
    predict("f32", rows, d, 4, 3352e9, 67e12);
    predict("bf16", rows, d, 2, 3352e9, 67e12);
    std::printf("the first kernel has %zu warps of work, the fast one %zu; the card holds %d at once\n", rows / warp_size, rows,
                132 * 64);
#if defined(__CUDACC__)
    cudaDeviceProp properties;
    check_cuda(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    std::printf("\n%s:\n", properties.name);
    measure<float>("f32", rows, d);
    measure<bfloat16>("bf16", rows, d);
#endif
  });
}
