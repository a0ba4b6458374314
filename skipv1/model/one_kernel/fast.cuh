// The phases of the one-kernel step in bfloat16, for up to 8 sequences. The addresses of a block's first rows of a product are
// looked up ahead, and each warp stages the columns that it multiplies.
//
// Latency bounds one sequence. If its query heads share no pair of heads, four of a layer's five phases pass their results on as
// numbered words (`store_numbered`): the next phase's warps poll the words that they need, without a barrier, a release or a
// second load. Only attention's partial results, all of which every block reads, need a barrier of the grid; another one ends the
// token. With more sequences the words would be as many bytes as the weights of a small model, and a barrier ends each phase.
#pragma once

#include "skipv1/model/one_kernel/multiply_ahead.cuh"
#include "skipv1/model/one_kernel/own_columns.cuh"
#include "skipv1/model/one_kernel/phases.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// What a block does, for R = 1 sequence or up to 8; `alone`: query heads share no pair of heads.
template <class T, unsigned R, bool alone>
class FastPhases : private Phases<T, true, 1> {
  using Base = Phases<T, true, 1>;
  using S = Sum<T>;
  using Base::a_, Base::memory_, Base::barrier_, Base::stream_, Base::step_, Base::layer_, Base::turn_;
  using Base::layer_at, Base::last_layer, Base::last_step, Base::product, Base::note_time;

 public:
  using Base::Base;

  /// All steps.
  SKIPV1_DEVICE_MEMBER void run() {
    this->begin();
    memory_.rows.count = R == 1 ? 1 : a_.batch;
    if (thread_number() == 0) {  // the first pieces' numbers, in units of the splits; one sequence's split
      const std::uint32_t number = R == 1 ? block().x : block().x * a_.pieces_at_once;
      memory_.place[0] = number / a_.splits, memory_.place[1] = R == 1 ? number % a_.splits : (number + 1) / a_.splits;
    }
    look_at_position();
    look_ahead(0, 0);
    sync_threads();
    if (alone) stage_group(0);
    cp_async_wait<0>();
    sync_threads();
    for (step_ = 0; step_ < a_.steps; ++step_)
      for (layer_ = 0; layer_ < a_.layers; ++layer_, turn_ ^= 1)
        for (unsigned phase = opaque(0); phase <= (last_layer() ? 4u : 3u); ++phase) run_phase(static_cast<Phase>(phase));
  }

