// Attention of the newest position to all cached positions, for the one-kernel step: a block goes through a split of one
// sequence's keys for a group of query heads that read the same key head and value head.
//
// Memory bounds it: sizeof(T) (d_k + d_v) bytes per position for 4 operations per element and query head, so plain arithmetic
// keeps up. A team of few lanes shares the columns of a key. It runs an online softmax over its own keys, with four keys and four
// values in flight; the teams merge once, at the end of the split.
#pragma once

#include "skipv1/model/one_kernel/loaded.cuh"
#include "skipv1/model/one_kernel/piece.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// Softmax states and outputs of R query heads in a lane.
template <class S, unsigned R, unsigned Columns>
struct AttentionState {
  S row_max[R], row_sum[R], o[R][Columns];

  SKIPV1_DEVICE_MEMBER AttentionState() {
    SKIPV1_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      row_max[r] = -infinity<S>(), row_sum[r] = 0;
      for (unsigned j = 0; j < Columns; ++j) o[r][j] = 0;
    }
  }
  /// Makes `higher` the state's maximum; returns what scores are relative to.
  SKIPV1_DEVICE_MEMBER S rescale(unsigned r, S higher) {
    const S base = higher == -infinity<S>() ? S(0) : higher, factor = fast_exp2(row_max[r] - base);
    row_max[r] = higher, row_sum[r] *= factor;
    SKIPV1_UNROLL
    for (unsigned j = 0; j < Columns; ++j) o[r][j] *= factor;
    return base;
  }
  /// Merges the states of a warp's teams, in all of them.
  SKIPV1_DEVICE_MEMBER void merge_teams(unsigned lanes) {
    for (unsigned step = lanes; step < warp_size; step *= 2) {
      SKIPV1_UNROLL
      for (unsigned r = 0; r < R; ++r) {
        const S other = shuffle_xor(row_max[r], step), higher = other > row_max[r] ? other : row_max[r];
        rescale(r, higher);  // then both are relative to the same
        row_sum[r] += shuffle_xor(row_sum[r], step);
        SKIPV1_UNROLL
        for (unsigned j = 0; j < Columns; ++j) o[r][j] += shuffle_xor(o[r][j], step);
      }
    }
  }
};

/// Goes through a piece's keys for R of its members from `first` on. V elements per load, C loads per lane and key.
template <unsigned V, unsigned C, unsigned R, class T>
class Attending {
 public:
  using S = Sum<T>;
  static constexpr unsigned at_once = R == 1 ? 4 : 2;  ///< keys of a team in flight

  SKIPV1_DEVICE_MEMBER Attending(const Arguments<T>& a, const Piece<T>& piece, const Teams& teams)
      : a_(a), heads_(piece.group.heads), piece_(piece), teams_(teams), policy_(evict_first()) {}

