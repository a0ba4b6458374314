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

/// Throws unless OpenBLAS finds its 128 MiB for each of `count` threads: where it does not (`ulimit -v`), it tries without end.
inline void require_blas_memory([[maybe_unused]] int count) {
#if defined(__linux__) && !defined(SKIPV1_PLAIN_BLAS)
  if (!openblas_set_num_threads) return;
  const std::size_t bytes = (std::size_t{128} << 20) * static_cast<std::size_t>(count);
  void* const room = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(room != MAP_FAILED, "out of memory: OpenBLAS takes 128 MiB of the address space for each of ", count,
          count == 1 ? " thread" : " threads", ", and there is not as much (ulimit -v)");
  munmap(room, bytes);
#endif
}

/// Throws unless `count` threads, asked for by `who`, are in bounds and can be started: all are, once, and end again.
inline void require_threads(int count, const std::string& who) {
  require(count >= 1 && count <= most_threads(), who, " is ", count, ": must be at most ", most_threads());
#ifdef _OPENMP
  std::vector<std::thread> started;
  std::atomic<bool> end = false;
  std::string reason;
  try {
    for (int i = 1; i < count; ++i)
      started.emplace_back([&end] {
        const auto heap = std::make_unique<std::string>(100, 'x');  // a thread that works has a heap of its own, too
        end.wait(false);
      });
  } catch (const std::system_error& error) {
    reason = error.code().message();
  }
  end = true;
  end.notify_all();
  for (std::thread& thread : started) thread.join();
  require(reason.empty(), who, " is ", count, ": only ", started.size() + 1, " threads can be started: ", reason);
#endif
  require_blas_memory(count);
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
