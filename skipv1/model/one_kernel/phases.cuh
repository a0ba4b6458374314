// The phases of the one-kernel step, each between two barriers of the grid.
//
// Each phase but attention is a product with staged rows. All of them go through one piece of code, which looks up what it
// stages, multiplies by and stores: a copy for each phase would not stay in the instruction cache, and a phase runs once before
// the next (docs/performance/one-kernel.md).
#pragma once

#include <cstring>

#include "skipv1/model/one_kernel/ahead.cuh"
#include "skipv1/model/one_kernel/attend.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// Whether products are on tensor cores, by loads of 16 bytes (`WeightStream`).
enum class Products { plain, fast };

/// What a block does, phase by phase; N: tiles of 8 sequences that its products take at once.
template <class T, bool fast, unsigned N>
class Phases {
 public:
  using S = Sum<T>;

  SKIPV1_DEVICE_MEMBER Phases(const Arguments<T>& a, const SharedPlan<T>& plan)
      : a_(a), memory_(a, plan, N), barrier_(a.barrier_counter) {}

  /// All steps.
  SKIPV1_DEVICE_MEMBER void run() {
    begin();
    for (step_ = 0; step_ < a_.steps; ++step_)
      for (layer_ = 0; layer_ < a_.layers; ++layer_, turn_ ^= 1)
        for (unsigned phase = opaque(0); phase <= (last_layer() ? 4u : 3u); ++phase) run_phase(static_cast<Phase>(phase));
  }

 protected:
  /// What precedes the first phase.
  SKIPV1_DEVICE_MEMBER void begin() {
    for (unsigned b = thread_number(); b < a_.batch; b += block_threads()) {
      memory_.held[b] = static_cast<std::uint32_t>(a_.past[b]) + 1;
      memory_.tokens[b] = a_.tokens[b];
    }
    stage_layer(0, 0);
    if (fast) cp_async_wait<0>();
    sync_threads();
    stage_norm<fast>(memory_, layer_at(0).norm1, layer_at(0).norm1_bias, a_.hidden);
    stream_.begin(product(Phase::project, 0));
    if (fast) cp_async_wait<0>();
    sync_threads();
  }
  SKIPV1_DEVICE_MEMBER bool last_layer() const { return layer_ + 1 == a_.layers; }
  SKIPV1_DEVICE_MEMBER bool last_step() const { return step_ + 1 == a_.steps; }

  SKIPV1_DEVICE_MEMBER void run_phase(Phase phase) {
    if (phase == Phase::head) clear_best();
    for (std::uint32_t b0 = 0; b0 < a_.batch; b0 += a_.at_once) {
      if (b0 > 0) sync_threads();  // the rows before are no longer read
      memory_.rows.count = a_.batch - b0 < a_.at_once ? a_.batch - b0 : a_.at_once;
      stage(phase, b0);
      if (fast && b0 + a_.at_once >= a_.batch) stage_next_norm(phase);
      const bool last = b0 + a_.at_once >= a_.batch;
      multiply_rows(
          stream_, [&] { return product(phase, turn_); }, [&] { return last ? following(phase) : product(phase, turn_); },
          memory_.rows, memory_.reduction, [&](std::uint32_t pair, std::uint32_t n) { return addends(phase, pair, b0 + n); },
          [&](std::uint32_t pair, std::uint32_t n, S first, S second) { finish(phase, pair, b0, n, first, second); });
      if (phase == Phase::head) store_best(b0);
    }
    arrive();  // what follows does not hold the others up
    if (!fast) stage_next_norm(phase);
    if (phase == Phase::project) {
      const Piece<T> piece(a_, layer_at(turn_), memory_.held);
      piece.prefetch(a_);
      wait();
      attend<fast ? 8 : 1, fast ? 1 : 8>(memory_, a_, layer_at(turn_), piece);
      stream_.begin(product(Phase::merge, turn_));
      arrive();
      stage_layer(turn_ ^ 1, last_layer() ? 0 : layer_ + 1);
    }
    wait();
    if (phase == Phase::head) choose();
  }
  SKIPV1_DEVICE_MEMBER void arrive() {
    note_time(before_barrier);
    barrier_.arrive();
  }
  /// For the other blocks, and for copies to shared memory.
  SKIPV1_DEVICE_MEMBER void wait() {
    if (fast) cp_async_wait<0>();
    wait_for_blocks();
  }
  SKIPV1_DEVICE_MEMBER void wait_for_blocks() {
    barrier_.wait();
    note_time(after_barrier);
    ++barriers_passed_;
  }
  enum Moment : unsigned { before_barrier, after_barrier };
  /// The block's clock before or after each of its last `timed_barriers` barriers, where that is timed.
  SKIPV1_DEVICE_MEMBER void note_time(Moment moment) const {
    if (!a_.timeline || thread_number() > 0) return;
    a_.timeline[(std::size_t{barriers_passed_ % a_.timed_barriers} * grid_size().x + block().x) * 2 + moment] = cycles();
  }

