// What a forward pass keeps for the backward pass, and the scratch memory of both.
#pragma once

#include <vector>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/model/cache.hpp"

namespace skipv1 {

/// Tokens to process: of each sequence b the next `counts[b]` tokens, one sequence after the other. A whole batch, a prompt, a
/// part of one (chunked prefill), single tokens, or a mixture.
struct Batch {
  std::vector<std::int32_t> tokens;  ///< (N)
  std::vector<std::size_t> counts;   ///< (B), their sum is N

  /// From tokens (B, T): all sequences `T` long.
  static Batch rectangle(View<const std::int32_t> tokens) {
    return {{tokens.data(), tokens.data() + tokens.size()}, std::vector<std::size_t>(tokens.extent(0), tokens.extent(1))};
  }
};

/// Whether a forward pass keeps what `backward` needs.
enum class Keep { nothing, for_backward };

/// Which rows get logits: all; the last of each sequence that has new rows, in order; none, for the chunks of a prompt before its
/// last; or, for `run_loss_backward`, all, in parts one after another that share memory.
enum class Logits { all, last, none, in_parts };

/// How far a pass has come; a step out of order throws.
enum class Stage { none, placed, forward, loss };

/// Sizes of a model's blocks, from which those of all activations follow.
struct BlockSizes {
  std::size_t layers = 0, hidden = 0, intermediate = 0;  ///< intermediate: 0 where blocks have attention alone
  bool layer_norm = false, gated = false, averages_depth = false, norms_heads = false;
  std::size_t heads = 0, key_width = 0, value_width = 0;  ///< of query heads
  std::size_t most_keys = 0, most_values = 0;             ///< elements per token that one layer caches
  std::size_t means = 0, mixed_values = 0, latent = 0;    ///< means; elements of layer 0's values where others mix them in; d_c

