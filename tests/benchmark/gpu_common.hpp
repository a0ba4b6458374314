// What the benchmarks of a card share. For nvcc alone.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "skipv1/core/graph.cuh"
#include "tests/benchmark/seconds.hpp"

namespace skipv1::benchmark {

/// Seconds, of the repeats that were timed.
struct Time {
  double median, low, high;  ///< and the 10th and 90th percentile
};
inline Time time_of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  return {seconds[n / 2], seconds[n / 10], seconds[n - 1 - n / 10]};
}

/// The time of a step that waits for its result, by the host's clock.
template <class Step>
Time timed_by_host(std::size_t repeats, const Step& step) {
  std::vector<double> times;
  for (std::size_t i = 0; i < repeats; ++i) times.push_back(seconds(step));
  return time_of(times);
}

/// The time of one of `count` pieces of work, done one after the other as one graph.
inline Time timed(std::size_t repeats, std::size_t count, const std::function<void(std::size_t)>& work) {
  const auto all = [&] {
    for (std::size_t i = 0; i < count; ++i) work(i);
  };
  all();  // allocates
  const Graph graph(all);
  const UseStream stream;
  cudaEvent_t begin, end;
  check_cuda(cudaEventCreate(&begin), "cudaEventCreate");
  check_cuda(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<double> seconds;
  for (std::size_t i = 0; i < repeats + 3; ++i) {
    cudaEventRecord(begin, current_stream());
    graph.replay();
    cudaEventRecord(end, current_stream());
    check_cuda(cudaEventSynchronize(end), "waiting for the timed work");
    float ms = 0;
    cudaEventElapsedTime(&ms, begin, end);
    if (i >= 3) seconds.push_back(1e-3 * static_cast<double>(ms) / static_cast<double>(count));
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return time_of(seconds);
}

/// The card's name.
inline std::string card() {
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, 0), "asking for the device");
  return properties.name;
}

inline std::size_t free_memory() {
  std::size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "asking for the free memory");
  return free;
}

/// x[i] becomes a number drawn from [-1.7, 1.7), of variance 1, times a factor.
SKIPV1_KERNEL draw_kernel(bfloat16* x, std::size_t count, std::uint64_t seed, float factor) {
  for (std::size_t i = global_thread(); i < count; i += global_threads()) {
    std::uint64_t bits = (seed << 40) + i;  // splitmix64
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    bits ^= bits >> 31;
    x[i] = static_cast<bfloat16>((static_cast<float>(bits >> 40) * 0x1p-24f - 0.5f) * 3.4641016f * factor);
  }
}
inline void draw(View<bfloat16, Cuda> x, float factor = 1) {
  static std::uint64_t seed = 1;
  launch({"draw", 1024, 256}, draw_kernel, x.data(), x.size(), seed++, factor);
}

}  // namespace skipv1::benchmark
