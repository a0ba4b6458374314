// How the threads of a program wait for work: briefly, then asleep.
#pragma once

#if defined(_OPENMP) && defined(__linux__)
#include <cstdlib>
#include <initializer_list>
#include <unistd.h>
#endif

namespace skipv1 {

/// Makes idle threads of OpenMP sleep after some microseconds instead of spinning for milliseconds. On cores that other programs
/// use, a spinning thread keeps the thread that it waits for from running. OpenMP reads its policy when it is loaded, so the
/// program executes itself anew, once, in the same process. Does nothing where OMP_WAIT_POLICY, GOMP_SPINCOUNT or KMP_BLOCKTIME
/// is set, where `argv` is not what the process began with, without OpenMP, or outside Linux.
inline void wait_briefly([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
#if defined(_OPENMP) && defined(__linux__)
  for (const char* chosen : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"})
    if (std::getenv(chosen)) return;
  if (argv + argc + 1 != environ) return;  // (the environment begins behind the arguments)
  setenv("GOMP_SPINCOUNT", "1000", 0);
  setenv("KMP_BLOCKTIME", "0", 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 0);  // ours cut its work; its own would take 136 MiB each of the address space for nothing
  execv("/proc/self/exe", argv);           // (where that fails, threads spin)
#endif
}

}  // namespace skipv1
