// The one attention on the device: see attention.hpp. Every kernel reads each head where it lies; nothing is put together first.
// A head whose width is a multiple of 16 bytes must lie at multiples of 16 bytes, as in a `Cache`.
#pragma once

#include "skipv1/device/resident.cuh"
#include "skipv1/ops/attention/tiled_backward.cuh"
#include "skipv1/ops/attention/decode_pairs.cuh"
#include "skipv1/ops/attention/sm80_forward.cuh"
#include "skipv1/ops/attention/sm80_backward.cuh"
#include "skipv1/ops/attention/split_keys.cuh"
#include "skipv1/ops/attention/tiled_forward.cuh"
#include "skipv1/ops/attention/sm90_forward.cuh"
#include "skipv1/ops/attention/sm90_backward.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

template <class T>
void launch_split_keys(T* out, Sum<T>* lse, const T* q, const HeadPair<const T, Device>* heads, const AttentionSizes& z,
                       std::size_t max_keys, double scale) {
  constexpr std::size_t V = per_16_bytes<T>, enough_blocks = 512, keys_of_part = 128;
  const std::size_t parts = std::clamp<std::size_t>(enough_blocks / (z.rows * z.heads), 1, ceil_div(max_keys, keys_of_part));
  Sum<T>* partial = parts > 1 ? scratch<Sum<T>>(z.rows * z.heads * parts * (z.value + 2)) : nullptr;
  with_size<64, 128, 256>(std::max(z.key, z.value), [&](auto width) {
    constexpr std::size_t E = decltype(width)::value / lanes_of_key;
    const bool wide = z.key % V == 0 && z.value % V == 0 && reads_16_bytes(0, q);
    const auto kernel = wide ? attention_forward_split_keys<T, V, E> : attention_forward_split_keys<T, 1, E>;
    launch({"attention_forward_split_keys", {parts, z.heads, z.rows}, 128}, kernel, out, lse, partial, q, heads, z, scale);
  });
  if (parts == 1) return;
  launch({"attention_merge_parts", ceil_div(z.rows * z.heads, 4), 128}, attention_merge_parts<T>, out, lse, partial, parts,
         z.rows * z.heads, z.value);
}

/// Whether the tensor cores' kernels take heads of these widths at these addresses.
template <class T, class... More>
bool uses_mma(const AttentionSizes& z, std::size_t widest, const T* q, const More*... more) {
  return std::is_same_v<T, bfloat16> && z.key % 8 == 0 && z.value % 8 == 0 && std::max(z.key, z.value) <= widest &&
         reads_16_bytes(0, q, more...);
}

// bfloat16's launches are templates too, so that only who calls them compiles their kernels.

/// Launches one or more blocks per pair of heads of a sequence if that takes less time than even shares; returns whether it does.
template <unsigned W>
bool launch_decode_pairs(const Decode& a, std::size_t pairs, bool counted, std::size_t max_keys, std::size_t processors,
                         std::size_t warps_of_block) {
  const auto kernel = attention_forward_decode_pairs<W>;
  const std::size_t threads = warps_of_block * warp_size;
  static thread_local std::array<std::size_t, 9> clusters = {};  // per size: 1 + resident clusters; 0: not asked yet
  static thread_local std::size_t asked_for = 0;                 // warps of a block
  if (std::exchange(asked_for, warps_of_block) != warps_of_block) clusters = {};
  const auto resident = [&](unsigned count) {
    if (!has_sm90a()) return std::size_t{0};
    if (clusters[count] == 0)
      clusters[count] = 1 + resident_clusters(kernel, threads, decode_pairs_bytes<W>(warps_of_block, count), count);
    return clusters[count] - 1;
  };
  const DecodePairs all{a.z.batch * pairs, 2 * max_keys * (a.z.key + a.z.value), counted, a.z.batch == 1};
  const unsigned blocks = blocks_of_pair(all, processors, resident);
  if (blocks == 0) return false;
  const std::size_t bytes = decode_pairs_bytes<W>(warps_of_block, blocks);
  const Start start = has_sm90a() ? Start::early : Start::after;
  launch({"attention_forward_decode_pairs", {blocks * pairs, a.z.batch}, threads, bytes, Resident::some, blocks, start}, kernel,
         a);
  return true;
}

