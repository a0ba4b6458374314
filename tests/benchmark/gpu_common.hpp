// What the benchmarks of a card share. For nvcc alone.
#pragma once

#include <string>
#include <vector>

#include "skipv1/device/timing.cuh"
#include "tests/benchmark/seconds.hpp"

namespace skipv1::benchmark {

/// The time of a step that waits for its result, by the host's clock.
template <class Step>
Time timed_by_host(std::size_t repeats, const Step& step) {
  std::vector<double> times;
  for (std::size_t i = 0; i < repeats; ++i) times.push_back(seconds(step));
  return time_of(times);
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
inline void draw(View<bfloat16, Device> x, float factor = 1) {
  static std::uint64_t seed = 1;
  launch({"draw", 1024, 256}, draw_kernel, x.data(), x.size(), seed++, factor);
}

}  // namespace skipv1::benchmark