 private:
  SKIPV1_DEVICE_MEMBER void run_phase(Phase phase) {
    if (phase == Phase::head) this->clear_best();
    multiply_ahead<R>(
        stream_, bounds(phase), [&](std::uint32_t i) { return rows_ahead(Phase::project, turn_, i); },
        [&] { return rows_after(phase); },
        [&](const LaneRows<T>& following) {
          stage(phase, following);
          if (phase != Phase::head) this->stage_next_norm(phase);
          if (alone && phase == Phase::merge) stage_group(turn_ ^ 1);  // nobody attends to the one before any more
        },
        memory_,
        [&](std::uint32_t pair, std::uint32_t b) {
          Ending<T> e;
          if (R == 1 && phase == Phase::project) return e;  // `place` follows at once
          const Addends<S> sum = this->addends(phase, pair, b);
          e.first = sum.first, e.second = sum.second;
          return e;
        },
        [&](std::uint32_t pair, std::uint32_t b, Ending<T>& e) {
          if (phase == Phase::project) place(pair, b, e);
        },
        [&](std::uint32_t pair, std::uint32_t b, const Ending<T>& e) { finish(phase, pair, b, e); }, reduction_turn_);
    if (phase == Phase::head) {
      this->store_best(0);
      this->stage_next_norm(phase);  // all warps have read the one before
      note_time(Base::before_barrier);
      barrier_.arrive_by_first_warp();
    } else if (phase == Phase::project) {
      if (R > 1) this->arrive();
      this->stage_layer(turn_ ^ 1, last_layer() ? 0 : layer_ + 1);
      look_ahead(turn_ ^ 1, last_layer() ? 0 : layer_ + 1);
      if constexpr (R == 1) {
        attend_single<8>(memory_, a_, layer_at(turn_), group(0), step_ * a_.layers + 1, layer_);
      } else if constexpr (alone) {
        attend_alone<8>(
            memory_, a_, layer_at(turn_), [&](unsigned piece) { return &group(piece); }, [&] { this->wait_for_blocks(); });
      } else {
        const Piece<T> piece(a_, layer_at(turn_), memory_.held);
        piece.prefetch(a_);
        this->wait_for_blocks();
        attend<8, 1>(memory_, a_, layer_at(turn_), piece);
      }
      cp_async_wait<0>();  // what the next layer looks up
      this->arrive();
      // No copies after this: the barrier would wait for them, and so for the weights before them.
      stream_.begin(first_rows_ahead(Phase::merge, turn_));
    } else {
      if (R > 1) this->arrive();  // and wait before the next rows are staged
      return;
    }
    this->wait();
    if (phase != Phase::head) return;
    this->choose();
    if (last_step()) return;  // RoPE's table may end here
    look_at_position();
    sync_threads();
  }
  /// Brings what depends on the newest position alone to shared memory.
  SKIPV1_DEVICE_MEMBER void look_at_position() const {
    if constexpr (R == 1) {
      const std::uint32_t keys = memory_.held[0];
      if (thread_number() == 0) memory_.place[2] = (keys + a_.splits - 1) / a_.splits;
      for (unsigned i = thread_number(); i < 2 * a_.rope_half; i += block_threads())
        memory_.rope[i] = a_.rope[std::size_t{keys - 1} * a_.rope_half * 2 + i];
    } else {
      const std::uint32_t size = 2 * a_.rope_half;
      for (unsigned b = 0; b < memory_.rows.count; ++b)
        for (unsigned i = thread_number(); i < size; i += block_threads())
          memory_.rope[b * size + i] = a_.rope[std::size_t{this->position(b)} * size + i];
    }
  }

  /// The struct of what the block attends to first, or beside it, in a slot's layer.
  SKIPV1_DEVICE_MEMBER const Group<T>* group_of(unsigned slot, unsigned piece) const {
    const Layer<T>& w = layer_at(slot);
    std::uint32_t number = memory_.place[piece];
    if constexpr (R == 1) {
      return w.group + (number < w.groups ? number : 0);
    } else {
      while (number >= w.groups && w.groups > 0) number -= w.groups;  // few times; a division would wait for weights in flight
      return w.group + number;
    }
  }
  /// Brings these structs to shared memory. (In the emulator as layers'.)
#if defined(__CUDACC__)
  SKIPV1_DEVICE_MEMBER void stage_group(unsigned slot) const {
    constexpr unsigned words = sizeof(Group<T>) / 4;
    for (unsigned piece = 0; piece < (R == 1 ? 1 : a_.pieces_at_once); ++piece) {
      const auto* from = reinterpret_cast<const std::uint32_t*>(group_of(slot, piece));
      for (unsigned i = thread_number() * 4; i < words; i += block_threads() * 4)
        cp_async(memory_.group, piece * words + i, from + i);
    }
    cp_async_commit();
  }
  SKIPV1_DEVICE_MEMBER const Group<T>& group(unsigned piece) const {
    return reinterpret_cast<const Group<T>*>(memory_.group.data)[piece];
  }
#else
  void stage_group(unsigned slot) {
    for (unsigned piece = 0; piece < (R == 1 ? 1 : a_.pieces_at_once); ++piece) {
      placed_group_[piece] = group_of(slot, piece);
      this->stage_struct(memory_.group, piece * group_words, placed_group_[piece]);
    }
  }
  const Group<T>& group(unsigned piece) const {
    return this->staged_struct(memory_.group, piece * group_words, placed_group_[piece]);
  }
  static constexpr unsigned group_words = sizeof(Group<T>) / 4;
  const Group<T>* placed_group_[2] = {};
#endif

