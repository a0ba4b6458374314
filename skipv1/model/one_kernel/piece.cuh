// What a block attends to at a time in the one-kernel step, and how its lanes share the keys.
#pragma once

#include "skipv1/model/one_kernel/stage.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// A block's piece of the work: a split of a sequence's keys, and the query heads of a group.
template <class T>
struct Piece {
  std::uint32_t b, split, begin, end;  ///< positions
  Group<T> group;

  /// `held` (B): positions that the sequences hold, the newest included.
  SKIPV1_DEVICE_MEMBER Piece(const Arguments<T>& a, const Layer<T>& layer, std::uint32_t number,
                             const Shared<std::uint32_t>& held) {
    const std::uint32_t groups = layer.groups > 0 ? layer.groups : 1;  // none: nobody has a value, and nobody asks
    group = layer.group[number / a.splits % groups];
    set(a, number, groups, held);
  }
  /// The same, of a group that has been looked up, or is in the layer's list.
  SKIPV1_DEVICE_MEMBER Piece(const Arguments<T>& a, const Layer<T>& layer, const Group<T>* of, bool looked_up,
                             std::uint32_t number, const Shared<std::uint32_t>& held) {
    const std::uint32_t groups = layer.groups > 0 ? layer.groups : 1;
    group = of[looked_up ? 0 : number / a.splits % groups];
    set(a, number, groups, held);
  }
  /// One sequence's piece of a group: split `number`, of `each` positions or what is left of `keys`.
  SKIPV1_DEVICE_MEMBER Piece(const Group<T>& of, std::uint32_t number, std::uint32_t each, std::uint32_t keys)
      : b(0), split(number), group(of) {
    begin = split * each < keys ? split * each : keys;
    end = begin + each < keys ? begin + each : keys;
  }
  /// The block's first; it can be looked up ahead of the barrier before attention.
  SKIPV1_DEVICE_MEMBER Piece(const Arguments<T>& a, const Layer<T>& layer, const Shared<std::uint32_t>& held)
      : Piece(a, layer, block().x < all(a, layer) ? block().x : 0, held) {}
  /// Pieces of a layer.
  SKIPV1_DEVICE_MEMBER static std::uint32_t all(const Arguments<T>& a, const Layer<T>& layer) {
    return a.batch * layer.groups * a.splits;
  }
  /// Brings keys and values from the piece's `first` on to the second-level cache.
  SKIPV1_DEVICE_MEMBER void prefetch(const Arguments<T>& a, std::uint32_t first = 0) const {
    const std::uint32_t s = begin + first + thread_number();
    if (s >= end) return;
    constexpr unsigned line = 128 / sizeof(T);
    const auto bring = [&](const Head<T, Device>& head, std::uint32_t width) {
      for (unsigned i = 0; i < width; i += line) prefetch_l2(head.data + b * head.batch_stride + s * head.row_stride + i);
    };
    bring(group.heads.key, a.key_width);
    bring(group.heads.value, a.value_width);
  }

 private:
  SKIPV1_DEVICE_MEMBER void set(const Arguments<T>& a, std::uint32_t number, std::uint32_t groups,
                                const Shared<std::uint32_t>& held) {
    split = number % a.splits;
    b = number / a.splits / groups;
    const std::uint32_t keys = held[b], each = (keys + a.splits - 1) / a.splits;
    begin = split * each < keys ? split * each : keys;
    end = begin + each < keys ? begin + each : keys;
  }
};

/// Teams of lanes that have a key each: `lanes` of them, a power of two, hold C vectors of V elements each. The teams of `warps`
/// warps from `first` on share a piece.
struct Teams {
  unsigned lanes, warps, first, number, count;  ///< number: of the thread's team
  SKIPV1_DEVICE_MEMBER explicit Teams(unsigned lanes_of_key) : Teams(lanes_of_key, block_warps(), 0) {}
  SKIPV1_DEVICE_MEMBER Teams(unsigned lanes_of_key, unsigned warps_of_piece, unsigned first_warp)
      : lanes(lanes_of_key),
        warps(warps_of_piece),
        first(first_warp),
        number((thread_number() - first_warp * warp_size) / lanes_of_key),
        count(warps_of_piece * warp_size / lanes_of_key) {}
  /// The thread's warp, and the thread, counted from the piece's first.
  SKIPV1_DEVICE_MEMBER unsigned own_warp() const { return warp() - first; }
  SKIPV1_DEVICE_MEMBER unsigned own_thread() const { return thread_number() - first * warp_size; }
  /// Where a lane's vector c begins.
  template <unsigned V>
  SKIPV1_DEVICE_MEMBER unsigned column(unsigned c) const {
    return (c * lanes + lane() % lanes) * V;
  }
};

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
