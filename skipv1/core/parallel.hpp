// Work on all cores. Tasks are cut by the problem's shape, never by the number of threads, and no
// two tasks add into one number: so results are the same to the bit with any number of threads.
#pragma once

#include <cstddef>

#include "skipv1/core/check.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace skipv1 {

/// How many threads `parallel_for` uses: all cores unless `set_threads` or OMP_NUM_THREADS say otherwise.
inline int threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

/// Use `n` threads from now on, 1 to 4096; without OpenMP there is always one. `use_threads` (core/thread_limit.hpp) also checks
/// that they can be started.
inline void set_threads(int n) {
  require(n >= 1 && n <= 4096, "set_threads: ", n, ": must be 1 to 4096");
#ifdef _OPENMP
  omp_set_num_threads(n);
#endif
}

/// Calls `task(i)` for `i = 0 … count - 1`, in any order, on all cores. Tasks must not throw.
template <class Task>
void parallel_for(std::size_t count, const Task& task) {
#ifdef _OPENMP
  if (count > 1 && !omp_in_parallel()) {
#pragma omp parallel for schedule(dynamic, 1)
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i)  // (OpenMP 2.0, MSVC's, wants a sign)
      task(static_cast<std::size_t>(i));
    return;
  }
#endif
  for (std::size_t i = 0; i < count; ++i) task(i);
}

/// As `parallel_for`, for tasks that take equally long and read consecutive memory. A thread gets long runs of consecutive tasks,
/// and short ones towards the end, so most of what it reads next has been prefetched.
template <class Task>
void parallel_in_order(std::size_t count, const Task& task) {
#ifdef _OPENMP
  if (count > 1 && !omp_in_parallel()) {
#pragma omp parallel for schedule(guided, 1)
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i) task(static_cast<std::size_t>(i));
    return;
  }
#endif
  for (std::size_t i = 0; i < count; ++i) task(i);
}

/// Calls `task(begin, end)` for consecutive ranges of at most `grain` that cover `0 … count - 1`.
template <class Task>
void parallel_ranges(std::size_t count, std::size_t grain, const Task& task) {
  require(grain > 0, "parallel_ranges: ranges of 0: must be 1 at least");
  parallel_for((count + grain - 1) / grain, [&](std::size_t i) {
    const std::size_t begin = i * grain;
    task(begin, begin + grain < count ? begin + grain : count);
  });
}

}  // namespace skipv1
