// The rungs in order: how each is launched, what it moves, and the rate predicted before any was measured.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "scalar.cuh"
#include "skipv1/kernel/launch.cuh"
#include "tensor_cores.cuh"

namespace ladder::inline SKIPV1_FLAVOUR {

struct Shape3 {
  unsigned heads, rows, keys;
  /// Pairs of a row and a key that it sees.
  double scores() const {
    return static_cast<double>(heads) * rows * (static_cast<double>(keys - rows) + (static_cast<double>(rows) + 1) / 2);
  }
  /// Two products per score and element, a multiplication and an addition each.
  double operations() const { return 4.0 * D * scores(); }
  /// Bytes that any kernel must move: Q, K, V and O once.
  double least_bytes() const { return 4.0 * D * heads * (static_cast<double>(rows) + keys); }
};
inline constexpr Shape3 prefill{32, 4096, 4096}, few_rows{32, 16, 16384};

/// Sectors of 32 bytes that a kernel's warps load and store, as `emulator::count_traffic` counts them.
struct Sectors {
  double loads = 0, stores = 0;
};
/// The sum of f(t) over the rows, and of f(first row, rows) over tiles of R rows.
template <class F>
double over_rows(const Shape3& x, const F& f) {
  double sum = 0;
  for (unsigned t = 0; t < x.rows; ++t) sum += f(x.keys - x.rows + t + 1);
  return sum * x.heads;
}
template <class F>
double over_tiles(const Shape3& x, unsigned R, const F& f) {
  double sum = 0;
  for (unsigned first = 0; first < x.rows; first += R) {
    const unsigned rows = std::min(R, x.rows - first);
    sum += f(rows, x.keys - x.rows + first + rows);
  }
  return sum * x.heads;
}
/// A row of a head of bfloat16, and `n` floats in a row, in sectors.
inline constexpr double of_row = 2.0 * D / 32;
inline double of_floats(unsigned n) { return (n + 7) / 8; }

inline Sectors naive_sectors(const Shape3& x) {
  const double rows = static_cast<double>(x.heads) * x.rows, warps = x.heads * std::ceil(x.rows / 32.0);
  return {x.keys * (rows * (2 * D + 1) + warps * 2 * D), rows * (2.0 * x.keys + D)};  // all lanes of a warp: one key's element
}
inline Sectors coalesced_sectors(const Shape3& x) {
  return {over_rows(x, [](unsigned seen) { return of_row * (1 + 2.0 * seen) + of_floats(seen); }),
          over_rows(x, [](unsigned seen) { return of_row + of_floats(seen); })};
}
inline Sectors tiles_sectors(const Shape3& x, unsigned R, double of_out) {
  return {over_tiles(x, R, [](unsigned rows, unsigned keys) { return of_row * (rows + 2.0 * keys); }), of_out * x.heads * x.rows};
}
inline Sectors tiled_sectors(const Shape3& x) {
  const Sectors tiles = tiles_sectors(x, tile, of_row);
  const double scores = over_tiles(x, tile, [](unsigned rows, unsigned keys) { return rows * of_floats(keys); });
  return {tiles.loads + scores, tiles.stores + scores};
}
inline Sectors split_sectors(const Shape3& x, unsigned parts) {
  const double rows = static_cast<double>(x.heads) * x.rows, of_part = D / 8.0 + 1;
  const double keys = tiles_sectors(x, mma_rows, 0).loads;
  const double queries = over_tiles(x, mma_rows, [&](unsigned n, unsigned all) {
    const unsigned step = (all + parts * mma_keys - 1) / (parts * mma_keys) * mma_keys;
    return of_row * n * ((all + step - 1) / step - 1.0);  // each part with keys loads the queries; one is in `keys`
  });
  return {keys + queries + rows * parts * of_part, rows * parts * of_part + rows * of_row};
}
inline Sectors hopper_sectors(const Shape3& x) {
  return {over_tiles(x, Hopper::rows,
                     [&](unsigned rows, unsigned keys) {
                       const unsigned loaded = (keys + Hopper::keys - 1) / Hopper::keys * Hopper::keys;
                       return of_row * (rows + 2.0 * std::min(loaded, x.keys));
                     }),
          2 * of_row * x.heads * x.rows};
}

struct Rung {
  const char* name;
  const char* waits_for;  ///< the busiest part of a multiprocessor in the prefill
  double cycles;          ///< that it takes per score, as README.md counts them
  double prefill, few;    ///< TFLOP/s predicted for the two shapes
};
inline constexpr std::array<Rung, 8> rungs{{
    {"naive", "L1, 32 rows per load", 2 * 264.0, 0.22, 0.02},  // twice: half of the scores are masked
    {"coalesced", "L1 and shuffles", 10, 10, 0.4},
    {"tiled", "shared memory", 3.8, 24, 1.6},
    {"online softmax", "shared memory", 3.8, 27, 1.6},
    {"cp.async", "issue slots", 3.07, 33, 2.3},
    {"mma.sync", "shared memory", 288.0 / 1024, 280, 8},
    {"split-KV", "shared memory", 288.0 / 1024, 250, 50},
    {"TMA + wgmma", "tensor cores", 0.125, 480, 20},
}};
inline constexpr double multiprocessors = 132, clock_rate = 1.75e9;
/// TFLOP/s that the busiest part allows.
inline double at_most(const Rung& rung) { return 4.0 * D / rung.cycles * multiprocessors * clock_rate * 1e-12; }

/// Parts of the keys for split-KV: as many as give the card's 132 multiprocessors two blocks each.
inline unsigned parts_of(const Shape3& x) {
  const std::size_t blocks = x.heads * ceil_div(x.rows, mma_rows);
  return static_cast<unsigned>(std::clamp<std::size_t>(264 / blocks, 1, ceil_div(x.keys, mma_keys)));
}
inline Sectors sectors_of(std::size_t rung, const Shape3& x) {
  switch (rung) {
    case 0:
      return naive_sectors(x);
    case 1:
      return coalesced_sectors(x);
    case 2:
      return tiled_sectors(x);
    case 3:
    case 4:
      return tiles_sectors(x, tile, of_row);
    case 5:
      return tiles_sectors(x, mma_rows, 2 * of_row);
    case 6:
      return split_sectors(x, parts_of(x));
    default:
      return hopper_sectors(x);
  }
}
inline double bytes_of(std::size_t rung, const Shape3& x) {
  return 32 * (sectors_of(rung, x).loads + sectors_of(rung, x).stores);
}
/// Floats of scratch memory that a rung needs.
inline std::size_t scratch_of(std::size_t rung, const Shape3& x) {
  const std::size_t rows = std::size_t{x.heads} * x.rows;
  return rung < 3 ? rows * x.keys : rung == 6 ? rows * parts_of(x) * part_pitch : 0;
}

/// Runs a rung. Throws where a launch is not possible.
inline void climb(std::size_t rung, const Attention& a) {
  const auto grid = [&](unsigned rows) { return Index3{ceil_div(a.rows, rows), a.heads}; };
  const Index3 square{side, side};
  switch (rung) {
    case 0:
      return launch({"naive", grid(128), 128}, naive, a);
    case 1:
      return launch({"coalesced", grid(4), 128}, coalesced, a);
    case 2:
      return launch({"tiled", grid(tile), square, FloatTiles::bytes}, tiled, a);
    case 3:
      return launch({"online", grid(tile), square, FloatTiles::bytes}, online, a);
    case 4:
      return launch({"asynchronous", grid(tile), square, AsyncTiles::bytes}, asynchronous, a);
    case 5:
      return launch({"mma_sync", grid(mma_rows), mma_threads, MmaTiles::bytes}, mma_sync, a);
    case 6: {
      const unsigned parts = parts_of({a.heads, a.rows, a.keys});
      launch({"split_kv", {ceil_div(a.rows, mma_rows), a.heads, parts}, mma_threads, MmaTiles::bytes}, split_kv, a);
      return launch({"merge_parts", grid(4), 128}, merge_parts, a, parts);
    }
    default:
      launch({"make_maps", a.heads, 96, 3 * sizeof(TensorMap)}, make_maps, a);
      return launch({"hopper", grid(Hopper::rows), Hopper::threads, Hopper::bytes}, hopper, a);
  }
}

}  // namespace ladder::inline SKIPV1_FLAVOUR
