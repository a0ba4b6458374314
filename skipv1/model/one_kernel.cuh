// Decoding by one kernel: any number of tokens for each of up to 16 sequences in one launch, all layers, the choice of the next
// token included (docs/performance/one-kernel.md). A launch per operation costs as much as the work where a step takes less than
// a millisecond; here one block per multiprocessor stays, and blocks wait for each other at a barrier in global memory.
#pragma once

#include <string>
#include <vector>

#include "skipv1/device/resident.cuh"
#include "skipv1/kernel/wgmma.cuh"
#include "skipv1/model/one_kernel/fast.cuh"
#include "skipv1/model/one_kernel/tables.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// How the one-kernel step is laid out; zeros: as suits the device.
struct OneKernelShape {
  std::size_t blocks = 0, threads = one_kernel::most_threads, splits = 0;
  bool plain = false;  ///< without tensor cores and loads of 16 bytes
};

/// The likeliest tokens after what a cache holds, or the logits to draw them from. Reads the decoder's weights and the cache
/// where they lie.
template <class T>
class OneKernel {
 public:
  static constexpr std::size_t most_sequences = 16;

  /// Why this decoder with `sequences` sequences cannot be served, in one line; empty if it can. `DecodingStep` serves all.
  static std::string why_not(const Decoder<T, Device>& decoder, std::size_t sequences);

  /// Whether it serves them and was measured to be faster than `DecodingStep` (docs/performance/one-kernel.md, "Where it is
  /// chosen"): bfloat16 on tensor cores, up to `faster_up_to` sequences, whose rows are in shared memory at once.
  static bool is_faster(const Decoder<T, Device>& decoder, std::size_t sequences);
  static constexpr std::size_t faster_up_to = 8;

  /// Throws what `why_not` says, and if not one block fits a multiprocessor.
  OneKernel(const Decoder<T, Device>& decoder, Cache<T, Device>& cache, const OneKernelShape& shape = {});

  /// Appends `tokens` (B) to the cache, then the likeliest token after them, and so on, `count` positions in all; returns the
  /// tokens chosen, (count, B): the last row is not in the cache yet. Throws, with the cache's lengths unchanged, on a token
  /// outside the vocabulary, where a sequence would not fit the cache or `max_position_embeddings`, or if a logit is NaN.
  Tensor<std::int32_t> operator()(const std::vector<std::int32_t>& tokens, std::size_t count);

  /// Starts the same without waiting for its end, for `positions()` held, which stay as they are: for timing.
  void launch_steps(std::size_t count);
  /// Logits (B, V) of the last position; they lie here until the next call.
  View<T, Device> logits() const { return logits_; }
  /// From now on launches leave each block's clock before and after the last N barriers in `to` (N, blocks, 2).
  void time_barriers(View<std::uint64_t, Device> to) {
    a_.timeline = to.data(), a_.timed_barriers = static_cast<std::uint32_t>(to.extent(0));
  }
  /// Blocks of the launch, and parts that a sequence's keys are cut into.
  std::size_t blocks() const { return shape_.blocks; }
  std::size_t splits() const { return a_.splits; }

 private:
  using S = Sum<T>;

