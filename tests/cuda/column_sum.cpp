#include "skipv1/ops/column_sum.cuh"

#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("sums over rows", "[cuda]", Scalars) {
  using T = TestType;
  Random random(52);
  auto shapes = row_shapes();
  shapes.emplace_back(700, 264);  // several parts, and columns of a second block
  for (const auto& [rows, width] : shapes) {
    const auto x = normal<T>({rows, width}, random);
    auto sums = normal<T>({width}, random);
    for (std::size_t n = 0; n < rows; ++n)
      for (std::size_t i = 0; i < width; ++i) sums.host.data()[i] += x.host.data()[n * width + i];
    detail::column_sum<T>("sums", sums, x);
    check_close("column_sum sums", sums, 2 * bound<T>);
  }
}

TEMPLATE_LIST_TEST_CASE("parts of up to three kinds of sums are added up", "[cuda]", Scalars) {
  using T = TestType;
  Random random(53);
  for (std::size_t count : {1u, 33u, 264u, 300u}) {
    for (std::size_t width : {31u, 65u}) {
      const auto parts = normal<Sum<T>>({3, count, width}, random);
      auto sums = normal<T>({3, width}, random);
      for (std::size_t kind = 0; kind < 3; ++kind)
        for (std::size_t n = 0; n < count; ++n)
          for (std::size_t i = 0; i < width; ++i) sums.host(kind, i) += parts.host(kind, n, i);
      const auto of = [&](std::size_t kind) { return View<T, Device>(sums.device.data() + kind * width, {width}); };
      detail::add_parts<T>("sums", {of(0), {}, of(1), of(2)}, parts.device.data(), count);
      check_close("column_sum parts", sums, 2 * bound<T>);
    }
  }
}