  /// Brings the block's pairs and first rows of layer l's products to a slot (`RowsAhead`).
  SKIPV1_DEVICE_MEMBER void look_ahead(unsigned slot, std::uint32_t l) const {
    const unsigned count = count_ahead(a_.pairs_ahead);
    const std::size_t share = std::size_t{l} * grid_size().x + block().x;
    const T* const* rows = a_.rows_ahead + share * count * 2;
    for (unsigned i = thread_number(); i < count; i += block_threads())
      cp_async(memory_.first_rows, 2 * (slot * count + i), rows + 2 * i);
    const std::uint32_t* bounds = a_.bounds_ahead + share * phase_count * 4;
    if (const unsigned i = thread_number(); i < phase_count)
      cp_async(memory_.bounds, 4 * (slot * phase_count + i), bounds + 4 * i);
    cp_async_commit();
  }
  SKIPV1_DEVICE_MEMBER Vector<std::uint32_t, 4> bounds(Phase phase) const {
    return load_shared<4>(memory_.bounds, (turn_ * phase_count + static_cast<unsigned>(phase)) * 4);
  }
  SKIPV1_DEVICE_MEMBER LaneRows<T> rows_ahead(Phase phase, unsigned slot, unsigned i) const {
    const unsigned at = 2 * (slot * count_ahead(a_.pairs_ahead) + place_ahead(phase, a_.pairs_ahead, i));
    LaneRows<T> rows;
    rows.first = memory_.first_rows[at], rows.second = memory_.first_rows[at + 1];
    rows.in = phase == Phase::merge ? a_.heads * a_.value_width : phase == Phase::narrow ? a_.intermediate : a_.hidden;
    return rows;
  }
  SKIPV1_DEVICE_MEMBER LaneRows<T> first_rows_ahead(Phase phase, unsigned slot) const {
    return rows_ahead(phase, slot, lane() / 4);
  }
  /// The first rows of the product after a phase's: none yet before attention, and at the end.
  SKIPV1_DEVICE_MEMBER LaneRows<T> rows_after(Phase phase) const {
    if (phase == Phase::project || (phase == Phase::head && last_step())) return {};
    if (phase == Phase::merge) return first_rows_ahead(Phase::widen, turn_);
    if (phase == Phase::widen) return first_rows_ahead(Phase::narrow, turn_);
    if (phase == Phase::narrow && last_layer()) return first_rows_ahead(Phase::head, turn_);
    return first_rows_ahead(Phase::project, turn_ ^ 1);
  }

