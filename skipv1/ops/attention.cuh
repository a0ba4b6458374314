// The one attention on the device: see attention.hpp. Every kernel reads each head where it lies; nothing is put together first. A head
// whose width is a multiple of 16 bytes must lie at multiples of 16 bytes, as in a `Cache`.
#pragma once

#include "skipv1/ops/attention_backward.cuh"
#include "skipv1/ops/attention_rows.cuh"
#include "skipv1/ops/attention_tiled.cuh"

namespace skipv1 {

namespace detail {

template <class T>
AttentionSizes attention_sizes(const Shape& q, const Shape& out, std::size_t heads, const Sequences<Cuda>& sequences) {
  const AttentionSizes z{q[0], q[1], q[2], out[2], sequences.batch(), sequences.row_begin.data(), sequences.past.data()};
  require(heads == z.heads && out[1] == z.heads && out[0] == z.rows, "attention: q ", q, ", out ", out, " and ", heads,
          " routed heads do not fit");
  require(z.key <= attention_widest && z.value <= attention_widest, "attention: heads of ", z.key, " and ", z.value, " numbers: at most ",
          attention_widest, " on the device");
  return z;
}

template <class T>
void launch_rows(T* out, Sum<T>* lse, const T* q, const HeadPair<const T, Cuda>* heads, const AttentionSizes& z, std::size_t max_keys,
                    double scale) {
  constexpr std::size_t V = per_16_bytes<T>, enough_blocks = 512, keys_of_part = 128;
  const std::size_t parts = std::clamp<std::size_t>(enough_blocks / (z.rows * z.heads), 1, ceil_div(max_keys, keys_of_part));
  Sum<T>* partial = parts > 1 ? scratch<Sum<T>>(z.rows * z.heads * parts * (z.value + 2)) : nullptr;
  with_size<64, 128, 256>(std::max(z.key, z.value), [&](auto width) {
    constexpr std::size_t E = decltype(width)::value / lanes_of_key;
    const bool wide = z.key % V == 0 && z.value % V == 0 && reads_16_bytes(0, q);
    const auto kernel = wide ? attention_forward_rows<T, V, E> : attention_forward_rows<T, 1, E>;
    launch({"attention_forward_rows", {parts, z.heads, z.rows}, 128}, kernel, out, lse, partial, q, heads, z, scale);
  });
  if (parts == 1) return;
  launch({"attention_join_parts", ceil_div(z.rows * z.heads, 4), 128}, attention_join_parts<T>, out, lse, partial, parts, z.rows * z.heads,
         z.value);
}

template <class T>
void launch_tiles(T* out, Sum<T>* lse, const T* q, const HeadPair<const T, Cuda>* heads, const AttentionSizes& z, std::size_t max_rows,
                     double scale) {
  const Index3 grid{ceil_div(max_rows, tile_rows), z.heads, z.batch};
  with_size<64, 128, 256>(z.value, [&](auto width) {
    launch({"attention_forward_tiled", grid, 128, attention_tiled_bytes<Sum<T>>(z.key, z.value)},
           attention_forward_tiled<T, decltype(width)::value / 32>, out, lse, q, heads, z, scale);
  });
}

}  // namespace detail

/// As on the CPU; heads at most 256 wide, lse Sum<T>. Few rows of each sequence (decoding) and many take different kernels.
template <class T>
void attention_forward(View<T, Cuda> out, View<Sum<T>, Cuda> lse, ConstView<T, Cuda> q,
                       View<const HeadPair<const std::type_identity_t<T>, Cuda>, Cuda> heads, const Sequences<Cuda>& sequences,
                       double scale, Version version = Version::fast) {
  const auto z = detail::attention_sizes<T>(q.shape(), out.shape(), heads.size(), sequences);
  if (z.rows * z.heads == 0) return;
  if (version == Version::first) {
    launch(one_thread_each("attention_forward_first", z.rows * z.heads), detail::attention_forward_first<T>, out.data(), lse.data(), q.data(),
           heads.data(), z, scale);
  } else if (sequences.max_rows <= 4 && z.rows < 65536) {
    detail::launch_rows(out.data(), lse.data(), q.data(), heads.data(), z, sequences.max_keys, scale);
  } else {
    detail::launch_tiles(out.data(), lse.data(), q.data(), heads.data(), z, sequences.max_rows, scale);
  }
}

/// As on the CPU: dq is written, into the heads of `dheads` is added.
template <class T>
void attention_backward(View<T, Cuda> dq, View<const HeadPair<std::type_identity_t<T>, Cuda>, Cuda> dheads, ConstView<T, Cuda> dout,
                        ConstView<T, Cuda> out, ConstView<Sum<T>, Cuda> lse, ConstView<T, Cuda> q,
                        View<const HeadPair<const std::type_identity_t<T>, Cuda>, Cuda> heads, const Sequences<Cuda>& sequences,
                        double scale, Version version = Version::fast) {
  const auto z = detail::attention_sizes<T>(q.shape(), out.shape(), heads.size(), sequences);
  if (z.rows * z.heads == 0) return;
  if (version == Version::first) {
    launch(one_thread_each("attention_backward_query_first", z.rows * z.heads), detail::attention_backward_query_first<T>, dq.data(),
           dout.data(), out.data(), lse.data(), q.data(), heads.data(), z, scale);
    const auto run = [&](const char* name, auto kernel) {
      launch(one_thread_each(name, z.batch * z.heads * sequences.max_keys), kernel, dheads.data(), dout.data(), out.data(), lse.data(),
             q.data(), heads.data(), z, sequences.max_keys, scale);
    };
    run("attention_backward_key_first", detail::attention_backward_head_first<T, true>);
    run("attention_backward_value_first", detail::attention_backward_head_first<T, false>);
  } else {
    detail::attention_backward_tiles(dq.data(), dheads.data(), dout.data(), out.data(), lse.data(), q.data(), heads.data(), z,
                                     sequences.max_rows, sequences.max_keys, scale);
  }
}

}  // namespace skipv1