constexpr std::size_t decode_most_heads = 4096;
template <class T>
void launch_decode(T* out, float* lse, const T* q, const RoutedHeads<T, Device>& heads, const AttentionSizes& z,
                   std::size_t max_rows, std::size_t max_keys, double scale) {
  with_size<64, 128, 256>(std::max(z.key, z.value), [&](auto width) {
    constexpr auto W = static_cast<unsigned>(decltype(width)::value);
    const std::size_t room = shared_memory_of_block();
    std::size_t warps_of_block = decode_most_warps;
    while (warps_of_block > 1 && attention_decode_bytes<W>(warps_of_block, z.heads) > room) warps_of_block /= 2;
    const std::size_t threads = warps_of_block * warp_size, bytes = attention_decode_bytes<W>(warps_of_block, z.heads);
    static thread_local std::size_t blocks = 0, blocks_of = 0;  // asked once for the bytes
    if (blocks_of != bytes) blocks = resident_blocks(attention_forward_decode<W>, threads, bytes), blocks_of = bytes;
    Decode a{out, lse, q, heads.pairs.data(), heads.readers.data(), z, max_rows, static_cast<float>(scale), nullptr, nullptr};
    if constexpr (W <= 128) {
      const std::size_t most = decode_rows / max_rows;
      const bool counted = heads.counts.pairs > 0;
      const std::size_t pairs = counted ? heads.counts.pairs * ceil_div(heads.counts.of_pair, most) : z.heads;
      if (launch_decode_pairs<W>(a, pairs, counted, max_keys, blocks, warps_of_block)) return;
    }
    const std::size_t warps = blocks * warps_of_block, partial = warps * 2 * decode_rows * (z.value + 4);
    float* memory = scratch<float>(partial + z.rows * z.heads * (sizeof(DecodeParts) / sizeof(float)));
    a.partial = memory, a.parts = reinterpret_cast<DecodeParts*>(memory + partial);
    launch({"attention_forward_decode", blocks, threads, bytes}, attention_forward_decode<W>, a);
    const std::size_t rows = z.rows * z.heads;  // one warp each, where they are many
    if (rows < 512) launch({"attention_merge_decode", rows, 128}, attention_merge_decode<4>, a);
    if (rows >= 512) launch({"attention_merge_decode", rows, 32}, attention_merge_decode<1>, a);
  });
}

template <class T>
void launch_tiles(T* out, Sum<T>* lse, const T* q, const HeadPair<const T, Device>* heads, const AttentionSizes& z,
                  std::size_t max_rows, double scale, Version version) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (version == Version::fast && has_sm90a() && uses_mma(z, 128, q, out)) {
      return with_size<64, 80, 96, 128>(std::max(z.key, z.value), [&](auto width) {
        constexpr auto W = static_cast<unsigned>(decltype(width)::value);
        if constexpr (W <= 64) {
          using Shape = NarrowForward<W>;
          launch({"attention_forward_narrow", {ceil_div(max_rows, 64), z.heads, z.batch}, Shape::threads, Shape::bytes},
                 attention_forward_narrow<W>, out, lse, q, heads, z, scale);
        } else {
          using Shape = WideForward<W>;
          const std::size_t maps = tensor_maps_per_head * z.heads * z.batch * (sizeof(TensorMap) / sizeof(float));
          auto* memory = scratch<float>(maps + 1);
          const ForwardMemory m{reinterpret_cast<TensorMap*>(memory), reinterpret_cast<std::uint32_t*>(memory + maps),
                                ceil_div(max_rows, Shape::rows)};
          static thread_local std::size_t blocks = 0;
          if (blocks == 0) blocks = resident_blocks(attention_forward_wide<W>, Shape::threads, Shape::bytes);
          launch({"attention_forward_prepare", {z.heads, z.batch}, 128, 4 * sizeof(TensorMap)}, attention_forward_prepare<>, q,
                 heads, z, m);
          launch({"attention_forward_wide", std::min(blocks, m.row_tiles * z.heads * z.batch), Shape::threads, Shape::bytes},
                 attention_forward_wide<W>, out, lse, heads, z, m, scale);
        }
      });
    }
    if (uses_mma(z, 256, q, out)) {
      return with_size<64, 96, 128, 256>(std::max(z.key, z.value), [&](auto width) {
        constexpr auto W = static_cast<unsigned>(decltype(width)::value);
        using Shape = ForwardShape<W>;
        launch({"attention_forward_mma", {z.heads, ceil_div(max_rows, Shape::rows), z.batch}, mma_threads, Shape::bytes},
               attention_forward_mma<W>, out, lse, q, heads, z, scale);
      });
    }
  }
  with_size<64, 128, 256>(z.value, [&](auto width) {
    launch({"attention_forward_tiled",
            {ceil_div(max_rows, tile_rows), z.heads, z.batch},
            128,
            attention_tiled_bytes<Sum<T>>(z.key, z.value)},
           attention_forward_tiled<T, decltype(width)::value / 32>, out, lse, q, heads, z, scale);
  });
}

