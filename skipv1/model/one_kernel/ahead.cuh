// What a block of the one-kernel step multiplies by, phase by phase: its pairs of rows and the addresses of the first of them,
// made on the host for every layer and block. A block copies a layer's share to shared memory while it attends. Looked up by the
// block, they would lie before a barrier of every layer.
#pragma once

#include "skipv1/model/one_kernel/product.cuh"
#include "skipv1/model/one_kernel/tables.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// Norm, queries, keys and values, RoPE, the cache's new row; (attention;) the splits' merge, output projection, residual; norm,
/// up and gate, their activation; down projection, residual; and at a step's end final norm, logits, the likeliest token.
enum class Phase : unsigned { project, merge, widen, narrow, head };

/// What a phase of a layer multiplies by.
template <class T>
SKIPV1_HOST_DEVICE Product<T> product_of(const Arguments<T>& a, const Layer<T>& w, Phase phase) {
  Product<T> p;
  p.per_block = a.per_block;
  p.in = phase == Phase::merge ? a.heads * a.value_width : phase == Phase::narrow ? a.intermediate : a.hidden;
  if (phase == Phase::widen) {
    p.part[0] = {a.gated ? w.gate.weight : w.up.weight, a.gated ? w.up.weight : nullptr, w.up.rows, 0};
    return p;
  }
  const bool project = phase == Phase::project;
  const Matrix<T>& m = project ? w.query : phase == Phase::merge ? w.output : phase == Phase::narrow ? w.down : w.head;
  p.part[0] = {m.weight, nullptr, m.rows, project ? a.rope_half : 0};
  if (project) {
    p.part[1] = {w.key.weight, nullptr, w.key.rows, a.rope_half};
    p.part[2] = {w.value.weight, nullptr, w.value.rows, 0};
  }
  return p;
}

/// Where the rows of pair i of a block lie among those that are looked up: all pairs of the projections, a tile of others.
SKIPV1_HOST_DEVICE unsigned place_ahead(Phase phase, unsigned pairs_ahead, unsigned i) {
  return (phase == Phase::project ? 0 : pairs_ahead + (static_cast<unsigned>(phase) - 1) * tile_pairs) + i;
}
/// And how many there are.
SKIPV1_HOST_DEVICE unsigned count_ahead(unsigned pairs_ahead) { return pairs_ahead + (phase_count - 1) * tile_pairs; }

/// Device memory of what every block looks up.
template <class T>
class RowsAhead {
 public:
  RowsAhead() = default;
  RowsAhead(const Arguments<T>& a, const std::vector<Layer<T>>& layers, std::uint32_t blocks) {
    const unsigned count = count_ahead(a.pairs_ahead);
    std::vector<Rows> rows;
    std::vector<Bounds> bounds;
    for (const Layer<T>& layer : layers)
      for (std::uint32_t b = 0; b < blocks; ++b) {
        rows.resize(rows.size() + count);
        for (unsigned number = 0; number < phase_count; ++number) {
          const auto phase = static_cast<Phase>(number);
          const Product<T> p = product_of(a, layer, phase);
          const std::uint32_t begin = p.begin(b, blocks), end = p.begin(b + 1, blocks);
          for (unsigned i = 0; i < (phase == Phase::project ? a.pairs_ahead : tile_pairs); ++i) {
            const LaneRows<T> of(p, begin + i, begin, end);
            rows[rows.size() - count + place_ahead(phase, a.pairs_ahead, i)] = {of.first, of.second};
          }
          bounds.push_back({begin, end, phase == Phase::project ? 0u : p.part[0].second ? 1u : 2u, p.part[0].rows});
        }
      }
    upload(rows_, rows), upload(bounds_, bounds);
  }
  /// (L, blocks, `count_ahead`, 2).
  const T* const* rows() const { return &rows_.data()->first; }
  /// (L, blocks, phases, 4): the block's pairs' begin and end, the rows of a pair of one weight, 0 for the projections, whose
  /// pairs do not follow each other; and all rows.
  const std::uint32_t* bounds() const { return &bounds_.data()->begin; }

 private:
  struct alignas(16) Rows {
    const T *first = nullptr, *second = nullptr;
  };
  struct alignas(16) Bounds {
    std::uint32_t begin, end, rows_of_pair, rows;
  };
  Tensor<Rows, Device> rows_;
  Tensor<Bounds, Device> bounds_;
};

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
