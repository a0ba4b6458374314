// The blocks of a model, in order, forward and backward: all between the residual stream's first rows and its last
// (docs/spec/models.md, "Block"). A decoder puts embeddings before them and an output head after them; mesa/ has others.
#pragma once

#include <cstdint>
#include <span>

#include "skipv1/core/function.hpp"
#include "skipv1/model/attention_layer.hpp"
#include "skipv1/model/feed_forward.hpp"
#include "skipv1/ops/depth_average.hpp"

namespace skipv1 {

/// What blocks need besides weights and a table.
template <class T, class Space = Cpu>
struct BlockSettings {
  BlockSizes sizes;  ///< of stream and feed-forward; the rest follows from the table
  std::size_t max_positions = 0;
  double norm_epsilon = 0, value_mix = 0;
  Tensor<Sum<T>, Space> rope;     ///< `rope_table`'s, or empty
  std::size_t rotary_layers = 0;  ///< so many first layers rotate queries and keys
};

/// `kernel_of(l)`, an argument of both passes, is what layer l does with scores (`SoftmaxAttention`).
template <class T, class Space = Cpu>
class Blocks {
 public:
  using X = View<T, Space>;
  /// Called after each layer's attention with its number: for traces and pictures.
  using Observer = Function<void(std::size_t layer)>;

  /// Over weights that it reads where they lie and which must outlive it.
  Blocks(BlockSettings<T, Space> settings, Routing routing, std::vector<LayerWeights<T, Space>> layers, std::vector<X> depth)
      : settings_(std::move(settings)), routing_(std::move(routing)), layers_(std::move(layers)), depth_(std::move(depth)) {
    settings_.sizes.set(routing_);
    Tensor<T> mix({1});
    mix(0u) = static_cast<T>(settings_.value_mix);
    value_mix_ = Tensor<T, Space>({1});
    copy(value_mix_, mix);
  }

  const Routing& routing() const { return routing_; }
  std::size_t count() const { return layers_.size(); }
  const BlockSettings<T, Space>& settings() const { return settings_; }
  /// Layer l's share of its own value, where the table mixes layer 0's in.
  X value_mix(std::size_t l) const { return layers_[l].value_mix.empty() ? X(value_mix_) : layers_[l].value_mix; }

  /// Checks that `counts[b]` new rows of each sequence b fit the cache, and copies to `a` what the passes read: positions, the
  /// sequences' extents, and the table resolved to memory. Throws with nothing copied.
  void place(const std::vector<std::size_t>& counts, std::size_t rows, const Cache<T, Space>& cache, Activations<T, Space>& a,
             Keep keep) const {
    check(counts, rows, cache, keep);
    a.stage = Stage::none;
    a.placed_cache = cache.keys(0).data(), a.cache_life = Lifetime::Watch(cache.lifetime());
    a.prepare(settings_.sizes, cache, rows, keep);
    a.in_cache = rows == cache.batch() * cache.capacity(), a.cache_row = 0;
    place_rows(counts, cache, a);
    place_heads(cache, a);
  }

  /// From `a.block_output(0)` to `a.block_input(count())`; keys and values are added to the cache.
  template <class KernelOf>
  void forward(Cache<T, Space>& cache, Activations<T, Space>& a, const KernelOf& kernel_of, const Observer& observer) const {
    require(cache.keys(0).data() == a.placed_cache, "forward: the batch was placed for another cache");
    for (std::size_t l = 0; l < count(); ++l) {
      attention(l).forward(a.block_input(l), cache, a, heads(a, l), kernel_of(l));
      if (observer) observer(l);
      feed_forward(l).forward(a.block_output(l + 1), a.layer(l), a.block_normed);
      if (!depth_.empty()) depth_average_forward(a.block_input(l + 1), a.stream.slice(0, l + 2), depth_[l]);
    }
  }

