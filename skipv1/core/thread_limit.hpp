// How many threads a program may ask for. A thread that cannot be started would end the program from within OpenMP.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "skipv1/core/blas.hpp"
#include "skipv1/core/check.hpp"
#include "skipv1/core/parallel.hpp"

#if defined(__linux__) && !defined(SKIPV1_PLAIN_BLAS)
#include <sys/mman.h>
#endif

namespace skipv1 {

/// The most threads that can be asked for: far more than help, fewer than OpenMP and BLAS can hold.
inline int most_threads() { return std::max(256, static_cast<int>(std::min(4096u, std::thread::hardware_concurrency()))); }

#if defined(__linux__) && !defined(SKIPV1_PLAIN_BLAS)
namespace detail {
// OpenBLAS's, null in others. They take a buffer that a product works in, mapped where none is free, and give it back, mapped.
extern "C" void* blas_memory_alloc(int) __attribute__((weak));
extern "C" void blas_memory_free(void*) __attribute__((weak));
}  // namespace detail
#endif

/// Whether OpenBLAS finds its 128 MiB for each of `count` threads. Where it does not (`ulimit -v`, `-d`), it tries without end.
inline bool finds_blas_memory([[maybe_unused]] int count) {
#if defined(__linux__) && !defined(SKIPV1_PLAIN_BLAS)
  if (!detail::blas_memory_alloc) return true;
  constexpr std::size_t bytes = std::size_t{128} << 20;
  std::vector<void*> found;
  for (int i = 0; i < count; ++i) {
    void* const room = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room != MAP_FAILED) found.push_back(room);
  }
  for (void* const room : found) munmap(room, bytes);
  return found.size() == static_cast<std::size_t>(count);
#else
  return true;
#endif
}

/// Starts `count` of OpenMP's threads and lets OpenBLAS map a buffer for each, which both keep: so a model made later cannot take
/// that memory first. Returns whether there was enough.
inline bool keep_threads_and_blas_memory([[maybe_unused]] int count) {
  bool enough = true;
#ifdef _OPENMP
#pragma omp parallel num_threads(count)
#endif
  {
    const auto heap = std::make_unique<std::string>(100, 'x');  // a thread that works has a heap of its own, too
#ifdef _OPENMP
#pragma omp barrier
#pragma omp single
    enough = finds_blas_memory(omp_get_num_threads());  // beside all stacks and heaps
#else
    enough = finds_blas_memory(1);
#endif
#if defined(__linux__) && !defined(SKIPV1_PLAIN_BLAS)
    void* const buffer = enough && detail::blas_memory_alloc ? detail::blas_memory_alloc(0) : nullptr;
#ifdef _OPENMP
#pragma omp barrier  // all at once, else one buffer would do for several
#endif
    if (buffer) detail::blas_memory_free(buffer);
#endif
  }
  return enough;
}

/// Throws unless `count` threads, asked for by `who`, are in bounds, can be started, and find memory for their products. They and
/// that memory are kept.
inline void require_threads(int count, const std::string& who) {
  require(count >= 1 && count <= most_threads(), who, " is ", count, ": must be at most ", most_threads());
#ifdef _OPENMP
  std::vector<std::thread> started;
  std::atomic<std::size_t> ready = 0;
  std::atomic<bool> end = false;
  std::string reason;
  try {
    for (int i = 1; i < count; ++i)
      started.emplace_back([&] {
        const auto heap = std::make_unique<std::string>(100, 'x');
        ++ready;
        ready.notify_one();
        end.wait(false);
      });
  } catch (const std::system_error& error) {
    reason = error.code().message();
  }
  for (std::size_t n = ready; n < started.size(); n = ready) ready.wait(n);
  end = true;
  end.notify_all();
  for (std::thread& thread : started) thread.join();
  require(reason.empty(), who, " is ", count, ": only ", started.size() + 1, started.empty() ? " thread" : " threads",
          " can be started: ", reason);
#endif
  require(keep_threads_and_blas_memory(count), "out of memory: OpenBLAS takes 128 MiB",
          count == 1 ? "" : " for each of " + std::to_string(count) + " threads", ", and there is not as much (ulimit -v, -d)");
}

/// The same of those that are used where nobody asks for others: as many as OMP_NUM_THREADS says, else as there are cores.
inline void require_default_threads() {
  require_threads(threads(), std::getenv("OMP_NUM_THREADS") ? "OMP_NUM_THREADS" : "the number of threads, one for each core,");
}

/// `set_threads`, checked: `count` as --threads has it; 0: the default.
inline void use_threads(int count) {
  if (count == 0) return require_default_threads();
  require_threads(count, "--threads");
  set_threads(count);
}

}  // namespace skipv1