  /// Brings layer l's struct to slot `slot` of shared memory, long before its addresses are needed. (The emulator's shared memory
  /// has typed elements: there it is read where it is, but copied, too, so that whoever reads too early is found.)
#if defined(__CUDACC__)
  SKIPV1_DEVICE_MEMBER void stage_layer(unsigned slot, std::uint32_t l) const {
    constexpr unsigned words = sizeof(Layer<T>) / 4;
    const auto* from = reinterpret_cast<const std::uint32_t*>(a_.layer + l);
    if constexpr (fast) {  // nobody waits for it here
      for (unsigned i = thread_number() * 4; i < words; i += block_threads() * 4)
        cp_async(memory_.layers, slot * words + i, from + i);
      cp_async_commit();
    } else {
      for (unsigned i = thread_number(); i < words; i += block_threads()) memory_.layers[slot * words + i] = from[i];
    }
  }
  SKIPV1_DEVICE_MEMBER const Layer<T>& layer_at(unsigned slot) const {
    return reinterpret_cast<const Layer<T>*>(memory_.layers.data)[slot];
  }
#else
  static constexpr unsigned layer_words = sizeof(Layer<T>) / 4;
  template <class X>
  static void stage_struct(const Shared<std::uint32_t>& to, unsigned at, const X* x) {
    for (unsigned i = thread_number() * 4; i < sizeof(X) / 4; i += block_threads() * 4)
      cp_async(to, at + i, reinterpret_cast<const std::uint32_t*>(x) + i);
    cp_async_commit();
  }
  /// `x`, if its copy is there.
  template <class X>
  static const X& staged_struct(const Shared<std::uint32_t>& copies, unsigned at, const X* x) {
    [[maybe_unused]] const std::uint32_t first = copies[at];  // a race with who copies is found
    if (std::memcmp(copies.array.data + std::size_t{at} * 4, x, sizeof(X)) != 0)
      emulator::Worker::running().report("reads a struct whose copy to shared memory has not arrived");
    return *x;
  }
  void stage_layer(unsigned slot, std::uint32_t l) {
    placed_[slot] = a_.layer + l;
    if (fast) stage_struct(memory_.layers, slot * layer_words, a_.layer + l);
  }
  const Layer<T>& layer_at(unsigned slot) const {
    return fast ? staged_struct(memory_.layers, slot * layer_words, placed_[slot]) : *placed_[slot];
  }
  const Layer<T>* placed_[2] = {};
#endif

  /// What a phase of the layer in a slot multiplies by.
  SKIPV1_DEVICE_MEMBER Product<T> product(Phase phase, unsigned slot) const { return product_of(a_, layer_at(slot), phase); }
  /// The product after a phase's: none yet before attention, and at the end.
  SKIPV1_DEVICE_MEMBER Product<T> following(Phase phase) const {
    if (phase == Phase::merge) return product(Phase::widen, turn_);
    if (phase == Phase::widen) return product(Phase::narrow, turn_);
    if (phase == Phase::narrow && last_layer()) return product(Phase::head, turn_);
    if (phase == Phase::narrow || (phase == Phase::head && !last_step())) return product(Phase::project, turn_ ^ 1);
    return {};
  }
  /// The norm that the phase after the next barrier begins with.
  SKIPV1_DEVICE_MEMBER void stage_next_norm(Phase phase) const {
    if (phase == Phase::merge) return stage_norm<fast>(memory_, layer_at(turn_).norm2, layer_at(turn_).norm2_bias, a_.hidden);
    if (phase != Phase::narrow && phase != Phase::head) return;
    const bool final = phase == Phase::narrow && last_layer();
    const Layer<T>& next = layer_at(turn_ ^ 1);
    stage_norm<fast>(memory_, final ? a_.norm : next.norm1, final ? a_.norm_bias : next.norm1_bias, a_.hidden);
  }

  SKIPV1_DEVICE_MEMBER std::uint32_t position(std::uint32_t b) const { return memory_.held[b] - 1; }
  /// The stream before layer l.
  SKIPV1_DEVICE_MEMBER T* input(std::uint32_t l) const {
    if (a_.averaged && l > 0) return a_.averaged;
    return a_.stream + std::size_t{a_.outputs > 1 ? l : 0} * a_.batch * a_.hidden;
  }