/// All gradients, by warpgroups' products.
template <class T>
void launch_sm90_backward(const AttentionGradients<T>& a, const AttentionSizes& z, std::size_t max_rows, double scale,
                          const ReaderCounts& counts) {
  with_size<64, 80, 96, 128>(std::max(z.key, z.value), [&](auto width) {
    constexpr auto W = static_cast<unsigned>(decltype(width)::value);
    using Shape = Sm90Backward<W>;
    const std::size_t row_tiles = ceil_div(max_rows, Shape::R) * Shape::boxes, tiles = z.batch * z.heads * row_tiles,
                      maps = tensor_maps_per_head * z.batch * z.heads;
    const std::size_t lse_delta = 2 * tma_box_rows * tiles, dq_acc = tma_box_rows * W * tiles;
    BackwardMemory m{};
    m.heads = z.heads;
    m.tiles = row_tiles;
    m.key_tiles = ceil_div(a.positions, Shape::K);
    const std::size_t words = z.heads * m.words() * 2;
    auto* memory = scratch<float>(maps * (sizeof(TensorMap) / sizeof(float)) + lse_delta + dq_acc + tiles + words + z.heads + 2);
    const auto take = [&](std::size_t count) { return std::exchange(memory, memory + count); };
    m.maps = reinterpret_cast<TensorMap*>(take(maps * (sizeof(TensorMap) / sizeof(float))));
    m.lse_delta = take(lse_delta);
    m.dq_acc = take(dq_acc);
    m.semaphores = reinterpret_cast<std::uint32_t*>(take(tiles));
    m.readers = reinterpret_cast<std::uint32_t*>(take(words));
    m.first = reinterpret_cast<std::uint32_t*>(take(z.heads + 1));
    m.next_tile = reinterpret_cast<std::uint32_t*>(take(1));
    const Index3 rows{row_tiles, z.heads, z.batch};
    launch({"attention_backward_prepare", rows, 128, 4 * sizeof(TensorMap)}, attention_backward_prepare<W>, a, z, m);
    const auto run = [&](auto kernel, std::size_t& blocks) {
      if (blocks == 0) blocks = resident_blocks(kernel, Shape::threads, Shape::bytes);
      launch({"attention_backward_wgmma", std::min(blocks, m.key_tiles * z.heads * z.batch), Shape::threads, Shape::bytes},
             kernel, a, z, m, scale);
    };
    static thread_local std::size_t blocks[2] = {0, 0};
    counts.most >= 4 ? run(attention_backward_wgmma<W, KeyOrder::earlier_first>, blocks[0])
                     : run(attention_backward_wgmma<W, KeyOrder::later_first>, blocks[1]);
    launch({"attention_backward_finish", rows, 128, 2 * tma_box_rows * Shape::pitch}, attention_backward_finish<W>, a, z, m,
           scale);
  });
}
/// By warps'.
template <class T>
void launch_sm80_backward(const AttentionGradients<T>& a, const AttentionSizes& z, std::size_t max_rows, double scale) {
  with_size<64, 96, 128>(std::max(z.key, z.value), [&](auto width) {
    constexpr auto W = static_cast<unsigned>(decltype(width)::value);
    using Queries = QueryShape<W>;
    using Heads = HeadsShape<W>;
    launch({"attention_backward_query", {z.heads, ceil_div(max_rows, Queries::rows), z.batch}, mma_threads, Queries::bytes},
           attention_backward_query_mma<W>, a, z, scale);
    launch({"attention_backward_heads", {z.heads, ceil_div(a.positions, Heads::keys), z.batch}, Heads::threads, Heads::bytes},
           attention_backward_heads_mma<W>, a, z, scale);
  });
}
/// dq, and every query head's part of dk and dv; then these parts are added up.
template <class T>
void launch_tiled_backward(const AttentionGradients<T>& a, const AttentionSizes& z, std::size_t max_rows, double scale) {
  const std::size_t bytes = sizeof(Sum<T>) * attention_backward_elements(z.key, z.value);
  with_size<64, 128, 256>(std::max(z.key, z.value), [&](auto width) {
    constexpr std::size_t C = decltype(width)::value / 32;
    launch({"attention_backward_query", {ceil_div(max_rows, tile_rows), z.heads, z.batch}, 128, bytes},
           attention_backward_query<T, C>, a, z, scale);
    launch({"attention_backward_heads", {ceil_div(a.positions, tile_keys), z.heads, z.batch}, 128, bytes},
           attention_backward_heads<T, C>, a, z, scale);
  });
  const auto collect = [&](const char* name, std::size_t width, auto kernel) {
    launch({name, {ceil_div(a.positions * width, 1024), z.heads, z.batch}, 256}, kernel, a, z);
  };
  collect("attention_collect_keys", z.key, attention_collect<T, HeadPart::key>);
  collect("attention_collect_values", z.value, attention_collect<T, HeadPart::value>);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU; heads at most 256 wide, lse Sum<T>. Few rows of each sequence (decoding) and many take different kernels.
/// Decoding may start early (`Start::early`): lengths and the table come by a copy, not from the kernel launched just before.
template <class T>
void attention_forward(View<T, Device> out, View<Sum<T>, Device> lse, ConstView<T, Device> q,
                       const RoutedHeads<std::type_identity_t<T>, Device>& heads, const Sequences<Device>& sequences,
                       double scale, Version version = Version::fast) {
  const auto z = detail::attention_sizes<T>(q.shape(), out.shape(), heads.size(), sequences);
  if (z.rows * z.heads == 0) return;
  if (version == Version::first) {
    launch(one_thread_each("attention_forward_first", z.rows * z.heads), detail::attention_forward_first<T>, out.data(),
           lse.data(), q.data(), heads.pairs.data(), z, scale);
  } else if (sequences.max_rows <= detail::decode_rows && z.heads <= detail::decode_most_heads &&
             detail::uses_mma(z, 256, q.data(), out.data())) {
    if constexpr (std::is_same_v<T, bfloat16>)
      detail::launch_decode<T>(out.data(), lse.data(), q.data(), heads, z, sequences.max_rows, sequences.max_keys, scale);
  } else if (sequences.max_rows <= 4 && z.rows < 65536) {
    detail::launch_split_keys(out.data(), lse.data(), q.data(), heads.pairs.data(), z, sequences.max_keys, scale);
  } else {
    detail::launch_tiles(out.data(), lse.data(), q.data(), heads.pairs.data(), z, sequences.max_rows, scale, version);
  }
}

/// As `attention_backward`; from a row of dq (N, H, d_k) to the next there are `dq_row` elements, so that other gradients may
/// stand beside it.
template <class T>
void attention_backward_rows(View<T, Device> dq, std::size_t dq_row,
                             View<const HeadPair<std::type_identity_t<T>, Device>, Device> dheads, ConstView<T, Device> dout,
                             ConstView<T, Device> out, ConstView<Sum<T>, Device> lse, ConstView<T, Device> q,
                             const RoutedHeads<std::type_identity_t<T>, Device>& heads, const Sequences<Device>& sequences,
                             double scale, Version version = Version::fast) {
  heads.require_readers("attention_backward");
  const auto z = detail::attention_sizes<T>(q.shape(), out.shape(), heads.size(), sequences);
  if (z.rows * z.heads == 0) return;
  if (version == Version::first) {
    launch(one_thread_each("attention_backward_query_first", z.rows * z.heads), detail::attention_backward_query_first<T>,
           dq.data(), dq_row, dout.data(), out.data(), lse.data(), q.data(), heads.pairs.data(), z, scale);
    const auto run = [&](const char* name, auto kernel) {
      launch(one_thread_each(name, z.batch * z.heads * sequences.max_keys), kernel, dheads.data(), dout.data(), out.data(),
             lse.data(), q.data(), heads.pairs.data(), heads.readers.data(), z, sequences.max_keys, scale);
    };
    run("attention_backward_key_first", detail::attention_backward_head_first<T, HeadPart::key>);
    run("attention_backward_value_first", detail::attention_backward_head_first<T, HeadPart::value>);
  } else {
    using S = Sum<T>;
    const std::size_t rows = z.rows * z.heads, positions = sequences.max_keys, count = z.heads * z.batch * positions;
    const bool mma = detail::uses_mma(z, 128, q.data(), dout.data(), out.data());
    if constexpr (std::is_same_v<T, bfloat16>) {
      if (mma && version == Version::fast && has_sm90a()) {
        const detail::AttentionGradients<T> a{
            dq.data(), dheads.data(), dout.data(),        out.data(),           q.data(),  lse.data(), nullptr,
            nullptr,   nullptr,       heads.pairs.data(), heads.readers.data(), positions, dq_row};
        return detail::launch_sm90_backward(a, z, sequences.max_rows, scale, heads.counts);
      }
    }
    S* delta = detail::scratch<S>(rows + (mma ? 0 : count * (z.key + z.value) + 8));
    S* dkeys = mma ? nullptr : delta + ceil_div(rows, 8) * 8;
    S* dvalues = mma ? nullptr : dkeys + count * z.key;
    const detail::AttentionGradients<T> a{
        dq.data(), dheads.data(), dout.data(),        out.data(),           q.data(),  lse.data(), delta,
        dkeys,     dvalues,       heads.pairs.data(), heads.readers.data(), positions, dq_row};
    if constexpr (std::is_same_v<T, bfloat16>)
      if (mma) return detail::launch_sm80_backward(a, z, sequences.max_rows, scale);
    constexpr std::size_t V = per_16_bytes<T>;
    const bool wide = reads_16_bytes(z.value, dout.data(), out.data());
    launch({"attention_delta", ceil_div(rows, 16), 128}, wide ? detail::attention_delta<T, V> : detail::attention_delta<T, 1>,
           delta, dout.data(), out.data(), rows, z.value);
    detail::launch_tiled_backward(a, z, sequences.max_rows, scale);
  }
}
/// As on the CPU: dq is overwritten; dk and dv are accumulated into the heads of `dheads`, or overwrite them.
template <class T>
void attention_backward(View<T, Device> dq, View<const HeadPair<std::type_identity_t<T>, Device>, Device> dheads,
                        ConstView<T, Device> dout, ConstView<T, Device> out, ConstView<Sum<T>, Device> lse,
                        ConstView<T, Device> q, const RoutedHeads<std::type_identity_t<T>, Device>& heads,
                        const Sequences<Device>& sequences, double scale, Version version = Version::fast) {
  attention_backward_rows<T>(dq, q.extent(1) * q.extent(2), dheads, dout, out, lse, q, heads, sequences, scale, version);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