  /// What the table adds to the sizes of stream and feed-forward.
  void set(const Routing& table) {
    layers = table.layers, heads = table.heads, key_width = table.key_width, value_width = table.value_width;
    most_keys = most_values = 0;
    for (std::size_t l = 0; l < layers; ++l) {
      most_keys = std::max(most_keys, table.key_columns(l));
      most_values = std::max(most_values, table.value_columns(l));
    }
    means = table.means.size();
    mixed_values = table.mixes_values ? table.value_columns(0) : 0;
    latent = table.latent.parts * table.latent.part_width;
  }
  /// What a norm keeps of n rows.
  Shape statistics(std::size_t n) const { return layer_norm ? Shape{n, 2} : Shape{n}; }
  friend bool operator==(const BlockSizes&, const BlockSizes&) = default;
};

/// One layer's activations. N rows; d_k, d_v the widths of a query and a value head.
template <class T, class Space = Cpu>
struct LayerActivations {
  Tensor<T, Space> middle;                         ///< (N, d): the stream between attention and feed-forward
  Tensor<Sum<T>, Space> statistics1, statistics2;  ///< what the norms keep, (N, 2) or (N)
  Tensor<T, Space> query, attention;               ///< (N, H, d_k), (N, H, d_v)
  Tensor<T, Space> raw_query, raw_key;             ///< (N, H d_k), (N, owned d_k) before their norms, where heads have one
  Tensor<Sum<T>, Space> query_rms, key_rms;        ///< what these norms keep, (N H), (N owned)
  Tensor<Sum<T>, Space> lse;                       ///< (N, H)
  Tensor<T, Space> own_value;                      ///< (N, owned d_v) before mixing, where values are mixed
  Tensor<T, Space> latent, key, value;             ///< MLA: (B, C, d_c), (B, C, H d_k), (B, C, H d_v)
  Tensor<T, Space> gate, up, hidden;               ///< (N, f); gate for llama alone
};

/// Scratch of the backward pass: the gradients of one block at a time, each of the shape of its activation.
template <class T, class Space = Cpu>
struct GradientScratch {
  Tensor<T, Space> stream, outputs;              ///< (N, d); DenseFormer: (L + 1, N, d)
  Tensor<T, Space> attention, pooled;            ///< (the feed-forward's take the place of its activations)
  Tensor<T, Space> query, joined;                ///< allocated where needed; joined (N, W): dq, dk, dv of a layer side by side
  Tensor<T, Space> raw_query, raw_key;           ///< before their norms
  Tensor<T, Space> latent, content, key, value;  ///< MLA
  Tensor<HeadPair<T, Space>, Space> heads;       ///< (L, H)
  std::vector<HeadPair<T, Space>> resolved;      ///< the host's copy of `heads`
};

/// Memory of a forward pass over N rows against a given cache. Allocated by `prepare`, and again only when a shape changes.
template <class T, class Space = Cpu>
struct Activations {
  std::vector<LayerActivations<T, Space>> layers;  ///< all of them, or one that all layers share (`Keep::nothing`)
  Tensor<T, Space> stream;                         ///< (J, N, d): block outputs X_j, all or the last two in turn
  Tensor<T, Space> averaged;                       ///< (J, N, d): DenseFormer's Y_j, likewise
  /// (N, d): the output of the last norm; not kept. The backward pass puts that output's gradient here, then the output again.
  Tensor<T, Space> block_normed;
  Tensor<T, Space> new_key, new_value;  ///< (N, owned width) of one layer before they go to the cache, if not `in_cache`
  Tensor<T, Space> first_value;         ///< (N, owned width): layer 0's values, where others mix them in
  Tensor<T, Space> pooled;              ///< (P, B, C, d_v): the means of two heads that the table names
  Tensor<T, Space> content;             ///< MLA: (B, C, H d_h)
  Tensor<T, Space> normed, logits;      ///< (R, d), (R, V): the R rows that get logits; `Logits::in_parts`: logits (part(), V)
  Tensor<Sum<T>, Space> norm_statistics, loss;  ///< of the final norm, (R, 2) or (R); of each row, (R)
  Tensor<double, Space> total_loss;             ///< (1)
  Tensor<std::int32_t, Space> tokens, positions, row_begin, past, targets;
  Tensor<HeadPair<const T, Space>, Space> heads;   ///< (L, H): the routing table resolved to memory
  Tensor<HeadReader, Space> readers;               ///< (L, H): the inverse of the table
  std::vector<HeadPair<const T, Space>> resolved;  ///< the host's copy of `heads`
  std::vector<HeadReader> placed_readers;          ///< the host's copy of `readers`
  std::vector<std::size_t> counts, pasts;          ///< the batch for which `positions`, `row_begin` and `past` are set
  Sequences<Space> sequences;
  std::vector<std::size_t> last;  ///< the rows that get logits; empty: all
  GradientScratch<T, Space> gradient;
  BlockSizes sizes;  ///< what this is allocated for, with the rows and the cache's extents below
  Keep keep = Keep::nothing;
  std::size_t rows = 0, batch = 0, capacity = 0;
  bool in_cache = false;  ///< the rows are consecutive in the cache, from `cache_row` on: keys and values are computed there
  std::size_t cache_row = 0;
  Logits wanted = Logits::all;
  Stage stage = Stage::none;                                    ///< what the decoder has done with this so far
  const void *placed_model = nullptr, *placed_cache = nullptr;  ///< where the weights and keys of the pass begin
  Lifetime::Watch cache_life;
  std::size_t vocab = 1;                           ///< logits of a row
  std::size_t most_logits = std::size_t{1} << 30;  ///< `Logits::in_parts`: at most so many at once, or one row's

  Activations() = default;
  Activations(Activations&&) = default;  // a copy's tables would point into the original
  Activations& operator=(Activations&&) = default;

  /// Where the rows' keys or values are computed (N, w): in `owned` (B, C, w) itself, or in `scratch`, to be moved there.
  View<T, Space> new_rows(View<T, Space> owned, View<T, Space> scratch) const {
    const Shape shape{rows, owned.width()};
    return in_cache ? View<T, Space>(owned.data() + cache_row * owned.width(), shape) : View<T, Space>(scratch.data(), shape);
  }
  /// The rows of a part, for `Logits::in_parts`: as few parts as possible, of equal length but for the last.
  std::size_t part() const {
    const std::size_t most = std::max<std::size_t>(most_logits / vocab, 1), parts = (rows + most - 1) / most;
    return (rows + parts - 1) / parts;
  }
  /// Layer l's, as the last pass left them; throws if there was none.
  LayerActivations<T, Space>& layer(std::size_t l) {
    require(l < sizes.layers && !layers.empty(), "activations of ", sizes.layers, " layers: no layer ", l);
    return layers[l % layers.size()];
  }
  View<T, Space> block_output(std::size_t j) const { return at(stream, j); }
  /// The input of block j: X_j, for DenseFormer Y_j.
  View<T, Space> block_input(std::size_t j) const { return averaged.empty() || j == 0 ? at(stream, j) : at(averaged, j); }