  /// The decoder, if it can be served with that cache. Throws otherwise.
  static const Decoder<T, Device>& served(const Decoder<T, Device>& decoder, const Cache<T, Device>& cache) {
    cache.require_routing(decoder.routing());
    const std::string reason = why_not(decoder, cache.batch());
    require(reason.empty(), reason);
    return decoder;
  }
  static one_kernel::Arguments<T> sizes_of(const Decoder<T, Device>& decoder, std::size_t sequences);
  void set_sizes();
  void set_memory();
  void choose_shape(const OneKernelShape& wanted);
  /// Shared memory of a kernel that multiplies by `tiles` tiles of 8 sequences at once, and whether a block has it.
  one_kernel::SharedPlan<T> plan(unsigned tiles) const { return {a_, static_cast<unsigned>(shape_.threads / warp_size), tiles}; }
  bool fits(unsigned tiles) const { return plan(tiles).total <= shared_memory_of_block(); }
  /// Stages as many sequences' rows at once as fit; returns how many blocks are on the device then.
  std::size_t fit_rows();
  void place(const std::vector<std::int32_t>& tokens, std::size_t count);
  /// Whether rows can be read by loads of 16 bytes, and multiplied on tensor cores.
  static bool can_be_fast(const one_kernel::Arguments<T>& a) {
    return std::is_same_v<T, bfloat16> && a.hidden % 8 == 0 && a.intermediate % 8 == 0 && a.key_width % 8 == 0 &&
           a.value_width % 8 == 0;
  }
  bool fast() const { return can_be_fast(a_) && !shape_.plain; }
  /// Whether `decode_single` serves: one sequence, whose query heads each read heads of their own, in a piece a block.
  bool single() const {
    return several() && a_.batch == 1 && a_.hidden <= 8 * shape_.threads && a_.value_width % 32 == 0 && a_.splits <= 16 &&
           a_.outputs == 1 && !decoder_.routing().mixes_values && tables_.all_alone() &&
           tables_.most_groups() * a_.splits <= shape_.blocks;
  }
  /// Whether `decode_several` serves: up to 8 sequences, whose rows are in shared memory at once.
  bool several() const { return fast() && a_.pairs_ahead > 0 && a_.at_once == a_.batch; }
  /// Calls `f(kernel, tiles of 8 sequences that it multiplies by at once)`.
  template <class F>
  auto with_kernel(const F& f) const {
    using one_kernel::Products;
    if constexpr (std::is_same_v<T, bfloat16>) {
      if (single()) return f(one_kernel::decode_single<T>, 1u);
      if (several() && tables_.all_alone()) return f(one_kernel::decode_several<T, true>, 1u);
      if (several()) return f(one_kernel::decode_several<T, false>, 1u);
      if (fast()) return f(one_kernel::decode_tokens<T, Products::fast, 2>, 2u);
    }
    return a_.batch <= 8 ? f(one_kernel::decode_tokens<T, Products::plain, 1>, 1u)
                         : f(one_kernel::decode_tokens<T, Products::plain, 2>, 2u);
  }

  const Decoder<T, Device>& decoder_;
  Cache<T, Device>& cache_;
  one_kernel::LayerTables<T> tables_;
  one_kernel::RowsAhead<T> rows_ahead_;
  OneKernelShape shape_;
  one_kernel::Arguments<T> a_{};
  std::size_t steps_ = 0;  ///< that `tokens_` has room for
  Tensor<T, Device> stream_, averaged_, middle_, inner_, query_, attended_, logits_;
  Tensor<S, Device> partial_;
  Tensor<one_kernel::Best<S>, Device> best_;
  Tensor<std::int32_t, Device> past_, tokens_;
  Tensor<std::uint32_t, Device> counter_, numbered_;
};

template <class T>
std::string OneKernel<T>::why_not(const Decoder<T, Device>& decoder, std::size_t sequences) {
  const Routing& table = decoder.routing();
  if (!has_sm90a()) return "one kernel: compute capability 9.0 is needed";
  if (table.has_latent()) return "one kernel: variant " + decoder.config().attention.variant + " has a latent";
  if (decoder.config().qk_norm) return "one kernel: queries and keys have a norm";
  if (sequences == 0 || sequences > most_sequences)
    return "one kernel: " + std::to_string(sequences) + " sequences: 1 to " + std::to_string(most_sequences) + " are served";
  if (table.key_width > 256 || table.value_width > 256) return "one kernel: heads wider than 256";
  one_kernel::Arguments<T> a = sizes_of(decoder, sequences);
  a.at_once = 1;
  const one_kernel::SharedPlan<T> plan(a, one_kernel::most_threads / warp_size, a.batch <= 8 && !can_be_fast(a) ? 1 : 2);
  if (plan.total > shared_memory_of_block())
    return "one kernel: a row of " + std::to_string(std::max(a.hidden, a.intermediate)) + " numbers does not fit shared memory";
  return {};
}

template <class T>
bool OneKernel<T>::is_faster(const Decoder<T, Device>& decoder, std::size_t sequences) {
  if (sequences > faster_up_to || !why_not(decoder, sequences).empty()) return false;
  one_kernel::Arguments<T> a = sizes_of(decoder, sequences);
  a.at_once = a.batch;
  return can_be_fast(a) &&
         one_kernel::SharedPlan<T>(a, one_kernel::most_threads / warp_size, 1).total <= shared_memory_of_block();
}