  /// The gradient of the bias that is last added before the norm after the blocks, whose backward pass makes it; none where
  /// outputs are averaged over depth.
  X last_bias(const std::vector<LayerWeights<T, Space>>& dlayers) const {
    return depth_.empty() ? bias_of(dlayers, count() - 1) : X();
  }
  /// Throws unless `dcache` can hold the gradients of what the pass read from its own cache.
  void check_gradients(const Cache<T, Space>& dcache, const Activations<T, Space>& a) const {
    dcache.require_routing(routing_);
    require(!a.cache_life.over(), "backward: the cache of the forward pass, which is read, is gone or was assigned to");
    require(dcache.batch() == a.batch && dcache.capacity() == a.capacity, "backward: cache_gradients of ", dcache.batch(),
            " sequences of ", dcache.capacity(), " positions, for a pass over ", a.batch, " of ", a.capacity);
    require(dcache.keys(0).data() != a.placed_cache, "backward: cache_gradients is the pass's own cache, which is read");
  }

  /// dy (N, d): the gradient of the last rows, then of the first. `ddepth` (L) or empty; `dcache` is scratch, of the same
  /// routing. `ready(l)` is called once all gradients of layer l are complete, from the last layer to the first.
  template <class KernelOf>
  void backward(X dy, const std::vector<LayerWeights<T, Space>>& dlayers, const std::vector<X>& ddepth, Cache<T, Space>& dcache,
                Activations<T, Space>& a, const KernelOf& kernel_of, const Observer& ready = {}) const {
    GradientScratch<T, Space>& g = a.gradient;
    const bool averages = !depth_.empty();
    check_gradients(dcache, a);
    if (!g.pooled.empty()) zero(X(g.pooled));
    if (!g.outputs.empty()) zero(X(g.outputs));
    const std::vector<X> joined = place_joined<std::invoke_result_t<KernelOf, std::size_t>>(dlayers, a);
    place_gradients(dcache, g, joined);
    for (std::size_t l = count(); l-- > 0;) {  // dy: the gradient of block l's output, then of its input
      if (averages) {
        depth_average_backward(g.outputs.slice(0, l + 2), ddepth[l], dy, a.stream.slice(0, l + 2), depth_[l]);
        copy(dy, g.outputs.slice(l + 1, 1).reshape(dy.shape()));
        linear_backward_bias(bias_of(dlayers, l), dy);
      }
      feed_forward(l).backward(dy, dlayers[l], a.layer(l), a.block_normed);
      zero_accumulated(l, dcache);
      attention(l).backward(dy, a.block_input(l), l > 0 && !averages ? bias_of(dlayers, l - 1) : X(), dlayers[l],
                            g.heads.slice(l, 1).reshape({routing_.heads}), joined[l], dcache, a, heads(a, l), kernel_of(l));
      if (ready) ready(l);
    }
    if (!g.outputs.empty()) add(dy, dy, g.outputs.slice(0, 1).reshape(dy.shape()));
  }

  /// The heads that each query head of layer l reads, and its place among their readers, after `place`.
  RoutedHeads<T, Space> heads(const Activations<T, Space>& a, std::size_t l) const {
    const Shape shape{routing_.heads};
    ReaderCounts counts;
    if constexpr (!std::is_same_v<Space, Cpu>)
      counts = count_readers(std::span(routing_.readers).subspan(l * routing_.heads, routing_.heads));
    return {a.heads.slice(l, 1).reshape(shape), a.readers.slice(l, 1).reshape(shape), counts};
  }

 private:
  AttentionLayer<T, Space> attention(std::size_t l) const {
    const LayerWeights<T, Space>& w = layers_[l];
    const View<Sum<T>, Space> none;
    return {w,
            routing_,
            l,
            settings_.norm_epsilon,
            l < settings_.rotary_layers ? View<Sum<T>, Space>(settings_.rope) : none,
            value_mix(l)};
  }
  FeedForward<T, Space> feed_forward(std::size_t l) const { return {layers_[l], settings_.norm_epsilon}; }
  /// The gradient of the bias that block l adds last.
  static X bias_of(const std::vector<LayerWeights<T, Space>>& dlayers, std::size_t l) {
    return dlayers[l].up.empty() ? dlayers[l].output_bias : dlayers[l].down_bias;
  }

