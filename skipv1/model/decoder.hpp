// The decoder, written once for all variants, both architectures, every scalar and memory space (docs/spec/models.md, "Block").
// Training, prefill and decoding are the same pass: keys and values always lie in a cache; training's holds just the batch at
// hand.
#pragma once

#include <functional>

#include "skipv1/model/activations.hpp"
#include "skipv1/model/weights.hpp"

namespace skipv1 {

template <class T, class Space = Cpu>
class Decoder {
 public:
  /// Called after each layer's attention with its number: for traces and pictures.
  using Observer = std::function<void(std::size_t layer)>;

  /// A model of a valid configuration (throws otherwise) over `parameters`, which it reads where they lie and which must outlive
  /// it. `routing` replaces the configuration's own table, for experiments; it must own the same heads
  /// and read no others (throws otherwise).
  Decoder(const Config& config, const Parameters<T, Space>& parameters)
      : Decoder(config, parameters, (validate(config), make_routing(config))) {}
  Decoder(const Config& config, const Parameters<T, Space>& parameters, Routing routing);

  const Config& config() const { return config_; }
  const Routing& routing() const { return routing_; }
  /// `1 / sqrt(width of a query head)`.
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(config_.query_width())); }

  /// Processes `batch` behind what `cache` holds and adds its keys and values to the cache. Returns the logits (R, V), R = N rows
  /// or the last of each sequence; none for `Logits::in_parts`. Throws, with the cache unchanged, on a token outside the
  /// vocabulary, a sequence beyond `max_position_embeddings` or the cache's capacity, or counts that do not fit the batch.
  /// `Keep::for_backward` needs an empty cache filled exactly by the batch.
  View<T, Space> forward(const Batch& batch, Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep = Keep::nothing,
                         Logits wanted = Logits::all, const Observer& observer = {}) const;

  /// The two halves of `forward`, for a caller that repeats the second (core/repeat.hpp): `place` checks the batch and brings it
  /// to where `run` reads it. For batches of the same counts with the same cache and activations `run` is the same work each
  /// time, which allocates nothing after the first. The cache's lengths stay as they are: `cache.grow(counts)` follows.
  void place(const Batch& batch, const Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep = Keep::nothing,
             Logits wanted = Logits::all) const;
  View<T, Space> run(Cache<T, Space>& cache, Activations<T, Space>& a, const Observer& observer = {}) const;

  /// As `forward`, from the stream's first rows `inputs` (N, d) instead of tokens' embeddings, sequence by sequence of `counts`
  /// rows, to the final norm's rows (N, d) instead of logits: for inputs and outputs that are no tokens.
  View<T, Space> forward_rows(ConstView<T, Space> inputs, const std::vector<std::size_t>& counts, Cache<T, Space>& cache,
                              Activations<T, Space>& a, Keep keep = Keep::nothing, const Observer& observer = {}) const;

  /// The loss of the last forward pass (over all rows): the mean cross-entropy over targets (N) that are not `ignored_target`.
  /// After `Keep::for_backward` the logits are replaced by their gradient. Throws if a target is out of range or none is left.
  double loss(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const;
  /// The three parts of `loss`: the targets go to where the second reads them, and one over how many count is returned; every
  /// row's loss and gradient; the mean.
  double place_targets(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const;
  void run_loss(double scale, Activations<T, Space>& a) const;
  double mean_loss(double scale, const Activations<T, Space>& a) const;

  /// Adds to `gradients` the gradients of the last `loss`. The cache and `a` are as `forward` left them, and `a` is used up;
  /// `cache_gradients` is scratch: a cache of the same routing, batch and capacity, for gradients or for heads.
  void backward(const Parameters<T, Space>& gradients, Cache<T, Space>& cache_gradients, Activations<T, Space>& a) const;
  /// `run_loss` and `backward` in one, after a pass with `Logits::in_parts`: logits and their gradient exist for one part of the
  /// rows at a time. The result is the same but for rounding: the head's gradient is a sum over parts.
  void run_loss_backward(double scale, const Parameters<T, Space>& gradients, Cache<T, Space>& cache_gradients,
                         Activations<T, Space>& a) const;

  /// As `backward`, from the gradient `doutputs` (N, d) of what `forward_rows` returned. Returns the gradient of its inputs
  /// (N, d), which lies in `a`.
  View<T, Space> backward_rows(ConstView<T, Space> doutputs, const Parameters<T, Space>& gradients,
                               Cache<T, Space>& cache_gradients, Activations<T, Space>& a) const;

  /// The heads that each query head of layer l reads, and its place among their readers, after a forward pass with `a`.
  RoutedHeads<T, Space> heads(const Activations<T, Space>& a, std::size_t l) const {
    const Shape shape{config_.num_attention_heads};
    return {a.heads.slice(l, 1).reshape(shape), a.readers.slice(l, 1).reshape(shape)};
  }

 private:
  using X = View<T, Space>;

  void check_routing() const;
  /// Key heads that layer l computes; for MLA the one rotary key.
  std::size_t owned_keys(std::size_t l) const { return routing_.has_latent() ? 1 : routing_.owned_keys[l]; }
  void check(const std::vector<std::size_t>& counts, std::size_t rows, const Cache<T, Space>& cache, Keep keep) const;
  void check(const std::vector<std::int32_t>& tokens) const;
  /// Brings positions and the sequences' places to where the operations read them.
  void place_rows(const std::vector<std::size_t>& counts, const Cache<T, Space>& cache, Activations<T, Space>& a) const;
  static void upload(const Tensor<std::int32_t, Space>& to, const std::vector<std::int32_t>& from) {
    copy(to, View<const std::int32_t>(from.data(), {from.size()}));
  }
  /// The routing table as pointers into `cache`; for MLA into the keys and values made of it, for pooled heads into their means.
  template <class U, class LatentKey, class LatentValue>
  std::vector<HeadPair<U, Space>> resolve(const Cache<T, Space>& cache, X pooled, const LatentKey& latent_key,
                                          const LatentValue& latent_value) const;
  void resolve_heads(const Cache<T, Space>& cache, Activations<T, Space>& a) const;
  /// Columns `i width … ` of x (B, C, w) as a head.
  static Head<T, Space> part(X x, std::size_t i, std::size_t width) {
    return {x.data() + i * width, x.extent(1) * x.width(), x.width()};
  }
  /// Positions `0 … keys - 1` of sequence b of x (B, C, w), as rows (keys, w).
  static X positions_of(X x, std::size_t b, std::size_t keys) {
    return {x.data() + b * x.extent(1) * x.width(), {keys, x.width()}};
  }
  /// Mean number m of pooled (P, B, C, d_v).
  static Head<T, Space> mean(X pooled, std::size_t m) {
    return {pooled.data() + m * (pooled.size() / pooled.extent(0)), pooled.extent(2) * pooled.width(), pooled.width()};
  }

  void normalize(X y, View<Sum<T>, Space> statistics, X x, X weight, X bias) const {
    if (!config_.theory.norms)
      copy(y, x);
    else if (config_.gpt2())
      layer_norm_forward(y, statistics, x, weight, bias, config_.norm_epsilon);
    else
      rms_norm_forward(y, statistics, x, weight, config_.norm_epsilon);
  }
  /// dx becomes the gradient of the stream before the norm; its rows' sum is that of the bias last added there, `stream_bias`.
  void normalize_backward(X dx, X dweight, X dbias, X dy, X x, X weight, View<Sum<T>, Space> statistics, X stream_bias) const {
    if (!config_.theory.norms) {
      add(dx, dx, dy);
      linear_backward_bias(stream_bias, dx);
    } else if (config_.gpt2()) {
      layer_norm_backward(dx, dweight, dbias, dy, x, weight, statistics, stream_bias);
    } else {
      rms_norm_backward(dx, dweight, dy, x, weight, statistics, stream_bias);
    }
  }

  /// All blocks, from the stream's first rows.
  void run_blocks(Cache<T, Space>& cache, Activations<T, Space>& a, const Observer& observer) const;
  /// `middle = x + W_O attention(norm1(x))`.
  void attend(std::size_t l, Cache<T, Space>& cache, Activations<T, Space>& a) const;
  void store_keys(std::size_t l, Cache<T, Space>& cache, Activations<T, Space>& a) const;
  void store_values(std::size_t l, Cache<T, Space>& cache, Activations<T, Space>& a) const;
  /// Layer l's lambda: learned, or the configuration's.
  X mix(std::size_t l) const { return weights_.layers[l].value_mix.empty() ? X(value_mix_) : weights_.layers[l].value_mix; }

  /// Means of two of layer l's heads, over everything in the cache.
  void pool(std::size_t l, const Cache<T, Space>& cache, Activations<T, Space>& a) const;
  /// MLA: the latent from its parts, then every head's key `[W_uk c | k_r]` and value `W_uv c`, over everything in the cache.
  void expand(std::size_t l, const Cache<T, Space>& cache, Activations<T, Space>& a) const;
  /// `X_{l+1} = middle + FFN(norm2(middle))`.
  void feed_forward(std::size_t l, Activations<T, Space>& a) const;
  /// The final norm and, but for `Logits::in_parts`, the output head, over the rows wanted.
  X output(Activations<T, Space>& a) const;

  /// The output head, from the logits' gradient (R, V): of its weight, and `dnormed` (R, d).
  void backward_head(X dnormed, const Weights<T, Space>& dw, X dlogits, X normed) const;
  /// All before it, down to the embeddings, from `a.gradient.normed`.
  void backward_tokens(const Weights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a) const;
  /// From the gradient of the final norm's rows; returns that of the stream's first rows.
  X backward_blocks(X dnormed, const Weights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a) const;
  /// Where attention writes dk and dv, in `g.heads`.
  void resolve_gradients(const Cache<T, Space>& dcache, GradientScratch<T, Space>& g) const;
  void backward_feed_forward(std::size_t l, const LayerWeights<T, Space>& dw, X dx, Activations<T, Space>& a) const;
  /// `stream_bias`: the gradient of the bias that the block before adds last.
  void backward_attend(std::size_t l, const Weights<T, Space>& dw, X dx, X stream_bias,
                       View<const HeadPair<T, Space>, Space> dheads, Cache<T, Space>& dcache, Activations<T, Space>& a) const;
  void backward_values(std::size_t l, const LayerWeights<T, Space>& dw, X dnormed, Cache<T, Space>& dcache,
                       Activations<T, Space>& a) const;
  void backward_expand(std::size_t l, const LayerWeights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a) const;

  Config config_;
  Routing routing_;
  Weights<T, Space> weights_;
  Tensor<Sum<T>, Space> rope_;
  Tensor<T, Space> value_mix_;
};

}  // namespace skipv1

#include "skipv1/model/decoder_forward.hpp"
#include "skipv1/model/decoder_backward.hpp"

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template class Decoder<float>;
extern template class Decoder<double>;
}  // namespace skipv1
#endif
