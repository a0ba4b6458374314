// Timing of work on a GPU, and the rate of a copy to compare with. For nvcc alone.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "skipv1/device/graph.cuh"

#if defined(__CUDACC__)
namespace skipv1::inline SKIPV1_FLAVOUR {

/// Seconds over the timed repeats.
struct Time {
  double median, low, high;  ///< and the 10th and 90th percentile
};
/// Their statistics; at least one.
inline Time time_of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  return {seconds[n / 2], seconds[n / 10], seconds[n - 1 - n / 10]};
}

/// The time of one of `count` pieces of work, `work(0) …`, recorded one after the other in one graph, which is replayed `repeats`
/// times, at least once. Throws what `work` throws, and what fails on the GPU. It pauses first: the driver clears freed memory in
/// the background, which takes a tenth of the memory's rate for 20 ms per 8 GiB (docs/performance/ledger.md).
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
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  graph.replay();
  std::vector<double> seconds;
  while (seconds.size() < repeats) {
    check_cuda(cudaEventRecord(begin, current_stream()), "cudaEventRecord");
    graph.replay();
    check_cuda(cudaEventRecord(end, current_stream()), "cudaEventRecord");
    check_cuda(cudaEventSynchronize(end), "waiting for the timed work");
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
    seconds.push_back(1e-3 * static_cast<double>(ms) / static_cast<double>(count));
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return time_of(seconds);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// to = from: four loads and stores of 16 bytes per thread.
SKIPV1_KERNEL copy_wide(bfloat16* to, const bfloat16* from, std::size_t count) {
  const std::size_t first = (std::size_t{block().x} * 4 * block_size().x + thread().x) * 8,
                    step = std::size_t{block_size().x} * 8;
  Vector<bfloat16, 8> x[4];
  for (std::size_t i = 0; i < 4; ++i)
    if (first + i * step < count) x[i] = load_vector<8>(from + first + i * step);
  for (std::size_t i = 0; i < 4; ++i)
    if (first + i * step < count) store_vector(to + first + i * step, x[i]);
}
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// The time of copying `x` to `y`, which reads and writes their bytes once each. Throws unless both have one size, a multiple of
/// 8 elements, and are aligned to 16 bytes.
inline Time timed_copy(std::size_t repeats, View<bfloat16, Device> y, View<bfloat16, Device> x) {
  require(x.size() == y.size() && reads_16_bytes(x.size(), x.data(), y.data()), "timed_copy: ", x.size(), " numbers to ",
          y.size(), ": as many, and 16 bytes at a time");
  return timed(repeats, 1, [&](std::size_t) {
    launch({"copy_wide", ceil_div(x.size(), 8192), 256}, detail::copy_wide, y.data(), x.data(), x.size());
  });
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
#endif
