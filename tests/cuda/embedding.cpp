#include "skipv1/ops/embedding.cuh"

#include "skipv1/ops/embedding.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("embedding on the device equals its reference", "[cuda]", Scalars) {
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
    reference::embedding_forward<double>(x.host, table.host, ids.host);
    check_close("embedding_forward x", x);
    embedding_forward<T>(x, table, on_device, WriteMode::accumulate);
    reference::embedding_forward<double>(x.host, table.host, ids.host, WriteMode::accumulate);
    check_close("embedding_forward x added to", x);
    auto dtable = normal<T>({vocab, d}, random);
    embedding_backward<T>(dtable, dx, on_device, version);
    reference::embedding_backward<double>(dtable.host, dx.host, ids.host);
    check_close("embedding_backward dtable", dtable, version == Version::first ? 4 * bound<T> : bound<T>);
  }
}

TEMPLATE_LIST_TEST_CASE("a token's rows are added up over any number of pieces", "[cuda]", Scalars) {
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
        reference::embedding_backward<double>(dtable.host, dx.host, ids.host);
        check_close("embedding_backward dtable", dtable);
      }
    }
  }
}
