// The decoder, written once for all variants, both architectures, every scalar and memory space (docs/spec/models.md, "Block").
// Training, prefill and decoding are the same pass: keys and values always lie in a cache; training's holds just the batch at
// hand.
#pragma once

#include "skipv1/model/blocks.hpp"
#include "skipv1/model/config.hpp"
#include "skipv1/model/weights.hpp"

namespace skipv1 {

template <class T, class Space = Cpu>
class Decoder {
 public:
  /// Called after each layer's attention with its number: for traces and pictures.
  using Observer = typename Blocks<T, Space>::Observer;

  /// A model of a valid configuration (throws otherwise) over `parameters`, which it reads where they lie and which must outlive
  /// it. `routing` replaces the configuration's own table, for experiments; it must own the same heads
  /// and read no others (throws otherwise).
  Decoder(const Config& config, const Parameters<T, Space>& parameters)
      : Decoder(config, parameters, (validate(config), make_routing(config))) {}
  Decoder(const Config& config, const Parameters<T, Space>& parameters, Routing routing);
  // Over temporary parameters it would read freed memory.
  Decoder(const Config& config, const Parameters<T, Space>&& parameters) = delete;
  Decoder(const Config& config, const Parameters<T, Space>&& parameters, Routing routing) = delete;

  const Config& config() const { return config_; }
  const Routing& routing() const { return blocks_.routing(); }
  /// For kernels of one's own: the weights where they lie, and what else blocks compute with.
  const Weights<T, Space>& weights() const { return weights_; }
  const Blocks<T, Space>& blocks() const { return blocks_; }
  /// `1 / sqrt(width of a query head)`.
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(config_.query_width())); }

  /// Processes `batch` after what `cache` holds and appends its keys and values to the cache. Returns the logits (R, V), R = N
  /// rows or the last of each sequence; none for `Logits::none` and `in_parts`. Throws, with the cache unchanged, on a token
  /// outside the vocabulary, a sequence beyond `max_position_embeddings` or the cache's capacity, or counts that do not fit the
  /// batch. `Keep::for_backward` needs an empty cache filled exactly by the batch.
  View<T, Space> forward(const Batch& batch, Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep = Keep::nothing,
                         Logits wanted = Logits::all, const Observer& observer = {}) const;

  /// The two halves of `forward`, for a caller that repeats the second (core/repeat.hpp): `place` checks the batch and brings it
  /// to where `run` reads it. For batches of the same counts with the same cache and activations `run` is the same work each
  /// time, which allocates nothing after the first. The cache's lengths stay as they are: `cache.grow(counts)` follows.
  void place(const Batch& batch, const Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep = Keep::nothing,
             Logits wanted = Logits::all) const;
  View<T, Space> run(Cache<T, Space>& cache, Activations<T, Space>& a, const Observer& observer = {}) const;
  /// As `run`, with scores of one's own (ALiBi, windows): `kernel_of(l)` is what layer l's attention does, of a type with the two
  /// functions of `SoftmaxAttention` (model/attention_layer.hpp).
  template <class KernelOf>
  View<T, Space> run_with(const KernelOf& kernel_of, Cache<T, Space>& cache, Activations<T, Space>& a,
                          const Observer& observer = {}) const;

  /// The loss of the last forward pass (over all rows): the mean cross-entropy over targets (N) that are not `ignored_target`.
  /// After `Keep::for_backward` the logits are replaced by their gradient. Throws if a target is out of range or none is left.
  double loss(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const;
  /// The three parts of `loss`: the targets go to where the second reads them, and one over how many count is returned; every
  /// row's loss and gradient; the mean.
  double place_targets(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const;
  void run_loss(double scale, Activations<T, Space>& a) const;
  double mean_loss(double scale, const Activations<T, Space>& a) const;

  /// Accumulates the gradients of the last `loss` into `gradients`. The cache and `a` are as `forward` and `loss` left them; `a`
  /// is consumed, so it works once per forward pass and throws otherwise. `cache_gradients` is scratch: a cache of the same
  /// routing, batch and capacity, for gradients or for heads.
  void backward(const Parameters<T, Space>& gradients, Cache<T, Space>& cache_gradients, Activations<T, Space>& a) const;
  /// As `backward`, after `run_with` the same kernels.
  template <class KernelOf>
  void backward_with(const KernelOf& kernel_of, const Parameters<T, Space>& gradients, Cache<T, Space>& cache_gradients,
                     Activations<T, Space>& a) const;
  /// As `backward`, for a loss of one's own: from the gradient `dlogits` (N, V) of the logits that `forward` returned.
  void backward(ConstView<T, Space> dlogits, const Parameters<T, Space>& gradients, Cache<T, Space>& cache_gradients,
                Activations<T, Space>& a) const;
  /// `run_loss` and `backward` in one, after a pass with `Logits::in_parts`: logits and their gradient exist for one part of the
  /// rows at a time. The result is the same but for rounding: the head's gradient is a sum over parts. `ready(l)` is
  /// called once a part of `gradients` is complete, so that it can be sent away while the rest is computed: with l = L for an
  /// untied output head, then with l = L - 1 … 0 for the layers. Embeddings, and a head tied to them, are complete at the end.
  void run_loss_backward(double scale, const Parameters<T, Space>& gradients, Cache<T, Space>& cache_gradients,
                         Activations<T, Space>& a, const Observer& ready = {}) const;

  /// The heads that each query head of layer l reads, and its place among their readers, after a forward pass with `a`.
  RoutedHeads<T, Space> heads(const Activations<T, Space>& a, std::size_t l) const { return blocks_.heads(a, l); }

 private:
  using X = View<T, Space>;

  static BlockSettings<T, Space> settings_of(const Config& config);
  void check_routing(const Routing& given) const;
  /// Throws unless `a` is of a pass of this model, and `gradients` and `dcache` can hold what belongs to it.
  void check_gradients(const Weights<T, Space>& dw, const Cache<T, Space>& dcache, const Activations<T, Space>& a) const;
  void check_pass(const Activations<T, Space>& a, const char* what) const {
    require(!parameters_life_.over(), what, ": the parameters that this decoder reads are gone");
    require(a.placed_model == weights_.tokens.data(), what, ": these activations are of another model's pass, or of none");
  }
  void check_tokens(const std::vector<std::int32_t>& tokens) const;
  static void upload(const Tensor<std::int32_t, Space>& to, const std::vector<std::int32_t>& from) {
    copy(to, View<const std::int32_t>(from.data(), {from.size()}));
  }
  auto softmax() const {
    return [scale = scale()](std::size_t) { return SoftmaxAttention<T, Space>{scale}; };
  }
  Norm<T, Space> final_norm(const Weights<T, Space>& w) const { return {w.norm, w.norm_bias, config_.norm_epsilon}; }

  /// The final norm and, but for `Logits::in_parts`, the output head, over the rows wanted.
  X output(Activations<T, Space>& a) const;
  /// The output head, from the logits' gradient (R, V): of its weight, and `dnormed` (R, d).
  void backward_head(X dnormed, const Weights<T, Space>& dw, X dlogits, X normed) const;
  /// All before it, down to the embeddings, from `a.block_normed`.
  template <class KernelOf>
  void backward_blocks(const KernelOf& kernel_of, const Weights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a,
                       const Observer& ready = {}) const;

  Config config_;
  Weights<T, Space> weights_;
  Blocks<T, Space> blocks_;
  Lifetime::Watch parameters_life_;
};

}  // namespace skipv1

#include "skipv1/model/decoder_passes.hpp"

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template class Decoder<float>;
extern template class Decoder<double>;
}  // namespace skipv1
#endif
