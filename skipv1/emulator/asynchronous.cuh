// The emulator's asynchronous operations: issued by a thread, and not waited for yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "skipv1/core/write_mode.hpp"
#include "skipv1/emulator/shared_memory.cuh"

namespace skipv1::emulator {

/// A `cp_async` (kernel/mma.cuh).
struct CpAsync {
  SharedArray array;
  std::size_t begin, count;
  const std::byte* from;  ///< null: zeros
  Place place;
};

/// A load by TMA (kernel/tma.cuh): a panel of a tile, 64 columns wide and swizzled, or bytes in a row.
struct BulkLoad {
  SharedArray array;
  std::size_t begin, count;
  const std::byte* from;
  std::size_t rows, columns, stride;  ///< of a panel: rows and columns in bounds, and elements between rows
  bool panel;
  std::size_t thread;  ///< that issued it
  Place place;
};

/// An mbarrier (kernel/mbarrier.cuh) in phase `phase`.
struct Mbarrier {
  struct Arrival {
    std::size_t thread;
    std::uint32_t when;
  };

  const std::byte* at = nullptr;
  std::size_t threads = 1, phase = 0;
  std::size_t expected = 0, issued = 0;  ///< bytes of this phase
  std::uint32_t ended_at = 0;            ///< the phase before
  std::vector<BulkLoad> loads;
  std::vector<Arrival> arrived, arrived_before;  ///< in this phase, and in the one before

  bool complete() const { return arrived.size() == threads && issued == expected; }
  void end_phase(std::uint32_t now) {
    ended_at = now;
    ++phase;
    expected = issued = 0;
    loads.clear();
    arrived_before = std::move(arrived);
    arrived.clear();
  }
};

/// A bulk store or bulk reduction by TMA (kernel/tma.cuh).
struct BulkStore {
  SharedArray array;
  std::size_t begin, count;
  float* to;
  WriteMode mode;
  std::uint32_t when;  ///< issued
  Place place;
  std::vector<float> values;  ///< once shared memory has been read

  void write() const {
    for (std::size_t i = 0; i < values.size(); ++i) to[i] = mode == WriteMode::accumulate ? to[i] + values[i] : values[i];
  }
};

/// An operand of `wgmma` in shared memory, part of a tile in panels (kernel/tile.cuh).
struct MatrixPart {
  SharedArray array;
  std::size_t begin = 0, panel = 0;  ///< the first element, and the distance of panels
};
/// A `wgmma` (kernel/wgmma.cuh), `D = A B`, or `D += A B` where `mode` says accumulate.
struct Wgmma {
  float* d = nullptr;
  std::size_t columns = 0;
  WriteMode mode = WriteMode::accumulate;
  bool first = true;          ///< whether it is the first pending one that writes d
  bool b_transposed = false;  ///< whether B's rows in memory are the product's columns
  bool a_transposed = false;  ///< whether A's columns in memory are the product's rows
  Place place;
  MatrixPart b;
  std::optional<MatrixPart> a = {};  ///< else in fragments
  std::uint32_t fragments[4] = {};
  float before[64] = {};  ///< d's content when this was issued
};

}  // namespace skipv1::emulator