  SKIPV1_DEVICE_MEMBER void run(std::uint32_t first_member, const std::uint16_t* members, unsigned count) {
    load_queries(first_member, members, count);
    const unsigned teams_of_warp = warp_size / teams_.lanes, first = teams_.own_warp() * teams_of_warp;
    for (std::uint32_t s = piece_.begin + first; s < piece_.end; s += teams_.count * at_once) {
      Loaded<T, V> k[at_once][C], v[at_once][C];
      const std::uint32_t own = s + teams_.number - first;
      SKIPV1_UNROLL
      for (unsigned u = 0; u < at_once; ++u) load(k[u], heads_.key, own + u * teams_.count, a_.key_width);
      SKIPV1_UNROLL
      for (unsigned u = 0; u < at_once; ++u) load(v[u], heads_.value, own + u * teams_.count, a_.value_width);
      if (heads_.other.data) add_other(v, own);
      add(k, v, own);
    }
    state_.merge_teams(teams_.lanes);
  }
  /// A round's keys and values.
  struct Round {
    Loaded<T, V> k[at_once][C], v[at_once][C];
  };
  /// Issues the first round's loads, except for the newest position, which other blocks have yet to store.
  SKIPV1_DEVICE_MEMBER void begin(Round& round, std::uint32_t newest) const {
    round = {};
    reload(round, piece_.begin + teams_.number, [&](std::uint32_t s) { return s != newest; });
  }
  /// As `run` for one member; the query and the newest position come as numbered words, layer 0's of number `first`, and are
  /// waited for when the first round's loads have been issued.
  SKIPV1_DEVICE_MEMBER void run_single(std::uint32_t newest, std::uint32_t first, std::uint32_t layer) {
    const unsigned column = teams_.template column<V>(0);
    const bool has_key = column < a_.key_width, has_value = column < a_.value_width;
    Vector<T, V> own_newest[2] = {};
    const bool here = newest >= piece_.begin && newest < piece_.end && (newest - piece_.begin) % teams_.count == teams_.number;
    Round round = {};
    const std::uint32_t begin = teams_.own_warp() * (warp_size / teams_.lanes);
    std::uint32_t s = piece_.begin + begin;
    bool waits = true;
    do {
      const std::uint32_t own = s + teams_.number - begin;
      reload(round, own, [&](std::uint32_t at) { return at != newest; });
      if (any(waits)) {
        waits = false;
        piece_.prefetch(a_, at_once * teams_.count);
        Vector<T, V> q[1];
        load_numbered(q, {has_key}, {a_.numbered_query + std::size_t{piece_.group.member} * a_.key_width + column},
                      {first + layer});
        for (unsigned j = 0; j < V; ++j) q_[0][j] = static_cast<S>(q[0][j]) * a_.scale_log2;
        if (any(here))
          load_numbered(own_newest, {here && has_key, here && has_value},
                        {heads_.newest_key + column, heads_.newest_value + column},
                        {first + heads_.key_layer, first + heads_.value_layer});
      }
      SKIPV1_UNROLL
      for (unsigned u = 0; u < at_once; ++u) {
        if (!here || own + u * teams_.count != newest) continue;
        if (has_key) round.k[u][0].set(own_newest[0]);
        if (has_value) round.v[u][0].set(own_newest[1]);
      }
      add(round.k, round.v, own);
      s += teams_.count * at_once;
    } while (any(s < piece_.end));  // as every lane finds
    state_.merge_teams(teams_.lanes);
  }
  /// As `run` for one member, after `begin`, once the query and the newest position are there.
  SKIPV1_DEVICE_MEMBER void run(Round& round, std::uint32_t newest, std::uint32_t member) {
    load_queries(member, nullptr, 1);
    const std::uint32_t begin = teams_.own_warp() * (warp_size / teams_.lanes);
    for (std::uint32_t s = piece_.begin + begin; s < piece_.end; s += teams_.count * at_once) {
      const std::uint32_t own = s + teams_.number - begin;
      const bool first = s == piece_.begin + begin;
      reload(round, own, [&](std::uint32_t at) { return !first || at == newest; });
      add(round.k, round.v, own);
    }
    state_.merge_teams(teams_.lanes);
  }
  /// Writes the warp's states of the members to `to` (R, warps, d_v + 2), from element `from` on.
  SKIPV1_DEVICE_MEMBER void store(const Shared<S>& to, std::size_t from = 0) const {
    if (lane() >= teams_.lanes) return;
    SKIPV1_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      const std::size_t at = from + (std::size_t{r} * teams_.warps + teams_.own_warp()) * (a_.value_width + 2);
      SKIPV1_UNROLL
      for (unsigned c = 0; c < C; ++c)
        for (unsigned j = 0; j < V; ++j)
          if (teams_.column<V>(c) + j < a_.value_width) to[at + teams_.column<V>(c) + j] = state_.o[r][c * V + j];
      if (lane() == 0) to[at + a_.value_width] = state_.row_max[r], to[at + a_.value_width + 1] = state_.row_sum[r];
    }
  }

 private:
  SKIPV1_DEVICE_MEMBER void load_queries(std::uint32_t first_member, const std::uint16_t* members, unsigned count) {
    SKIPV1_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      const std::uint32_t h = r == 0 || r >= count ? first_member : members[r];
      const T* q = a_.query + (std::size_t{piece_.b} * a_.heads + h) * a_.key_width;
      SKIPV1_UNROLL
      for (unsigned c = 0; c < C; ++c) {
        Vector<T, V> x{};
        if (teams_.column<V>(c) < a_.key_width) x = load_exchanged<V>(q + teams_.column<V>(c));
        for (unsigned j = 0; j < V; ++j)
          q_[r][c * V + j] = teams_.column<V>(c) < a_.key_width ? static_cast<S>(x[j]) * a_.scale_log2 : S(0);
      }
    }
  }
  SKIPV1_DEVICE_MEMBER void load(Loaded<T, V> (&to)[C], const Head<T, Device>& head, std::uint32_t s, std::uint32_t width) const {
    const T* row = head.data + piece_.b * head.batch_stride + std::size_t{s} * head.row_stride;
    SKIPV1_UNROLL
    for (unsigned c = 0; c < C; ++c)
      to[c].load(s < piece_.end && teams_.column<V>(c) < width, row + teams_.column<V>(c), policy_);
  }
  /// Loads a round's keys and values from position `own` on, of positions that are `wanted`.
  template <class Wanted>
  SKIPV1_DEVICE_MEMBER void reload(Round& round, std::uint32_t own, const Wanted& wanted) const {
    const auto bring = [&](Loaded<T, V>(&to)[at_once][C], const Head<T, Device>& head, std::uint32_t width) {
      SKIPV1_UNROLL
      for (unsigned u = 0; u < at_once; ++u) {
        const std::uint32_t s = own + u * teams_.count;
        const T* row = head.data + piece_.b * head.batch_stride + std::size_t{s} * head.row_stride;
        SKIPV1_UNROLL
        for (unsigned c = 0; c < C; ++c) {
          const unsigned column = teams_.template column<V>(c);
          to[u][c].reload(s < piece_.end && wanted(s) && column < width, row + column, policy_);
        }
      }
    };
    bring(round.k, heads_.key, a_.key_width);
    bring(round.v, heads_.value, a_.value_width);
  }
  /// The mean with the other head's values.
  SKIPV1_DEVICE_MEMBER void add_other(Loaded<T, V> (&v)[at_once][C], std::uint32_t own) const {
    SKIPV1_UNROLL
    for (unsigned u = 0; u < at_once; ++u) {
      Loaded<T, V> other[C];
      load(other, heads_.other, own + u * teams_.count, a_.value_width);
      SKIPV1_UNROLL
      for (unsigned c = 0; c < C; ++c) v[u][c].average(other[c]);
    }
  }
  SKIPV1_DEVICE_MEMBER void add(const Loaded<T, V> (&k)[at_once][C], const Loaded<T, V> (&v)[at_once][C], std::uint32_t own) {
    S score[R][at_once];
    SKIPV1_UNROLL
    for (unsigned u = 0; u < at_once; ++u) {
      S sum[R] = {};
      SKIPV1_UNROLL
      for (unsigned c = 0; c < C; ++c)
        k[u][c].each([&](unsigned j, S x) {
          for (unsigned r = 0; r < R; ++r) sum[r] += q_[r][c * V + j] * x;
        });
      SKIPV1_UNROLL
      for (unsigned r = 0; r < R; ++r) {
        for (unsigned step = teams_.lanes / 2; step > 0; step /= 2) sum[r] += shuffle_xor(sum[r], step);
        score[r][u] = own + u * teams_.count < piece_.end ? sum[r] : -infinity<S>();
      }
    }
    SKIPV1_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      S higher = state_.row_max[r];
      for (unsigned u = 0; u < at_once; ++u) higher = score[r][u] > higher ? score[r][u] : higher;
      const S base = state_.rescale(r, higher);
      for (unsigned u = 0; u < at_once; ++u) {
        score[r][u] = fast_exp2(score[r][u] - base);
        state_.row_sum[r] += score[r][u];
      }
    }
    SKIPV1_UNROLL
    for (unsigned u = 0; u < at_once; ++u)
      for (unsigned c = 0; c < C; ++c)
        v[u][c].each([&](unsigned j, S x) {
          for (unsigned r = 0; r < R; ++r) state_.o[r][c * V + j] += score[r][u] * x;
        });
  }

  const Arguments<T>& a_;
  const ReadHeads<T>& heads_;
  const Piece<T>& piece_;
  const Teams& teams_;
  std::uint64_t policy_;
  S q_[R][C * V];
  AttentionState<S, R, C * V> state_;
};

