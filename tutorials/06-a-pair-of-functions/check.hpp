// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include <numeric>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/kernel/launch.cuh"

namespace exercise {

/// Floats that begin with a sector, as device memory does.
class Sectors {
 public:
  explicit Sectors(std::size_t count) : memory_(count + 8) {
    while (reinterpret_cast<std::uintptr_t>(&memory_[first_]) % 32 != 0) ++first_;
  }
  float* data() { return &memory_[first_]; }
  float& operator[](std::size_t i) { return memory_[first_ + i]; }

 private:
  std::vector<float> memory_;
  std::size_t first_ = 0;
};
/// Throws if less was counted than the data has, or more than is needed.
inline void require_sectors(const char* what, const emulator::Traffic& own, std::size_t data, std::size_t least) {
  require(own.sectors >= data, what, ": ", own.sectors, " sectors counted, of data that has ", data,
          ": go through load_global and store_global");
  require(own.sectors <= least, what, ": ", own.sectors, " sectors touched, ", least, " would do, and ",
          100 * own.bytes / (32 * own.sectors), " % of their bytes used: let neighbouring lanes have neighbouring elements");
}

inline void check_06_1() {
  constexpr unsigned rows = 10, d = 64, covered = 12;  // three blocks of four rows
  Sectors x(covered * d), y(covered * d), w(d);
  for (unsigned i = 0; i < covered * d; ++i) x[i] = static_cast<float>(i % 7), y[i] = -1;
  for (unsigned i = 0; i < d; ++i) w[i] = static_cast<float>(i % 5);
  const auto traffic = emulator::count_traffic([&] {
    launch({"scale_rows", 3, 128}, scale_rows, y.data(), x.data(), w.data(), rows, d);
  });
  for (unsigned i = 0; i < rows * d; ++i)
    require(y[i] == x[i] * w[i % d], "y[", i / d, ", ", i % d, "] is ", y[i], ", must be ", x[i] * w[i % d]);
  for (unsigned i = rows * d; i < covered * d; ++i)
    require(y[i] == -1, "y[", i / d, ", ", i % d, "] is written, but y has ", rows,
            " rows: the last block has four rows and only two of them are in y");
  require_sectors("stores", traffic.stores, rows * d / 8, rows * d / 8);
  require_sectors("loads of x and w", traffic.loads, (rows + 1) * d / 8, 2 * rows * d / 8);
}

inline void check_06_2() {
  Sectors x(256);
  for (unsigned i = 0; i < 256; ++i) x[i] = static_cast<float>(i);
  launch({"reverse", 2, 128}, reverse, x.data());
  for (unsigned i = 0; i < 256; ++i)
    require(x[i] == static_cast<float>(i / 128 * 128 + 127 - i % 128), "x[", i, "] is ", x[i], ", must be ",
            i / 128 * 128 + 127 - i % 128);
}

inline void check_06_3() {
  constexpr unsigned n = 200;
  Sectors x(256), y(256);
  for (unsigned i = 0; i < 256; ++i) x[i] = static_cast<float>(i), y[i] = -1;
  launch({"twice", 2, 128}, twice, y.data(), x.data(), n);
  for (unsigned i = 0; i < n; ++i) require(y[i] == 2 * x[i], "y[", i, "] is ", y[i], ", must be ", 2 * x[i]);
  for (unsigned i = n; i < 256; ++i)
    require(y[i] == -1, "thread ", i % 128, " of block ", i / 128, " writes y[", i, "], but y has ", n,
            " elements: the grid covers more than n; on a card this hits somebody else's memory, and nobody says so");
}

inline void check_06_4() {
  constexpr unsigned n = 64;
  Sectors x(n * n), y(n * n);
  for (unsigned i = 0; i < n * n; ++i) x[i] = static_cast<float>(i);
  const auto traffic = emulator::count_traffic([&] {
    launch({"transpose", {n / 32, n / 32}, {32, 8}}, transpose, y.data(), x.data(), n);
  });
  for (unsigned i = 0; i < n * n; ++i)
    require(y[i] == x[i % n * n + i / n], "y[", i / n, ", ", i % n, "] is ", y[i], ", must be ", x[i % n * n + i / n], ", x[",
            i % n, ", ", i / n, "]");
  require_sectors("loads", traffic.loads, n * n / 8, n * n / 8);
  require_sectors("stores", traffic.stores, n * n / 8, n * n / 8);
}

}  // namespace exercise
