// The shape of a kernel's launch.
#pragma once

#include <cstddef>
#include <ostream>

namespace skipv1 {

/// A position in a grid or block, or their extents.
struct Index3 {
  unsigned x = 1, y = 1, z = 1;

  constexpr Index3() = default;
  constexpr Index3(std::size_t x_, std::size_t y_ = 1, std::size_t z_ = 1)  // NOLINT: implicit, as CUDA's dim3
      : x(static_cast<unsigned>(x_)), y(static_cast<unsigned>(y_)), z(static_cast<unsigned>(z_)) {}
  constexpr std::size_t size() const { return std::size_t{x} * y * z; }
  friend std::ostream& operator<<(std::ostream& out, const Index3& i) {
    return out << '(' << i.x << ", " << i.y << ", " << i.z << ')';
  }
};

/// Which blocks of a launch are on the device at once: as many as there is room for, or all, as blocks need that wait for each
/// other (a cooperative launch).
enum class Resident { some, all };

/// When a launch's blocks start: once the kernel before has ended, or while its last blocks end (programmatic dependent launch).
/// Then the kernel calls `wait_for_kernel_before` before it touches global memory that the kernel before may write.
enum class Start { after, early };

/// What a launch needs beside the kernel and its arguments: a name for messages, blocks, threads of a block, and bytes of dynamic
/// shared memory. `cluster` neighbouring blocks along x form a thread-block cluster (kernel/cluster.cuh); 1: no clusters.
struct Launch {
  const char* name;
  Index3 grid, block;
  std::size_t shared_bytes = 0;
  Resident resident = Resident::some;
  unsigned cluster = 1;
  Start start = Start::after;
};

/// `ceil(n / step)`: how many blocks of `step` cover n.
constexpr std::size_t ceil_div(std::size_t n, std::size_t step) { return (n + step - 1) / step; }

/// A launch of one thread for each of `n` elements.
constexpr Launch one_thread_each(const char* name, std::size_t n) { return {name, ceil_div(n, 256), 256}; }

}  // namespace skipv1