/// Merges the states of `count` members, from element `from` on, by the warps that share the piece, and writes them as the
/// split's parts to `to`; or, if that is null, as outputs: there is one split.
template <class T>
SKIPV1_DEVICE void store_parts(const Shared<Sum<T>>& of_warps, std::size_t from, const Teams& teams, const Arguments<T>& a,
                               const Piece<T>& piece, std::uint32_t first_member, const std::uint16_t* members, unsigned count,
                               Sum<T>* to) {
  using S = Sum<T>;
  const unsigned warps = teams.warps, width = a.value_width + 2;
  for (unsigned i = teams.own_thread(); i < count * a.value_width; i += warps * warp_size) {
    const unsigned r = i / a.value_width, column = i % a.value_width;
    const std::size_t at = from + std::size_t{r} * warps * width;
    S most = -infinity<S>(), sum(0), o(0);
    for (unsigned w = 0; w < warps; ++w) {
      const S x = of_warps[at + w * width + a.value_width];
      most = x > most ? x : most;
    }
    const S base = most == -infinity<S>() ? S(0) : most;
    for (unsigned w = 0; w < warps; ++w) {
      const S factor = fast_exp2(static_cast<S>(of_warps[at + w * width + a.value_width]) - base);
      sum += factor * static_cast<S>(of_warps[at + w * width + a.value_width + 1]);
      o += factor * static_cast<S>(of_warps[at + w * width + column]);
    }
    const std::size_t head = std::size_t{piece.b} * a.heads + (r == 0 ? first_member : members[r]);
    if (!to) {
      store_exchanged(a.attended + head * a.value_width + column, static_cast<T>(o / sum));
      continue;
    }
    S* part = to + (head * a.splits + piece.split) * a.part_width();
    store_exchanged(part + column, o);
    if (column == 0) store_exchanged(part + a.part_state(), most), store_exchanged(part + a.part_state() + 1, sum);
  }
}