  void check(const std::vector<std::size_t>& counts, std::size_t rows, const Cache<T, Space>& cache, Keep keep) const {
    std::size_t sum = 0;
    require(!layers_.empty(), "a model that was moved away");
    cache.require_routing(routing_);
    require(counts.size() == cache.batch(), "batch of ", counts.size(), " sequences with a cache of ", cache.batch());
    for (std::size_t b = 0; b < counts.size(); ++b) {
      const std::size_t count = counts[b], held = cache.lengths()[b], length = held + std::min(count, SIZE_MAX - held);
      require(length <= settings_.max_positions, "sequence ", b, " would be ", length,
              " tokens long: max_position_embeddings is ", settings_.max_positions);
      require(length <= cache.capacity(), "sequence ", b, " would be ", length, " tokens long: the cache holds ",
              cache.capacity());
      require(keep == Keep::nothing || (cache.lengths()[b] == 0 && count == cache.capacity()), "sequence ", b,
              ": a pass kept for backward starts from an empty cache and fills it");
      sum += count;
    }
    require(sum == rows && rows > 0, "batch of ", rows, " tokens whose counts sum to ", sum, ": must be equal and positive");
  }

  void place_rows(const std::vector<std::size_t>& counts, const Cache<T, Space>& cache, Activations<T, Space>& a) const {
    if (a.counts == counts && a.pasts == cache.lengths()) return;
    a.counts = counts, a.pasts = cache.lengths();
    std::vector<std::int32_t> positions(a.rows), row_begin(counts.size() + 1), past(counts.size());
    std::size_t rows = 0, max_rows = 0, max_keys = 0;
    for (std::size_t b = 0; b < counts.size(); ++b) {
      const std::size_t length = cache.lengths()[b], count = counts[b];
      for (std::size_t i = 0; i < count; ++i) positions[rows++] = static_cast<std::int32_t>(length + i);
      row_begin[b + 1] = static_cast<std::int32_t>(rows);
      past[b] = static_cast<std::int32_t>(length);
      max_rows = std::max(max_rows, count);
      max_keys = std::max(max_keys, length + count);
    }
    const auto upload = [](const Tensor<std::int32_t, Space>& to, const std::vector<std::int32_t>& from) {
      copy(to, View<const std::int32_t>(from.data(), {from.size()}));
    };
    upload(a.positions, positions);
    upload(a.row_begin, row_begin);
    upload(a.past, past);
    if constexpr (!std::is_same_v<Space, Cpu>) max_keys = cache.capacity();  // so that launches are the same for any lengths
    a.sequences = {a.row_begin, a.past, max_rows, max_keys};
  }