template <class T>
one_kernel::Arguments<T> OneKernel<T>::sizes_of(const Decoder<T, Device>& decoder, std::size_t sequences) {
  const Config& c = decoder.config();
  const Routing& table = decoder.routing();
  const auto u32 = [](std::size_t n) { return static_cast<std::uint32_t>(n); };
  one_kernel::Arguments<T> a{};
  a.batch = u32(sequences), a.layers = u32(table.layers), a.hidden = u32(c.hidden_size);
  a.intermediate = u32(c.intermediate_size), a.vocab = u32(c.vocab_size), a.heads = u32(table.heads);
  a.key_width = u32(table.key_width), a.value_width = u32(table.value_width);
  a.per_value = static_cast<std::uint32_t>((std::uint64_t{1} << 32) / a.value_width + 1);
  a.pairs_ahead = a.batch <= 8 ? one_kernel::tile_pairs : 0;  // at least, and for lack of room none
  const View<S, Device> rope = decoder.blocks().settings().rope;
  a.rope = rope.empty() ? nullptr : rope.data();
  a.rope_half = rope.empty() ? 0 : u32(rope.extent(1));
  return a;
}

template <class T>
OneKernel<T>::OneKernel(const Decoder<T, Device>& decoder, Cache<T, Device>& cache, const OneKernelShape& shape)
    : decoder_(decoder), cache_(cache), tables_(served(decoder, cache), cache) {
  set_sizes();
  choose_shape(shape);
  set_memory();
}

template <class T>
void OneKernel<T>::set_sizes() {
  const Config& c = decoder_.config();
  const Weights<T, Device>& w = decoder_.weights();
  const auto u32 = [](std::size_t n) { return static_cast<std::uint32_t>(n); };
  const auto data = [](const auto& x) { return x.empty() ? nullptr : x.data(); };
  a_ = sizes_of(decoder_, cache_.batch());
  a_.capacity = u32(cache_.capacity());
  a_.outputs = w.depth.empty() ? 1 : a_.layers + 1;
  a_.layer_norm = c.gpt2(), a_.gated = !c.gpt2();
  a_.epsilon = static_cast<S>(c.norm_epsilon);
  a_.scale_log2 = static_cast<S>(decoder_.scale() * 1.4426950408889634);
  a_.token_table = data(w.tokens), a_.position_table = data(w.positions);
  a_.norm = data(w.norm), a_.norm_bias = data(w.norm_bias);
  a_.layer = tables_.layers();
  a_.first_values = cache_.values(0).data(), a_.first_columns = u32(decoder_.routing().value_columns(0));
}

template <class T>
void OneKernel<T>::choose_shape(const OneKernelShape& wanted) {
  shape_ = wanted;
  require(shape_.threads % warp_size == 0 && shape_.threads <= one_kernel::most_threads, "one kernel: blocks of ", shape_.threads,
          " threads: a multiple of 32, at most ", one_kernel::most_threads);
#if defined(__CUDACC__)
  shape_.threads = one_kernel::most_threads;
#endif
  const std::size_t most = fit_rows();
  if (shape_.blocks == 0) shape_.blocks = most;
  a_.per_block = static_cast<std::uint32_t>(0xffffffffu / shape_.blocks);
  require(shape_.blocks <= most, "one kernel: ", shape_.blocks, " blocks: ", most, " are on the device at once");
  if (several()) {
    const std::size_t pairs = tables_.most_projected() / 2 + 3;  // three odd numbers of rows
    a_.pairs_ahead = static_cast<std::uint32_t>(ceil_div(ceil_div(pairs, shape_.blocks), 8u) * 8);
    if (!fits(1)) a_.pairs_ahead = 0, fit_rows();
  }
  const double merge = std::max(0.015, 0.0125 * static_cast<double>(a_.batch));  // of a split, which every block does
  const auto rounds = [&](std::size_t splits) {  // per split: what the block with the most pieces takes
    return static_cast<double>(ceil_div(a_.batch * tables_.most_groups() * splits, shape_.blocks)) / static_cast<double>(splits) +
           merge * static_cast<double>(splits);
  };
  std::size_t best = shape_.splits ? shape_.splits : 1;
  for (std::size_t splits = 2; !shape_.splits && splits <= 16; ++splits)
    if (rounds(splits) < rounds(best)) best = splits;
  a_.splits = static_cast<std::uint32_t>(best);
  const std::size_t warps = shape_.threads / warp_size, pieces = a_.batch * tables_.most_groups() * best;
  a_.pieces_at_once = pieces > shape_.blocks && warps % 2 == 0 ? 2 : 1;
}

template <class T>
std::size_t OneKernel<T>::fit_rows() {
  for (a_.at_once = a_.batch; a_.at_once > 0; --a_.at_once) {
    const std::size_t most = with_kernel([&](auto kernel, unsigned tiles) -> std::size_t {
      require(shape_.threads >= 64 * tiles, "one kernel: blocks of ", shape_.threads, " threads: at least ", 64 * tiles);
      return fits(tiles) ? resident_blocks(kernel, shape_.threads, plan(tiles).total) : 0;
    });
    if (most > 0) return most;
  }
  fail("one kernel: a row of ", std::max(a_.hidden, a_.intermediate), " numbers does not fit shared memory");
}