/// Up to R members of the piece's group, from member `done` on.
template <unsigned V, unsigned C, unsigned R, class T>
SKIPV1_DEVICE void attend_members(const BlockMemory<T>& m, const Arguments<T>& a, const Layer<T>& layer, const Piece<T>& piece,
                                  const Teams& teams, unsigned done, unsigned count) {
  const std::uint16_t* members = layer.members + piece.group.first + done;
  const std::uint32_t first_member = done == 0 ? piece.group.member : members[0];
  Attending<V, C, R, T> attending(a, piece, teams);
  attending.run(first_member, members, count);
  attending.store(m.attention);
  sync_threads();
  store_parts(m.attention, 0, teams, a, piece, first_member, members, count, a.attends_whole(layer) ? nullptr : a.partial);
  sync_threads();  // the memory is used again
}

/// The block's pieces of a layer's attention; the first has been looked up.
template <unsigned V, unsigned C, class T>
SKIPV1_DEVICE void attend(const BlockMemory<T>& m, const Arguments<T>& a, const Layer<T>& layer, Piece<T> at) {
  constexpr unsigned together = SharedPlan<T>::together;
  const std::uint32_t widest = a.key_width > a.value_width ? a.key_width : a.value_width, all = Piece<T>::all(a, layer);
  const Teams teams(C > 1 ? warp_size : power_of_two((widest + V - 1) / V));
  for (std::uint32_t number = block().x; number < all; number += grid_size().x) {
    if (number != block().x) at = Piece<T>(a, layer, number, m.held);
    for (unsigned done = 0; done < at.group.count; done += together) {
      const unsigned count = at.group.count - done < together ? at.group.count - done : together;
      if (count == 1)
        attend_members<V, C, 1>(m, a, layer, at, teams, done, count);
      else
        attend_members<V, C, together>(m, a, layer, at, teams, done, count);
    }
  }
}