  /// Of what the layer at work passes on.
  SKIPV1_DEVICE_MEMBER std::uint32_t number() const { return step_ * a_.layers + layer_ + 1; }
  SKIPV1_DEVICE_MEMBER void stage(Phase phase, const LaneRows<T>& following) {
    if constexpr (R == 1)
      stage_one(phase, following);
    else
      stage_several(phase);
  }
  /// Of one sequence, whose results other blocks pass on as numbered words, but for attention's parts. What is loaded next is
  /// prefetched once the phase's input is there: then no other block loads what this one waits for.
  SKIPV1_DEVICE_MEMBER void stage_one(Phase phase, const LaneRows<T>& following) {
    if (phase == Phase::merge) {
      stream_.prefetch(following);
      return stage_own_attention(memory_, a_, layer_at(turn_),
                                 a_.partial + (layer_ & 1) * std::size_t{a_.heads} * a_.splits * a_.part_width());
    }
    const bool begins = phase == Phase::project && layer_ == 0, normed = phase != Phase::narrow;
    const std::uint32_t width = normed ? a_.hidden : a_.intermediate;
    const std::uint32_t* words = phase == Phase::widen    ? a_.numbered_middle
                                 : phase == Phase::narrow ? a_.numbered_inner
                                                          : a_.numbered_stream;
    const std::uint32_t wanted = phase == Phase::project ? number() - 1 : number();
    const OwnColumns<1> own(1);
    SKIPV1_NO_UNROLL
    for (std::uint32_t from = 0, i = own.begin; from < width; from += 2 * own.step, i += 2 * own.step) {
      Vector<T, 8> x[2];
      const bool valid[2] = {i < width, i + own.step < width};
      if (begins)
        x[0] = valid[0] ? this->template embedding<8>(0, i) : Vector<T, 8>{};
      else
        load_numbered(x, valid, {words + i, words + i + own.step}, {wanted, wanted});
      if (from == 0 && a_.hidden >= 1024) stream_.prefetch(following);  // small models do not wait for bytes
      if (normed) norm_own_eight(memory_, x[0], valid[0], i, a_.hidden, a_.layer_norm, a_.epsilon);
      if (valid[0]) store_shared(memory_.rows.memory, i, x[0]);
      if (valid[1]) store_shared(memory_.rows.memory, i + own.step, x[1]);
    }
    sync_warp();
  }
  SKIPV1_DEVICE_MEMBER void stage_several(Phase phase) {
    const bool begins = phase == Phase::project && layer_ == 0;
    if (phase != Phase::merge && !begins) this->wait();
    const Layer<T>& w = layer_at(turn_);
    if (phase == Phase::merge && !a_.attends_whole(w)) return stage_attention<4>(memory_, a_, w, 0);
    if (phase == Phase::merge || phase == Phase::narrow)
      return stage_own_rows(memory_, phase == Phase::narrow ? a_.inner : a_.attended,
                            phase == Phase::narrow ? a_.intermediate : a_.heads * a_.value_width);
    stage_own_normed(memory_, a_.hidden, a_.layer_norm, a_.epsilon, [&](const OwnColumns<8>& own) {
      const std::uint32_t n = own.row();
      if (begins)
        own.each(a_.hidden, [&](std::uint32_t i) {
          store_shared(memory_.rows.memory, n * memory_.rows.pitch + i, this->template embedding<8>(n, i));
        });
      else
        own.template fill<4>(memory_.rows, a_.hidden,
                             phase == Phase::widen ? a_.middle : this->input(phase == Phase::head ? a_.layers : layer_));
    });
  }