template <class T>
void OneKernel<T>::set_memory() {
  const std::size_t B = a_.batch, d = a_.hidden;
  const auto take = [](auto& tensor, Shape shape) {
    tensor = std::remove_reference_t<decltype(tensor)>(shape);
    return tensor.data();
  };
  if (several()) rows_ahead_ = {a_, tables_.on_host(), static_cast<std::uint32_t>(shape_.blocks)};
  if (several()) a_.rows_ahead = rows_ahead_.rows(), a_.bounds_ahead = rows_ahead_.bounds();
  a_.stream = take(stream_, {a_.outputs, B, d});
  a_.averaged = a_.outputs > 1 ? take(averaged_, {B, d}) : nullptr;
  a_.middle = take(middle_, {B, d}), a_.inner = take(inner_, {B, a_.intermediate});
  a_.query = take(query_, {B, std::size_t{a_.heads} * a_.key_width}), a_.logits = take(logits_, {B, a_.vocab});
  a_.partial = take(partial_, {single() ? 2 : B, a_.heads, a_.splits, a_.part_width()});
  a_.attended = take(attended_, {B, std::size_t{a_.heads} * a_.value_width});
  a_.best = take(best_, {shape_.blocks, B});
  a_.past = take(past_, {B}), a_.barrier_counter = take(counter_, {1});
  a_.numbered_stream = take(numbered_, {2 * d + a_.intermediate + std::size_t{a_.heads} * a_.key_width});
  a_.numbered_middle = a_.numbered_stream + d, a_.numbered_inner = a_.numbered_middle + d;
  a_.numbered_query = a_.numbered_inner + a_.intermediate;
}

template <class T>
void OneKernel<T>::place(const std::vector<std::int32_t>& tokens, std::size_t count) {
  require(tokens.size() == a_.batch && count > 0, "one kernel: ", tokens.size(), " tokens and ", count, " positions for ",
          std::size_t{a_.batch}, " sequences");
  std::vector<std::int32_t> past;
  for (std::size_t b = 0; b < tokens.size(); ++b) {
    require(tokens[b] >= 0 && static_cast<std::uint32_t>(tokens[b]) < a_.vocab, "token ", tokens[b], " at ", b,
            " is outside the vocabulary of ", std::size_t{a_.vocab});
    const std::size_t length = cache_.lengths()[b] + count, most = decoder_.config().max_position_embeddings;
    require(length <= most, "sequence ", b, " would be ", length, " tokens long: max_position_embeddings is ", most);
    require(length <= cache_.capacity(), "sequence ", b, " would be ", length, " tokens long: the cache holds ",
            cache_.capacity());
    past.push_back(static_cast<std::int32_t>(cache_.lengths()[b]));
  }
  if (count > steps_) {
    tokens_ = Tensor<std::int32_t, Device>({count + 1, a_.batch});
    a_.tokens = tokens_.data();
    steps_ = count;
  }
  copy(past_, View<const std::int32_t>(past.data(), {past.size()}));
  copy(tokens_.slice(0, 1), View<const std::int32_t>(tokens.data(), {1, tokens.size()}));
}

template <class T>
void OneKernel<T>::launch_steps(std::size_t count) {
  require(count > 0 && count <= steps_, "one kernel: ", count, " steps without tokens placed for them");
  a_.steps = static_cast<std::uint32_t>(count);
  zero(View<std::uint32_t, Device>(counter_));
  if (single()) zero(View<std::uint32_t, Device>(numbered_)), zero(tables_.numbered());
  with_kernel([&](auto kernel, unsigned tiles) {
    launch({"decode_tokens", shape_.blocks, shape_.threads, plan(tiles).total, Resident::all}, kernel, a_, plan(tiles));
  });
}

template <class T>
Tensor<std::int32_t> OneKernel<T>::operator()(const std::vector<std::int32_t>& tokens, std::size_t count) {
  place(tokens, count);
  launch_steps(count);
  Tensor<std::int32_t> chosen({count, a_.batch});
  copy(chosen, tokens_.slice(1, count));
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t b = 0; b < a_.batch; ++b)
      require(chosen(i, b) != one_kernel::no_token, "one kernel: a logit of sequence ", b, " after ", cache_.lengths()[b] + i + 1,
              " tokens is NaN");
  cache_.grow(std::vector<std::size_t>(a_.batch, count));
  return chosen;
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
