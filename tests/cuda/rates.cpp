// What the kernels reach on the card: `tests "[rates]"`, through nvcc alone. Bytes and operations are those a kernel must move
// and do.
#if defined(__CUDACC__)
#include <cstdio>
#include <functional>

#include "skipv1/device/timing.cuh"
#include "skipv1/model/decoder.cuh"
#include "tests/cuda/pair.hpp"

using namespace skipv1;

namespace {

/// Seconds of one call, the median of 20.
double seconds(const std::function<void()>& f) {
  return timed(20, 1, [&](std::size_t) { f(); }).median;
}
void line(const char* what, const char* type, double s, double bytes, double operations) {
  std::printf("%-40s %-5s %9.1f us %8.0f GB/s %8.2f TFLOP/s\n", what, type, s * 1e6, bytes / s * 1e-9, operations / s * 1e-12);
}
/// Numbers of [-0.5, 0.5): some thousands drawn, then the same again; drawing them all would take longer than the kernels.
template <class T>
Tensor<T, Device> drawn(Shape shape) {
  static Random random(91);
  constexpr std::size_t period = 65521;
  Tensor<T> x(shape);
  for (std::size_t i = 0; i < x.size(); ++i)
    x.data()[i] = i < period ? static_cast<T>(static_cast<float>(random.uniform() - 0.5)) : x.data()[i - period];
  return to_device<T>(x);
}
template <class T>
View<const T, Device> in(const Tensor<T, Device>& x) {
  return View<T, Device>(x);
}
template <class T>
View<T, Device> to(const Tensor<T, Device>& x) {
  return x;
}

template <class T>
void norms_and_pointwise(const char* type) {
  using S = Sum<T>;
  const std::size_t n = 16384, d = 1024, f = 4096;
  const double size = sizeof(T), rows = double(n) * double(d);
  const auto x = drawn<T>({n, d}), dy = drawn<T>({n, d}), y = drawn<T>({n, d}), w = drawn<T>({d}), b = drawn<T>({d}),
             dw = drawn<T>({d});
  const auto r = drawn<S>({n}), statistics = drawn<S>({n, 2});
  for (Version v : {Version::first, Version::fast}) {
    const bool first = v == Version::first;
    line(first ? "rms_norm forward, first" : "rms_norm forward", type,
         seconds([&] { rms_norm_forward<T>(to(y), to(r), in(x), in(w), 1e-5, v); }), 2 * rows * size, 4 * rows);
    line(first ? "rms_norm backward, first" : "rms_norm backward", type,
         seconds([&] { rms_norm_backward<T>(to(y), to(dw), in(dy), in(x), in(w), in(r), {}, {}, v); }), 4 * rows * size, 11 * rows);
    line(first ? "layer_norm forward, first" : "layer_norm forward", type,
         seconds([&] { layer_norm_forward<T>(to(y), to(statistics), in(x), in(w), in(b), 1e-5, v); }), 2 * rows * size, 7 * rows);
    line(first ? "layer_norm backward, first" : "layer_norm backward", type,
         seconds([&] { layer_norm_backward<T>(to(y), to(dw), to(b), in(dy), in(x), in(w), in(statistics), {}, {}, {}, v); }),
         4 * rows * size, 16 * rows);
  }
  const auto gate = drawn<T>({n, f}), up = drawn<T>({n, f}), hidden = drawn<T>({n, f});
  const double wide = double(n) * double(f);
  for (Version v : {Version::first, Version::fast}) {
    const bool first = v == Version::first;
    line(first ? "swiglu forward, first" : "swiglu forward", type,
         seconds([&] { swiglu_forward<T>(to(hidden), in(gate), in(up), v); }), 3 * wide * size, 5 * wide);
    line(first ? "gelu forward, first" : "gelu forward", type, seconds([&] { gelu_forward<T>(to(hidden), in(gate), v); }),
         2 * wide * size, 9 * wide);
    const auto m = zeros<S, Device>({n, d}), second = zeros<S, Device>({n, d});
    line(first ? "adamw, first" : "adamw", type,
         seconds([&] { adamw<T>(to(y), to(m), to(second), in(x), AdamW{}, 1, n * d, 1, v); }), rows * (3 * size + 4 * sizeof(S)),
         15 * rows);
  }
}

template <class T>
void losses_and_products(const char* type) {
  const std::size_t n = 4096, vocab = 32000, d = 1024;
  const double size = sizeof(T), all = double(n) * double(vocab);
  const auto logits = drawn<T>({n, vocab}), dlogits = drawn<T>({n, vocab});
  const auto loss = drawn<Sum<T>>({n});
  Tensor<std::int32_t> host({n});
  for (std::size_t i = 0; i < n; ++i) host(i) = static_cast<std::int32_t>(i * 7 % vocab);
  const auto targets = to_device<std::int32_t>(host);
  for (Version v : {Version::first, Version::fast}) {
    line(v == Version::first ? "cross_entropy, first" : "cross_entropy", type,
         seconds([&] { cross_entropy<T>(to(loss), to(dlogits), in(logits), in(targets), 1, v); }), 2 * all * size, 6 * all);
  }
  const auto x = drawn<T>({n, d}), w = drawn<T>({vocab, d});
  line("linear forward (4096, 1024) x 32000", type,
       seconds([&] { linear_forward<T>(to(logits), in(x), in(w), View<T, Device>()); }),
       (all + double(n + vocab) * double(d)) * size, 2 * all * double(d));
  line("embedding backward (4096, 1024)", type, seconds([&] { embedding_backward<T>(to(w), in(x), in(targets)); }),
       3 * double(n * d) * size, double(n * d));
}

/// A linear map's gradients, and GELU with its product or in a pass of its own, at GPT-2's widths and 64 x 1024 rows.
void beside_products() {
  using T = bfloat16;
  const std::size_t n = 65536;
  const View<T, Device> none;
  for (const auto& [width, out] : {std::pair<std::size_t, std::size_t>{768, 768}, {768, 3072}, {3072, 768}}) {
    const auto x = drawn<T>({n, width}), dy = drawn<T>({n, out}), w = drawn<T>({out, width}), dw = drawn<T>({out, width}),
               b = drawn<T>({out});
    const double flops = 2 * double(n) * double(width * out), bytes = 2 * double(n * (width + out));
    std::printf("(65536, %zu) to %zu\n", width, out);
    line("  weight gradient", "bf16", seconds([&] { linear_backward_weight<T>(to(dw), none, in(dy), in(x)); }), bytes, flops);
    line("  bias gradient", "bf16", seconds([&] { linear_backward_bias<T>(to(b), in(dy)); }), 2 * double(n * out),
         double(n * out));
  }
  const auto x = drawn<T>({n, 768}), up = drawn<T>({3072, 768}), down = drawn<T>({768, 3072}), b = drawn<T>({3072}),
             before = drawn<T>({n, 3072}), hidden = drawn<T>({n, 3072});
  const double flops = 2 * double(n) * 768 * 3072, bytes = 2 * double(n) * (768 + 2 * 3072);
  line("up, GELU", "bf16", seconds([&] {
         linear_forward<T>(to(before), in(x), in(up), in(b));
         gelu_forward<T>(to(hidden), in(before));
       }),
       bytes, flops);
  line("up with GELU", "bf16", seconds([&] { linear_gelu_forward<T>(to(hidden), to(before), in(x), in(up), in(b)); }), bytes,
       flops);
  line("down's input gradient, GELU's derivative", "bf16", seconds([&] {
         linear_backward_input<T>(to(hidden), in(x), in(down));
         gelu_backward<T>(to(hidden), in(hidden), in(before));
       }),
       bytes, flops);
  line("down's input gradient with it", "bf16",
       seconds([&] { gelu_linear_backward<T>(to(hidden), in(x), in(down), in(before)); }), bytes, flops);
}

/// Causal self-attention of B sequences of T rows: 4 operations a (row, key) pair and width forward, 10 backward, over half of
/// the pairs.
template <class T>
void attention(const char* type, std::size_t batch, std::size_t rows, std::size_t past, std::size_t heads, std::size_t d,
               bool first) {
  const std::size_t keys = past + rows, n = batch * rows;
  const auto q = drawn<T>({n, heads, d}), out = drawn<T>({n, heads, d}), dout = drawn<T>({n, heads, d}),
             dq = drawn<T>({n, heads, d});
  const auto lse = drawn<Sum<T>>({n, heads});
  const auto cache = drawn<T>({2, batch, keys, heads * d}), dcache = drawn<T>({2, batch, keys, heads * d});
  std::vector<HeadPair<const T, Device>> table;
  std::vector<HeadPair<T, Device>> dtable;
  std::vector<HeadName> names;
  for (std::size_t h = 0; h < heads; ++h) {
    const auto head = [&](const Tensor<T, Device>& x, std::size_t which) {
      return Head<T, Device>{x.data() + which * batch * keys * heads * d + h * d, keys * heads * d, heads * d};
    };
    table.push_back({head(cache, 0), head(cache, 1)});
    names.push_back({0, h});
    dtable.push_back({head(dcache, 0), head(dcache, 1)});
  }
  Tensor<HeadPair<const T, Device>, Device> on({heads});
  Tensor<HeadPair<T, Device>, Device> don({heads});
  copy(on, View<const HeadPair<const T, Device>>(table.data(), {heads}));
  copy(don, View<const HeadPair<T, Device>>(dtable.data(), {heads}));
  const std::vector<HeadReader> readers = layer_readers(names, names);
  Tensor<HeadReader, Device> readers_on({heads});
  copy(readers_on, View<const HeadReader>(readers.data(), {heads}));
  const RoutedHeads<T, Device> routed{View<HeadPair<const T, Device>, Device>(on), View<HeadReader, Device>(readers_on)};
  Tensor<std::int32_t> begin({batch + 1}), before({batch});
  for (std::size_t b = 0; b <= batch; ++b) begin(b) = static_cast<std::int32_t>(b * rows);
  for (std::size_t b = 0; b < batch; ++b) before(b) = static_cast<std::int32_t>(past);
  const auto begin_on = to_device<std::int32_t>(begin), before_on = to_device<std::int32_t>(before);
  const Sequences<Device> sequences{in(begin_on), in(before_on), rows, keys};
  const double pairs = double(batch * heads) * (double(rows) * double(past) + double(rows) * double(rows + 1) / 2);
  const double bytes = double(batch * heads * d) * double(2 * keys + 2 * rows) * sizeof(T);
  char name[64];
  const Version v = first ? Version::first : Version::fast;
  std::snprintf(name, sizeof name, "attention%s %zux%zu+%zu H%zu d%zu", first ? ", first" : "", batch, past, rows, heads, d);
  line(name, type, seconds([&] { attention_forward<T>(to(out), to(lse), in(q), routed, sequences, 0.125, v); }), bytes,
       4 * pairs * double(d));
  if (past > 0) return;
  std::snprintf(name, sizeof name, "  backward%s", first ? ", first" : "");
  line(name, type,
       seconds([&] { attention_backward<T>(to(dq), in(don), in(dout), in(out), in(lse), in(q), routed, sequences, 0.125, v); }),
       3 * bytes, 10 * pairs * double(d));
}

}  // namespace

TEST_CASE("rates on this card", "[.rates]") {
  norms_and_pointwise<float>("f32");
  norms_and_pointwise<bfloat16>("bf16");
  losses_and_products<float>("f32");
  losses_and_products<bfloat16>("bf16");
  beside_products();
  attention<float>("f32", 1, 1024, 0, 8, 64, true);
  attention<float>("f32", 8, 1024, 0, 16, 64, false);
  attention<float>("f32", 4, 4096, 0, 16, 128, false);
  attention<bfloat16>("bf16", 1, 1024, 0, 8, 64, true);
  for (std::size_t d : {64u, 128u, 256u}) {
    attention<bfloat16>("bf16", 8, 1024, 0, 16, d, false);
    attention<bfloat16>("bf16", 2, 8192, 0, 16, d, false);
  }
  attention<float>("f32", 16, 1, 4095, 16, 64, false);
  attention<bfloat16>("bf16", 16, 1, 4095, 16, 64, false);
  attention<bfloat16>("bf16", 1, 1, 32767, 16, 128, false);
}
#endif