  /// Stages what a phase multiplies, of sequences b0 ….
  SKIPV1_DEVICE_MEMBER void stage(Phase phase, std::uint32_t b0) {
    constexpr unsigned V = fast ? 8 : 1;
    const bool whole = phase == Phase::merge && a_.attends_whole(layer_at(turn_));
    if (whole || phase == Phase::narrow) {
      const std::uint32_t width = whole ? a_.heads * a_.value_width : a_.intermediate;
      return stage_rows<V>(memory_, (whole ? a_.attended : a_.inner) + std::size_t{b0} * width, width);
    }
    if (phase == Phase::merge) return stage_attention < fast ? 4 : 1 > (memory_, a_, layer_at(turn_), b0);
    const bool embeds = phase == Phase::project && layer_ == 0;
    const T* x = phase == Phase::widen ? a_.middle : input(phase == Phase::head ? a_.layers : layer_);
    stage_normed<V>(
        memory_, a_.hidden, a_.layer_norm, a_.epsilon,
        [&](unsigned n) { return embeds ? token_row(b0 + n) : x + std::size_t{b0 + n} * a_.hidden; },
        [&](unsigned n, unsigned i, Vector<T, V>& e) {
          if (!embeds) return false;
          add_position(e, b0 + n, i);
          if (block().x == 0) store_exchanged(a_.stream + std::size_t{b0 + n} * a_.hidden + i, e);
          return true;
        });
  }
  SKIPV1_DEVICE_MEMBER const T* token_row(std::uint32_t b) const {
    return a_.token_table + static_cast<std::size_t>(static_cast<std::int32_t>(memory_.tokens[b])) * a_.hidden;
  }
  /// Adds the embedding of sequence b's position, where there is one.
  template <std::size_t V>
  SKIPV1_DEVICE_MEMBER void add_position(Vector<T, V>& x, std::uint32_t b, std::uint32_t i) const {
    if (!a_.position_table) return;
    const Vector<T, V> y = load_vector<V>(a_.position_table + std::size_t{position(b)} * a_.hidden + i);
    for (unsigned j = 0; j < V; ++j) x[j] = static_cast<T>(static_cast<S>(x[j]) + static_cast<S>(y[j]));
  }
  /// V elements of sequence b's embedding, which block 0 leaves in the stream.
  template <unsigned V>
  SKIPV1_DEVICE_MEMBER Vector<T, V> embedding(std::uint32_t b, std::uint32_t i) const {
    Vector<T, V> x = load_vector<V>(token_row(b) + i);
    add_position(x, b, i);
    if (block().x == 0) store_exchanged(a_.stream + std::size_t{b} * a_.hidden + i, x);
    return x;
  }

  /// What is added to a pair's sums: biases, and of phases that write the stream what it has there.
  SKIPV1_DEVICE_MEMBER Addends<S> addends(Phase phase, std::uint32_t pair, std::uint32_t b) const {
    Addends<S> sum{S(0), S(0)};
    if (phase == Phase::head) return sum;
    const Layer<T>& w = layer_at(turn_);
    const auto add_bias = [&](S& to, const Matrix<T>& m, std::uint32_t row) {
      if (m.bias && row < m.rows) to = static_cast<S>(m.bias[row]);
    };
    if (phase == Phase::widen && a_.gated) {
      add_bias(sum.first, w.gate, pair), add_bias(sum.second, w.up, pair);
    } else if (phase == Phase::project) {
      const Product<T> p = product(phase, turn_);
      p.locate(pair, [&](unsigned part, std::uint32_t local) {
        const RowPairs<T>& pairs = part == 0 ? p.part[0] : part == 1 ? p.part[1] : p.part[2];
        const Matrix<T>& m = part == 0 ? w.query : part == 1 ? w.key : w.value;
        add_bias(sum.first, m, pairs.first_of(local)), add_bias(sum.second, m, pairs.second_of(local));
      });
    } else {
      const Matrix<T>& m = phase == Phase::merge ? w.output : phase == Phase::widen ? w.up : w.down;
      add_bias(sum.first, m, 2 * pair), add_bias(sum.second, m, 2 * pair + 1);
    }
    if (phase != Phase::merge && phase != Phase::narrow) return sum;
    const T* at = (phase == Phase::merge ? input(layer_) : a_.middle) + std::size_t{b} * a_.hidden + 2 * pair;
    sum.first += static_cast<S>(load_exchanged(at));
    if (2 * pair + 1 < a_.hidden) sum.second += static_cast<S>(load_exchanged(at + 1));
    return sum;
  }