  /// Where a pair of the projections goes, and how it is rotated or mixed.
  SKIPV1_DEVICE_MEMBER void place(std::uint32_t pair, std::uint32_t b, Ending<T>& e) const {
    const Layer<T>& w = layer_at(turn_);
    const Product<T> p = product(Phase::project, turn_);
    const std::size_t at = std::size_t{b} * a_.capacity + this->position(b);
    p.locate(pair, [&](unsigned part, std::uint32_t local) {
      const RowPairs<T>& pairs = part == 0 ? p.part[0] : part == 1 ? p.part[1] : p.part[2];
      const std::uint32_t first = pairs.first_of(local), second = pairs.second_of(local);
      T* query = R == 1 ? nullptr : a_.query + std::size_t{b} * w.query.rows;
      T* row = part == 0 ? query : part == 1 ? w.keys + at * w.key.rows : w.values + at * w.value.rows;
      if (row) e.to = row + first;
      e.words = (part == 0 ? a_.numbered_query : part == 1 ? w.numbered : w.numbered + w.key.rows) + first;
      e.apart = second - first;
      const T* bias = part == 0 ? w.query.bias : part == 1 ? w.key.bias : w.value.bias;
      if (R == 1 && bias) e.first = static_cast<S>(bias[first]), e.second = static_cast<S>(bias[second]);
      if (R > 1 && part == 2 && w.mix) {
        e.share = static_cast<S>(w.mix[0]);
        const T* from = a_.first_values + at * a_.first_columns + first;
        for (unsigned i = 0; i < 2; ++i) e.mixed[i] = (S(1) - e.share) * static_cast<S>(load_exchanged(from + i));
      }
      if (!pairs.half) return;
      const std::uint32_t turn = (b * pairs.half + local % pairs.half) * 2;
      e.cosine = memory_.rope[turn], e.sine = memory_.rope[turn + 1];
    });
  }
  /// Takes a pair's sums. Residuals are read by the thread that stored them; other blocks read numbered words of one sequence,
  /// and wait at a barrier for more.
  SKIPV1_DEVICE_MEMBER void finish(Phase phase, std::uint32_t pair, std::uint32_t b, const Ending<T>& e) {
    if (phase == Phase::project) {
      T x = static_cast<T>(e.first * e.cosine - e.second * e.sine), y = static_cast<T>(e.second * e.cosine + e.first * e.sine);
      if (R > 1 && e.share != S(1))
        x = static_cast<T>(e.share * static_cast<S>(x) + e.mixed[0]),
        y = static_cast<T>(e.share * static_cast<S>(y) + e.mixed[1]);
      if (R == 1) store_numbered(e.words, x, number()), store_numbered(e.words + e.apart, y, number());
      if (R > 1 || e.to) store_exchanged(e.to, x), store_exchanged(e.to + e.apart, y);
    } else if (phase == Phase::merge || phase == Phase::narrow) {
      const std::size_t kept = R > 1 && phase == Phase::narrow && a_.outputs > 1 ? layer_ + 1 : 0;
      if (R == 1) pass_on(phase == Phase::merge ? a_.numbered_middle : a_.numbered_stream, pair, e.first, e.second);
      T* to = (phase == Phase::merge ? a_.middle : a_.stream) + (kept * a_.batch + b) * a_.hidden;
      this->store_pair_of(to, a_.hidden, pair, e.first, e.second);
      if (R > 1 && kept > 0) this->average_depth(to, pair, b, e.first, e.second);
    } else if (phase == Phase::head) {
      const std::uint32_t entry = b * tile_pairs + lane() / 4;
      this->note_logit(entry, b, 2 * pair, e.first);
      if (2 * pair + 1 < a_.vocab) this->note_logit(entry, b, 2 * pair + 1, e.second);
    } else {
      T* to = a_.inner + std::size_t{b} * a_.intermediate;
      if (a_.gated) {
        const T x = static_cast<T>(times_logistic(e.first, e.first) * e.second);
        if (R == 1) store_numbered(a_.numbered_inner + pair, x, number());
        if (R > 1) store_exchanged(to + pair, x);
      } else {
        const S x = fast_gelu(e.first), y = fast_gelu(e.second);
        if (R == 1) pass_on(a_.numbered_inner, pair, x, y);
        if (R > 1) this->store_pair_of(to, a_.intermediate, pair, x, y);
      }
    }
  }
  /// Neighbouring rows, of an even number.
  SKIPV1_DEVICE_MEMBER void pass_on(std::uint32_t* to, std::uint32_t pair, S first, S second) const {
    store_numbered(to + 2 * pair, static_cast<T>(first), static_cast<T>(second), number());
  }
  /// x times the logistic function of y: without a division, which is a long chain.
  SKIPV1_DEVICE_MEMBER static S times_logistic(S x, S y) {
    const S root = fast_rsqrt(S(1) + fast_exp2(S(-1.4426950408889634) * y));
    return x * root * root;
  }
  SKIPV1_DEVICE_MEMBER static S fast_gelu(S x) {
    return times_logistic(x, S(2 * 0.79788456080286535588) * x * (S(1) + S(0.044715) * x * x));
  }

  unsigned reduction_turn_ = 0;
};

/// As `decode_tokens`, for one sequence.
template <class T>
SKIPV1_KERNEL SKIPV1_BOUNDS(most_threads, 1) decode_single(const Arguments<T> a, const SharedPlan<T> plan) {
  FastPhases<T, 1, true>(a, plan).run();
}
/// The same for up to 8.
template <class T, bool alone>
SKIPV1_KERNEL SKIPV1_BOUNDS(most_threads, 1) decode_several(const Arguments<T> a, const SharedPlan<T> plan) {
  FastPhases<T, 8, alone>(a, plan).run();
}

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
