// A clock for the benchmarks.
#pragma once

#include <chrono>

namespace skipv1::benchmark {

/// Seconds that `f()` takes, by the host's clock.
template <class F>
double seconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace skipv1::benchmark
