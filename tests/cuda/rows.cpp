// Operations on rows: layer norm, cross-entropy, embedding, rope.
#include "skipv1/ops/cross_entropy.cuh"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/ops/embedding.cuh"
#include "skipv1/ops/embedding.hpp"
#include "skipv1/ops/layer_norm.cuh"
#include "skipv1/ops/layer_norm.hpp"
#include "skipv1/ops/rope.cuh"
#include "skipv1/ops/rope.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_TEST_CASE("layer_norm on the device is layer_norm on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  const bool sums = GENERATE(false, true);  // of what dx becomes
  Random random(31);
  auto shapes = row_shapes();
  // More than eight rows a block, then one to sixteen warps a row, and rows that are too long for that.
  shapes.emplace_back(2100, 24);
  for (std::size_t d : {301u, 1100u, 2056u, 1601u}) shapes.emplace_back(3, d);
  for (const auto& [rows, d] : shapes) {
    const auto x = normal<T>({rows, d}, random, 2), weight = normal<T>({d}, random), bias = normal<T>({d}, random),
               dy = normal<T>({rows, d}, random);
    auto y = unwritten<T>({rows, d});
    auto statistics = unwritten<Sum<T>>({rows, 2});
    layer_norm_forward<T>(y, statistics, x, weight, bias, 1e-5, version);
    layer_norm_forward<double>(y.host, statistics.host, x.host, weight.host, bias.host, 1e-5);
    check_close("layer_norm_forward y", y);
    if (d > 3)
      check_close("layer_norm_forward statistics", statistics,
                  10 * bound<Sum<T>>);  // of one number the variance is rounding alone

    statistics = both<Sum<T>>(statistics.host);
    auto dx = normal<T>({rows, d}, random), dweight = normal<T>({d}, random), dbias = normal<T>({d}, random);
    auto dx_sums = normal<T>({d}, random);
    layer_norm_backward<T>(dx, dweight, dbias, dy, x, weight, statistics, sums ? dx_sums.device : View<T, Device>(), version);
    layer_norm_backward<double>(dx.host, dweight.host, dbias.host, dy.host, x.host, weight.host, statistics.host);
    if (d > 1) check_close("layer_norm_backward dx", dx, 10 * bound<T>);
    if (d > 1) check_close("layer_norm_backward dweight", dweight, 10 * bound<T>);
    check_close("layer_norm_backward dbias", dbias, 2 * bound<T>);
    const Tensor<T> became = to_host<T>(dx.device);
    for (std::size_t i = 0; sums && i < rows * d; ++i) dx_sums.host.data()[i % d] += static_cast<double>(became.data()[i]);
    check_close("layer_norm_backward dx_sums", dx_sums, bound<T>, std::sqrt(static_cast<double>(rows)));
  }
}

TEMPLATE_TEST_CASE("cross_entropy on the device is cross_entropy on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(32);
  auto shapes = row_shapes();
  if (version == Version::fast)  // one thread's sum of so many numbers rounds more than the bound allows
    for (std::size_t vocab : {20000u, 60000u}) shapes.emplace_back(2, vocab);  // kept in shared memory, and too long for it
  for (const auto& [rows, vocab] : shapes) {
    const auto logits = normal<T>({rows, vocab}, random, 3);
    auto targets = numbers(rows, vocab, random);
    targets.host.data()[rows / 2] = ignored_target;
    targets.device = to_device<std::int32_t>(targets.host);
    auto loss = unwritten<Sum<T>>({rows});
    auto dlogits = unwritten<T>({rows, vocab});
    cross_entropy<double>(loss.host, dlogits.host, logits.host, targets.host, 0.3);
    cross_entropy<T>(loss, View<T, Device>(), logits, View<const std::int32_t, Device>(targets.device), 0.3, version);
    check_close("cross_entropy loss alone", loss, bound<Sum<T>>);
    cross_entropy<T>(loss, dlogits, logits, View<const std::int32_t, Device>(targets.device), 0.3, version);
    check_close("cross_entropy loss", loss, bound<Sum<T>>);
    check_close("cross_entropy dlogits", dlogits, 2 * bound<T>);
    dlogits.device = logits.device;
    cross_entropy<T>(loss, dlogits, dlogits, View<const std::int32_t, Device>(targets.device), 0.3, version);
    check_close("cross_entropy dlogits in place", dlogits, 2 * bound<T>);
    auto total = unwritten<double>({1});
    total_loss<Sum<T>>(total.device, View<Sum<T>, Device>(loss.device));
    total_loss<double>(total.host, loss.host);
    check_close("total_loss sum", total, bound<Sum<T>>);
  }
}

TEMPLATE_TEST_CASE("embedding on the device is embedding on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(33);
  for (const auto& [rows, d] : row_shapes()) {
    const std::size_t vocab = 5;
    const auto table = normal<T>({vocab, d}, random), dx = normal<T>({rows, d}, random);
    const auto ids = numbers(rows, vocab, random);
    const View<const std::int32_t, Device> on_device = View<std::int32_t, Device>(ids.device);
    auto x = unwritten<T>({rows, d});
    embedding_forward<T>(x, table, on_device);
    embedding_forward<double>(x.host, table.host, ids.host);
    check_close("embedding_forward x", x);
    embedding_forward<T>(x, table, on_device, true);
    embedding_forward<double>(x.host, table.host, ids.host, true);
    check_close("embedding_forward x added to", x);
    auto dtable = normal<T>({vocab, d}, random);
    embedding_backward<T>(dtable, dx, on_device, version);
    embedding_backward<double>(dtable.host, dx.host, ids.host);
    check_close("embedding_backward dtable", dtable, version == Version::first ? 4 * bound<T> : bound<T>);
  }
}

TEMPLATE_TEST_CASE("a token's rows are added up over any number of pieces", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  Random random(35);
  for (std::size_t vocab : {1u, 2u, 5u, 200u}) {  // 1: one run through all pieces
    for (std::size_t rows : {127u, 128u, 129u, 521u}) {
      for (std::size_t d : {3u, 24u}) {
        CAPTURE(vocab, rows, d);
        const auto dx = normal<T>({rows, d}, random);
        const auto ids = numbers(rows, vocab, random);
        auto dtable = normal<T>({vocab, d}, random);
        embedding_backward<T>(dtable, dx, View<std::int32_t, Device>(ids.device));
        embedding_backward<double>(dtable.host, dx.host, ids.host);
        check_close("embedding_backward dtable", dtable);
      }
    }
  }
}

TEMPLATE_TEST_CASE("rope on the device is rope on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  Random random(34);
  std::vector<std::size_t> counts(std::begin(awkward), std::end(awkward));
  counts.push_back(1030);  // a row no longer has eight warps
  for (std::size_t rows : counts) {
    for (std::size_t half : {1u, 3u, 8u}) {
      const std::size_t heads = 3, rest = rows % 3;  // some heads have a part that is not rotated
      const auto positions = numbers(rows, 100, random);
      const auto table = both<Sum<T>>(rope_table<double>(100, 2 * half, 10000));
      auto x = normal<T>({rows, heads, rest + 2 * half}, random);
      for (bool inverse : {false, true}) {
        rope<T>(x, table, View<std::int32_t, Device>(positions.device), inverse);
        rope<double>(x.host, table.host, positions.host, inverse);
        check_close("rope x", x, 2 * bound<T>);
      }
    }
  }
}