  /// Takes the sums of a pair's rows for sequence b0 + n.
  SKIPV1_DEVICE_MEMBER void finish(Phase phase, std::uint32_t pair, std::uint32_t b0, std::uint32_t n, S first, S second) {
    const std::uint32_t b = b0 + n;
    const std::size_t d = a_.hidden;
    if (phase == Phase::project) {
      finish_projection(pair, b, first, second);
    } else if (phase == Phase::merge) {
      store_pair_of(a_.middle + b * d, a_.hidden, pair, first, second);
    } else if (phase == Phase::widen) {
      T* to = a_.inner + std::size_t{b} * a_.intermediate;
      if (a_.gated)
        store_exchanged(to + pair, static_cast<T>(first / (S(1) + std::exp(-first)) * second));
      else
        store_pair_of(to, a_.intermediate, pair, gelu(first), gelu(second));
    } else if (phase == Phase::narrow) {
      T* to = a_.stream + (std::size_t{a_.outputs > 1 ? layer_ + 1 : 0} * a_.batch + b) * d;
      store_pair_of(to, a_.hidden, pair, first, second);
      if (a_.averaged) average_depth(to, pair, b, first, second);
    } else {
      const std::uint32_t entry = n * tile_pairs + lane() / 4;
      note_logit(entry, b, 2 * pair, first);
      if (2 * pair + 1 < a_.vocab) note_logit(entry, b, 2 * pair + 1, second);
    }
  }
  /// Stores neighbouring rows, the second if there is one.
  SKIPV1_DEVICE_MEMBER static void store_pair_of(T* to, std::uint32_t rows, std::uint32_t pair, S first, S second) {
    store_exchanged(to + 2 * pair, static_cast<T>(first));
    if (2 * pair + 1 < rows) store_exchanged(to + 2 * pair + 1, static_cast<T>(second));
  }
  SKIPV1_DEVICE_MEMBER static S gelu(S x) {
    return x / (S(1) + std::exp(S(-2 * 0.79788456080286535588) * x * (S(1) + S(0.044715) * x * x)));
  }
  /// The average of the block outputs so far, the newest of which this thread has stored.
  SKIPV1_DEVICE_MEMBER void average_depth(const T* newest, std::uint32_t pair, std::uint32_t b, S first, S second) const {
    const T* weights = layer_at(turn_).depth;
    const std::size_t size = std::size_t{a_.batch} * a_.hidden;
    for (std::uint32_t i = 2 * pair; i < 2 * pair + 2 && i < a_.hidden; ++i) {
      const S own = static_cast<S>(static_cast<T>(i % 2 == 0 ? first : second));
      S mean = static_cast<S>(weights[layer_ + 1]) * own;
      for (std::uint32_t j = 0; j <= layer_; ++j)
        mean += static_cast<S>(weights[j]) * static_cast<S>(load_exchanged(newest + i - (layer_ + 1 - j) * size));
      store_exchanged(a_.averaged + std::size_t{b} * a_.hidden + i, static_cast<T>(mean));
    }
  }

  /// Queries and keys are rotated, keys and values go to the cache.
  SKIPV1_DEVICE_MEMBER void finish_projection(std::uint32_t pair, std::uint32_t b, S first, S second) const {
    const Layer<T>& w = layer_at(turn_);
    const Product<T> p = product(Phase::project, turn_);
    p.locate(pair, [&](unsigned part, std::uint32_t local) {
      const std::size_t at = std::size_t{b} * a_.capacity + position(b);
      if (part == 2) {
        store_value(w, at, 2 * local, first);
        if (2 * local + 1 < w.value.rows) store_value(w, at, 2 * local + 1, second);
      } else {
        store_rotated(part == 0 ? p.part[0] : p.part[1], local, position(b),
                      part == 0 ? a_.query + std::size_t{b} * w.query.rows : w.keys + at * w.key.rows, first, second);
      }
    });
  }
  SKIPV1_DEVICE_MEMBER void store_rotated(const RowPairs<T>& pairs, std::uint32_t pair, std::uint32_t at, T* to, S first,
                                          S second) const {
    const std::uint32_t row = pairs.first_of(pair), other = pairs.second_of(pair);
    if (pairs.half) {
      const S* turn = a_.rope + (std::size_t{at} * pairs.half + pair % pairs.half) * 2;
      const S c = turn[0], s = turn[1], x = first, y = second;
      first = x * c - y * s;
      second = y * c + x * s;
    }
    store_exchanged(to + row, static_cast<T>(first));
    if (other < pairs.rows) store_exchanged(to + other, static_cast<T>(second));
  }
  /// An element of the new row's values, mixed with layer 0's where the variant mixes them; at: the row in the cache.
  SKIPV1_DEVICE_MEMBER void store_value(const Layer<T>& w, std::size_t at, std::uint32_t row, S sum) const {
    if (w.mix) {
      const S share = static_cast<S>(w.mix[0]),
              from = static_cast<S>(load_exchanged(a_.first_values + at * a_.first_columns + row));
      sum = share * static_cast<S>(static_cast<T>(sum)) + (S(1) - share) * from;
    }
    store_exchanged(w.values + at * w.value.rows + row, static_cast<T>(sum));
  }

