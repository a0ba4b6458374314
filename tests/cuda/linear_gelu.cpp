#include "skipv1/ops/linear_gelu.cuh"

#include "skipv1/ops/linear_gelu.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

/// What the two functions shall give, in double on the host.
struct LinearGeluExpected {
  bool large;

  template <class... A>
  void forward(A&&... a) const {
    large ? linear_gelu_forward<double>(a...) : reference::linear_gelu_forward<double>(a...);
  }
  template <class... A>
  void backward(A&&... a) const {
    large ? gelu_linear_backward<double>(a...) : reference::gelu_linear_backward<double>(a...);
  }
};

}  // namespace

TEMPLATE_LIST_TEST_CASE("a linear map and its GELU on the device equal their references", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(53);
  ProductShapes shapes = {{1, 1, 1}, {3, 7, 31}, {33, 63, 65}, {129, 33, 64}, {1, 64, 128}, {65, 16, 8}, {200, 64, 96}};
  add_large(shapes, version);
  for (const auto& shape : shapes) {
    const auto& [rows, in, out] = shape;
    const LinearGeluExpected expected{is_large(shape)};
    const double small = 1 / std::sqrt(static_cast<double>(in));  // so that few numbers are where GELU is straight
    const auto x = normal<T>({rows, in}, random), weight = normal<T>({out, in}, random, small), bias = normal<T>({out}, random);
    auto y = unwritten<T>({rows, out}), before = unwritten<T>({rows, out});
    linear_gelu_forward<T>(y, before, x, weight, View<T, Device>(), version);
    expected.forward(y.host, before.host, x.host, weight.host, View<double>());
    check_close("linear_gelu_forward before without bias", before);
    check_close("linear_gelu_forward y without bias", y, 2 * bound<T>);
    linear_gelu_forward<T>(y, before, x, weight, bias, version);
    expected.forward(y.host, before.host, x.host, weight.host, bias.host);
    check_close("linear_gelu_forward before", before);
    check_close("linear_gelu_forward y", y, 2 * bound<T>);

    const auto kept = both<T>(before.host), dy = normal<T>({rows, in}, random), down = normal<T>({in, out}, random, small);
    auto dbefore = unwritten<T>({rows, out});
    gelu_linear_backward<T>(dbefore, dy, down, kept, version);
    expected.backward(dbefore.host, dy.host, down.host, kept.host);
    check_close("gelu_linear_backward dbefore", dbefore, 2 * bound<T>);
  }
}
