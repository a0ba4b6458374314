#include "skipv1/ops/gelu.cuh"

#include "skipv1/ops/gelu.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("gelu on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(21);
  for (std::size_t n : lengths) {
    const auto x = normal<T>({n}, random, 3), dy = normal<T>({n}, random);
    auto y = unwritten<T>({n}), dx = unwritten<T>({n});
    gelu_forward<T>(y, x, version);
    reference::gelu_forward<double>(y.host, x.host);
    check_close("gelu_forward y", y, bound<T>, 1);  // 1 + tanh(u) cancels where x is far below zero
    gelu_backward<T>(dx, dy, x, version);
    reference::gelu_backward<double>(dx.host, dy.host, x.host);
    check_close("gelu_backward dx", dx, bound<T>, 1);
  }
}

TEST_CASE("gelu of nothing does nothing", "[cuda]") {
  const Tensor<float, Device> none({0, 8});
  for (Version version : {Version::first, Version::fast}) {
    CHECK_NOTHROW(gelu_forward<float>(none, none, version));
    CHECK_NOTHROW(gelu_backward<float>(none, none, none, version));
  }
}