  // The choice of the next token: the likeliest, of equals the first; `no_token` where a logit is NaN.
  SKIPV1_DEVICE_MEMBER static bool better(const Best<S>& a, const Best<S>& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  }
  SKIPV1_DEVICE_MEMBER void clear_best() const {
    for (unsigned i = thread_number(); i < 64 * N; i += block_threads()) memory_.best[i] = Best<S>{-infinity<S>(), no_token};
  }
  /// Entry i is of one staged row and of the pairs that have one place in their tiles: of one thread at a time.
  SKIPV1_DEVICE_MEMBER void note_logit(std::uint32_t i, std::uint32_t b, std::uint32_t row, S sum) const {
    const T logit = static_cast<T>(sum);
    if (last_step()) a_.logits[std::size_t{b} * a_.vocab + row] = logit;
    Best<S> own{static_cast<S>(logit), static_cast<std::int32_t>(row)};
    if (own.logit != own.logit) own = {infinity<S>(), no_token};
    const Best<S> before = memory_.best[i];
    if (better(own, before)) memory_.best[i] = own;
  }
  /// The block's best of the staged sequences b0 …, to memory.
  SKIPV1_DEVICE_MEMBER void store_best(std::uint32_t b0) const {
    sync_threads();
    for (unsigned n = thread_number(); n < memory_.rows.count; n += block_threads()) {
      Best<S> best = memory_.best[n * tile_pairs];
      for (unsigned i = 1; i < tile_pairs; ++i) {
        const Best<S> other = memory_.best[n * tile_pairs + i];
        if (better(other, best)) best = other;
      }
      Best<S>* to = a_.best + std::size_t{block().x} * a_.batch + b0 + n;
      store_exchanged(&to->logit, best.logit);
      store_exchanged(&to->token, best.token);
    }
    sync_threads();
    clear_best();
  }
  /// The likeliest of all blocks' tokens: every block finds it for itself, which saves a barrier.
  SKIPV1_DEVICE_MEMBER void choose() const {
    for (std::uint32_t b = warp(); b < a_.batch; b += block_warps()) {
      Best<S> best{-infinity<S>(), no_token};
      for (unsigned i = lane(); i < grid_size().x; i += warp_size) {
        const Best<S>* from = a_.best + std::size_t{i} * a_.batch + b;
        const Best<S> other{load_exchanged(&from->logit), load_exchanged(&from->token)};
        if (better(other, best)) best = other;
      }
      for (unsigned step = warp_size / 2; step > 0; step /= 2) {
        const Best<S> other{shuffle_xor(best.logit, step), shuffle_xor(best.token, step)};
        if (better(other, best)) best = other;
      }
      if (lane() > 0) continue;
      memory_.tokens[b] = best.token == no_token ? 0 : best.token;
      memory_.held[b] = memory_.held[b] + 1;
      if (block().x == 0) a_.tokens[(step_ + 1) * a_.batch + b] = best.token;
    }
    sync_threads();
  }

  const Arguments<T>& a_;
  BlockMemory<T> memory_;
  GridBarrier barrier_;
  WeightStream<T, fast, N> stream_;
  std::uint32_t step_ = 0, layer_ = 0, barriers_passed_ = 0;
  unsigned turn_ = 0;  ///< the slot of the layer at work
};

/// The kernel: `steps` tokens for each of up to 16 sequences. A cooperative launch, on a card of blocks of `most_threads`
/// threads.
template <class T, Products products, unsigned N>
SKIPV1_KERNEL SKIPV1_BOUNDS(most_threads, 1) decode_tokens(const Arguments<T> a, const SharedPlan<T> plan) {
  Phases<T, products == Products::fast, N>(a, plan).run();
}

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