  void place_heads(const Cache<T, Space>& cache, Activations<T, Space>& a) const {
    auto table = resolve<const T>(
        routing_, cache, X(a.pooled), [&](std::size_t l) -> X { return a.layer(l).key; },
        [&](std::size_t l) -> X { return a.layer(l).value; });
    const Shape shape{routing_.layers, routing_.heads};
    if (a.placed_readers != routing_.readers) {
      if (!(a.readers.shape() == shape)) a.readers = Tensor<HeadReader, Space>(shape);
      copy(a.readers, View<const HeadReader>(routing_.readers.data(), shape));
      a.placed_readers = routing_.readers;
    }
    if (table == a.resolved) return;
    if (!(a.heads.shape() == shape)) a.heads = Tensor<HeadPair<const T, Space>, Space>(shape);
    copy(a.heads, View<const HeadPair<const T, Space>>(table.data(), shape));
    a.resolved = std::move(table);
  }
  /// Whether layer l's projections alone read the gradients that its attention writes, and can read them in one product: on the
  /// device, where attention writes strided rows.
  bool joins(std::size_t l, const LayerWeights<T, Space>& dw) const {
    const Routing& r = routing_;
    const LayerWeights<T, Space>& w = layers_[l];
    return !std::is_same_v<Space, Cpu> && !r.has_latent() && !r.mixes_values && r.means.empty() && w.query_norm.empty() &&
           r.overwrites_keys(l) && r.overwrites_values(l) && r.last_key_reader(l) == l && r.last_value_reader(l) == l &&
           !join(w).weight.empty() && !join(dw).weight.empty();
  }
  /// Per layer the matrix (N, W) with the gradients of queries, keys and values side by side, empty where there is none. All
  /// layers use the same memory.
  template <class Kernel>
  std::vector<X> place_joined(const std::vector<LayerWeights<T, Space>>& dlayers, Activations<T, Space>& a) const {
    GradientScratch<T, Space>& g = a.gradient;
    std::vector<X> joined(count());
    std::size_t most = 0, separate = count();
    const auto width = [&](std::size_t l) {
      return std::is_same_v<Kernel, SoftmaxAttention<T, Space>> && joins(l, dlayers[l]) ? join(layers_[l]).weight.extent(0) : 0;
    };
    for (std::size_t l = 0; l < count(); ++l) most = std::max(most, width(l));
    if (g.joined.size() < a.rows * most) g.joined = Tensor<T, Space>({a.rows, most});
    for (std::size_t l = 0; l < count(); ++l)
      if (const std::size_t columns = width(l)) joined[l] = X(g.joined.data(), {a.rows, columns}), --separate;
    if (separate && g.query.empty()) g.query = Tensor<T, Space>(a.layer(0).query.shape());
    return joined;
  }
  /// Where attention writes dk and dv, in `g.heads`.
  void place_gradients(const Cache<T, Space>& dcache, GradientScratch<T, Space>& g, const std::vector<X>& joined) const {
    auto table = resolve<T>(
        routing_, dcache, X(g.pooled), [&](std::size_t) -> X { return g.key; }, [&](std::size_t) -> X { return g.value; });
    for (std::size_t l = 0; l < count(); ++l) {
      const X rows = joined[l];
      const auto head_at = [&](std::size_t column) {
        return Head<T, Space>{rows.data() + column, dcache.capacity() * rows.width(), rows.width()};
      };
      const std::size_t values = routing_.heads * routing_.key_width + routing_.key_columns(l);
      for (std::size_t h = 0; h < routing_.heads && !rows.empty(); ++h) {
        const HeadName &key = routing_.key(l, h), &value = routing_.value(l, h);
        HeadPair<T, Space>& pair = table[l * routing_.heads + h];
        if (key.layer == l) pair.key = head_at((routing_.heads + key.head) * routing_.key_width);
        if (!value.none() && value.layer == l) pair.value = head_at(values + value.head * routing_.value_width);
      }
    }
    if (table == g.resolved) return;
    copy(g.heads, View<const HeadPair<T, Space>>(table.data(), g.heads.shape()));
    g.resolved = std::move(table);
  }
  /// Gradients begin where what they are of is read last, here in layer l: attention overwrites there, all else accumulates.
  void zero_accumulated(std::size_t l, Cache<T, Space>& dcache) const {
    for (std::size_t m = 0; m <= l; ++m) {
      if (routing_.last_key_reader(m) == l && !routing_.overwrites_keys(m)) zero(dcache.keys(m));
      if (routing_.last_value_reader(m) == l && !routing_.overwrites_values(m)) zero(dcache.values(m));
    }
  }

  BlockSettings<T, Space> settings_;
  Routing routing_;
  std::vector<LayerWeights<T, Space>> layers_;
  std::vector<X> depth_;
  Tensor<T, Space> value_mix_;
};

}  // namespace skipv1
