#include "skipv1/ops/linear_gelu.cuh"

#include <array>
#include <cstring>
#include <vector>

#include "skipv1/ops/linear_gelu.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

/// Rows, width, and width after.
using Shapes = std::vector<std::array<std::size_t, 3>>;
/// On a card GPT-2's too, which cuBLASLt makes in one pass.
void add_large(Shapes& shapes, Version version) {
#if defined(__CUDACC__)
  if (version == Version::fast) shapes.push_back({1024, 768, 3072});
#else
  (void)shapes, (void)version;
#endif
}

}  // namespace

TEMPLATE_TEST_CASE("linear on the device is linear on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(51);
  Shapes shapes = {{1, 1, 1},    {3, 7, 31},  {33, 63, 65},  {65, 31, 3}, {127, 33, 1}, {129, 127, 65}, {1, 129, 64},
                   {7, 64, 128}, {64, 8, 16}, {200, 64, 96}, {1, 64, 33}, {1, 1200, 5}, {1, 8, 128},    {1, 520, 31}};
  add_large(shapes, version);
  for (const auto& [rows, in, out] : shapes) {
    const auto x = normal<T>({rows, in}, random), weight = normal<T>({out, in}, random), bias = normal<T>({out}, random),
               dy = normal<T>({rows, out}, random);
    auto y = unwritten<T>({rows, out});
    linear_forward<T>(y, x, weight, View<T, Device>(), View<T, Device>(), version);
    linear_forward<double>(y.host, x.host, weight.host, View<double>());
    check_close("linear_forward y without bias", y);
    linear_forward<T>(y, x, weight, bias, View<T, Device>(), version);
    linear_forward<double>(y.host, x.host, weight.host, bias.host);
    check_close("linear_forward y", y);
    const auto residual = normal<T>({rows, out}, random);
    linear_forward<T>(y, x, weight, View<T, Device>(), residual, version);
    linear_forward<double>(y.host, x.host, weight.host, View<double>(), residual.host);
    check_close("linear_forward y with residual", y);
    linear_forward<T>(y, x, weight, bias, residual, version);
    linear_forward<double>(y.host, x.host, weight.host, bias.host, residual.host);
    check_close("linear_forward y with both", y, 2 * bound<T>);
    auto dx = unwritten<T>({rows, in}), dweight = normal<T>({out, in}, random), dbias = normal<T>({out}, random);
    for (bool add : {false, true}) {
      linear_backward_input<T>(dx, dy, weight, add, version);
      linear_backward_input<double>(dx.host, dy.host, weight.host, add);
      check_close("linear_backward_input dx", dx);
    }
    linear_backward_weight<T>(dweight, View<T, Device>(), dy, x, version);
    linear_backward_weight<double>(dweight.host, View<double>(), dy.host, x.host);
    check_close("linear_backward_weight dweight without bias", dweight);
    linear_backward_weight<T>(dweight, dbias, dy, x, version);
    linear_backward_weight<double>(dweight.host, dbias.host, dy.host, x.host);
    check_close("linear_backward_weight dweight", dweight);
    check_close("linear_backward_weight dbias", dbias, 2 * bound<T>);
    linear_backward_bias<T>(dbias, dy, version);
    linear_backward_bias<double>(dbias.host, dy.host);
    check_close("linear_backward_bias dbias", dbias, 2 * bound<T>);
  }
}

TEMPLATE_TEST_CASE("a linear map's gradients are the same to the bit each time", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  Random random(54);
  const auto x = normal<T>({264, 64}, random), dy = normal<T>({264, 96}, random), start = normal<T>({97, 96}, random);
  std::vector<T> first;
  for (int turn = 0; turn < 3; ++turn) {
    const Tensor<T, Device> gradients = start.device;
    const View<T, Device> dweight(gradients.data(), {96, 64}), dbias(gradients.data() + 96 * 96, {96});
    linear_backward_weight<T>(dweight, dbias, dy, x);
    const Tensor<T> host = to_host<T>(gradients);
    const std::vector<T> all(host.data(), host.data() + host.size());
    if (first.empty()) first = all;
    CHECK(std::memcmp(all.data(), first.data(), all.size() * sizeof(T)) == 0);
  }
}

TEMPLATE_TEST_CASE("a linear map and its GELU on the device are those on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(53);
  Shapes shapes = {{1, 1, 1}, {3, 7, 31}, {33, 63, 65}, {129, 33, 64}, {1, 64, 128}, {65, 16, 8}, {200, 64, 96}};
  add_large(shapes, version);
  for (const auto& [rows, in, out] : shapes) {
    const double small = 1 / std::sqrt(static_cast<double>(in));  // so that few numbers are where GELU is straight
    const auto x = normal<T>({rows, in}, random), weight = normal<T>({out, in}, random, small), bias = normal<T>({out}, random);
    auto y = unwritten<T>({rows, out}), before = unwritten<T>({rows, out});
    linear_gelu_forward<T>(y, before, x, weight, View<T, Device>(), version);
    linear_gelu_forward<double>(y.host, before.host, x.host, weight.host, View<double>());
    check_close("linear_gelu_forward before without bias", before);
    check_close("linear_gelu_forward y without bias", y, 2 * bound<T>);
    linear_gelu_forward<T>(y, before, x, weight, bias, version);
    linear_gelu_forward<double>(y.host, before.host, x.host, weight.host, bias.host);
    check_close("linear_gelu_forward before", before);
    check_close("linear_gelu_forward y", y, 2 * bound<T>);

    const auto kept = both<T>(before.host), dy = normal<T>({rows, in}, random), down = normal<T>({in, out}, random, small);
    auto dbefore = unwritten<T>({rows, out});
    gelu_linear_backward<T>(dbefore, dy, down, kept, version);
    gelu_linear_backward<double>(dbefore.host, dy.host, down.host, kept.host);
    check_close("gelu_linear_backward dbefore", dbefore, 2 * bound<T>);
  }
}

TEMPLATE_TEST_CASE("sums over rows", "[cuda]", float, double, bfloat16) {
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

TEMPLATE_TEST_CASE("parts of up to three kinds of sums are added up", "[cuda]", float, double, bfloat16) {
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

#if defined(__CUDACC__)
TEST_CASE("cuBLASLt makes what is asked of it beside products at GPT-2's widths", "[cuda]") {
  using detail::CublasLt;
  const Tensor<bfloat16, Device> memory({3072});
  bfloat16* const at = memory.data();
  Product up{65536, 3072, 768, false, true, false, true}, dhidden{65536, 3072, 768, false, false, false};
  up.gelu = dhidden.slope = true;
  CHECK(CublasLt<bfloat16>::here().makes(up, {.c = at, .a = at, .b = at, .from = at, .bias = at, .before = at}));
  CHECK(CublasLt<bfloat16>::here().makes(dhidden, {.c = at, .a = at, .b = at, .from = at, .slope_at = at}));
}
#endif