  /// Allocates for `n` rows of a batch read against `cache`.
  void prepare(const BlockSizes& z, const Cache<T, Space>& cache, std::size_t n, Keep to_keep) {
    if (layers.empty() || n != rows || cache.batch() != batch || cache.capacity() != capacity || to_keep != keep || !(z == sizes))
      allocate(z, cache, n, to_keep);
  }

 private:
  SKIPV1_COLD void allocate(const BlockSizes& z, const Cache<T, Space>& cache, std::size_t n, Keep to_keep) {
    sizes = z, rows = n, batch = cache.batch(), capacity = cache.capacity(), keep = to_keep;
    const std::size_t d = z.hidden, kept = keep == Keep::for_backward ? z.layers : 1;
    const std::size_t outputs = keep == Keep::for_backward || z.averages_depth ? z.layers + 1 : 2;
    using X = Tensor<T, Space>;
    layers = std::vector<LayerActivations<T, Space>>(kept);
    for (LayerActivations<T, Space>& layer : layers) allocate(layer);
    stream = X({outputs, n, d});
    averaged = z.averages_depth ? X({outputs, n, d}) : X();
    block_normed = X({n, d});
    new_key = n == batch * capacity ? X() : X({n, z.most_keys});
    new_value = n == batch * capacity ? X() : X({n, z.most_values});
    first_value = z.mixed_values ? X({n, z.mixed_values}) : X();
    pooled = z.means ? X({z.means, batch, capacity, z.value_width}) : X();
    content = z.latent ? X({batch, capacity, z.heads * z.value_width}) : X();
    tokens = Tensor<std::int32_t, Space>({n});
    positions = Tensor<std::int32_t, Space>({n});
    row_begin = Tensor<std::int32_t, Space>({batch + 1});
    past = Tensor<std::int32_t, Space>({batch});
    targets = Tensor<std::int32_t, Space>({n});
    counts.clear();
    logits = X();  // allocated when it is known which rows are wanted
    gradient = GradientScratch<T, Space>();
    if (keep == Keep::for_backward) allocate(gradient);
  }
  View<T, Space> at(const Tensor<T, Space>& x, std::size_t j) const {
    require(x.extent(0) > 0 && j <= sizes.layers, "activations of ", sizes.layers, " layers: no block ", j);
    return x.slice(j % x.extent(0), 1).reshape({x.extent(1), x.extent(2)});
  }
  SKIPV1_COLD void allocate(LayerActivations<T, Space>& a) const {
    using X = Tensor<T, Space>;
    using S = Tensor<Sum<T>, Space>;
    const BlockSizes& z = sizes;
    const std::size_t d = z.hidden, n = rows;
    a.statistics1 = S(z.statistics(n));
    a.query = X({n, z.heads, z.key_width}), a.attention = X({n, z.heads, z.value_width}), a.lse = S({n, z.heads});
    if (z.norms_heads) {
      a.raw_query = X({n, z.heads * z.key_width}), a.query_rms = S({n * z.heads});
      a.raw_key = X({n, z.most_keys}), a.key_rms = S({n * (z.most_keys / z.key_width)});
    }
    if (z.mixed_values) a.own_value = X({n, z.mixed_values});
    if (z.latent) {
      a.latent = X({batch, capacity, z.latent});
      a.key = X({batch, capacity, z.heads * z.key_width}), a.value = X({batch, capacity, z.heads * z.value_width});
    }
    a.middle = X({n, d});
    if (z.intermediate == 0) return;
    a.statistics2 = S(z.statistics(n));
    if (z.gated) a.gate = X({n, z.intermediate});
    a.up = X({n, z.intermediate}), a.hidden = X({n, z.intermediate});
  }
  SKIPV1_COLD void allocate(GradientScratch<T, Space>& g) const {
    using X = Tensor<T, Space>;
    const LayerActivations<T, Space>& like = layers[0];
    g.stream = X({rows, sizes.hidden});
    if (!averaged.empty()) g.outputs = X(stream.shape());
    g.attention = X(like.attention.shape());
    if (!pooled.empty()) g.pooled = X(pooled.shape());
    if (sizes.norms_heads) g.raw_query = X(like.raw_query.shape()), g.raw_key = X(like.raw_key.shape());
    if (sizes.latent) {
      g.latent = X(like.latent.shape()), g.content = X(content.shape());
      g.key = X(like.key.shape()), g.value = X(like.value.shape());
    }
    g.heads = Tensor<HeadPair<T, Space>, Space>({sizes.layers, sizes.heads});
  }
};

}  // namespace skipv1
