#include "skipv1/ops/swiglu.cuh"

#include "skipv1/ops/swiglu.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("swiglu on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(21);
  for (std::size_t n : lengths) {
    const auto gate = normal<T>({n}, random, 3), up = normal<T>({n}, random), dy = normal<T>({n}, random);
    auto y = unwritten<T>({n}), dgate = unwritten<T>({n}), dup = unwritten<T>({n});
    swiglu_forward<T>(y, gate, up, version);
    reference::swiglu_forward<double>(y.host, gate.host, up.host);
    check_close("swiglu_forward y", y);
    swiglu_backward<T>(dgate, dup, dy, gate, up, version);
    reference::swiglu_backward<double>(dgate.host, dup.host, dy.host, gate.host, up.host);
    check_close("swiglu_backward dgate", dgate);
    check_close("swiglu_backward dup", dup);
    dup.device = dy.device;
    swiglu_backward<T>(dgate, dup, dup, gate, up, version);
    check_close("swiglu_backward dup in place", dup);
  }
}

TEMPLATE_LIST_TEST_CASE("swiglu: NaN and infinity on the device as in the reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(23);
  const auto up = not_finite<T>(random).first, gate = normal<T>({64}, random);
  auto y = unwritten<T>({64});
  swiglu_forward<T>(y, gate, up, version);
  reference::swiglu_forward<double>(y.host, gate.host, up.host);
  CHECK((std::isnan(y.host(3)) && std::isinf(y.host(17))));
  check_close("swiglu_forward y", y);
}

TEST_CASE("swiglu of nothing does nothing", "[cuda]") {
  const Tensor<float, Device> none({0, 8});
  for (Version version : {Version::first, Version::fast}) {
    CHECK_NOTHROW(swiglu_forward<float>(none, none, none, version));
    CHECK_NOTHROW(swiglu_backward<float>(none, none, none, none, none, version));
  }
}