/// Attention where every query head reads heads of its own: `a.pieces_at_once` pieces at once, each by as many of the block's
/// warps. `groups`: of the first pieces. The first keys and values are in flight before `wait()`, which returns once the queries
/// and the newest position are there.
template <unsigned V, class T, class Groups, class Wait>
SKIPV1_DEVICE void attend_alone(const BlockMemory<T>& m, const Arguments<T>& a, const Layer<T>& layer, const Groups& groups,
                                const Wait& wait) {
  const std::uint32_t widest = a.key_width > a.value_width ? a.key_width : a.value_width, all = Piece<T>::all(a, layer);
  const unsigned pieces = a.pieces_at_once, warps = block_warps() / pieces, number = warp() / warps;
  const Teams teams(power_of_two((widest + V - 1) / V), warps, number * warps);
  const std::size_t states = std::size_t{number} * warps * (a.value_width + 2);  // where the piece's begin
  for (std::uint32_t begin = block().x * pieces; begin == block().x * pieces || begin < all; begin += grid_size().x * pieces) {
    const bool first = begin == block().x * pieces, there = begin + number < all;
    Piece<T> piece(a, layer, first ? groups(number) : layer.group, first, there ? begin + number : 0, m.held);
    if (!there) piece.end = piece.begin;
    Attending<V, 1, 1, T> attending(a, piece, teams);
    typename Attending<V, 1, 1, T>::Round round;
    const std::uint32_t newest = m.held[piece.b] - 1;
    attending.begin(round, newest);
    if (first) wait();
    attending.run(round, newest, piece.group.member);
    if (!first) sync_threads();  // the states before have been read
    attending.store(m.attention, states);
    sync_threads();
    if (!there) continue;
    store_parts(m.attention, states, teams, a, piece, piece.group.member, layer.members, 1,
                a.attends_whole(layer) ? nullptr : a.partial);
  }
}

/// Attention of one sequence where every query head reads heads of its own and a block has one piece at most, of `group`: the
/// first keys and values are in flight before the query and the newest position are waited for; `first`: the number of layer
/// 0's.
template <unsigned V, class T>
SKIPV1_DEVICE void attend_single(const BlockMemory<T>& m, const Arguments<T>& a, const Layer<T>& layer, const Group<T>& group,
                                 std::uint32_t first, std::uint32_t number) {
  if (block().x >= Piece<T>::all(a, layer)) return;
  const std::uint32_t keys = m.held[0];
  const Piece<T> piece(group, m.place[1], m.place[2], keys);
  const std::uint32_t widest = a.key_width > a.value_width ? a.key_width : a.value_width;
  const Teams teams(power_of_two((widest + V - 1) / V));
  Attending<V, 1, 1, T> attending(a, piece, teams);
  attending.run_single(keys - 1, first, number);
  attending.store(m.attention);
  sync_threads();
  store_parts(m.attention, 0, teams, a, piece, piece.group.member, layer.members, 1,
              a.partial + (number & 1) * std::size_t{a.heads} * a.splits * a.part_width());
}

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
