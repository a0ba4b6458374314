#include "skipv1/ops/add.cuh"

#include "skipv1/ops/add.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("add on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(21);
  for (std::size_t n : lengths) {
    const auto a = normal<T>({n}, random, 3), b = normal<T>({n}, random);
    auto y = unwritten<T>({n});
    add<T>(y, a, b, version);
    reference::add<double>(y.host, a.host, b.host);
    check_close("add y", y);
  }
}

TEMPLATE_LIST_TEST_CASE("add: NaN and infinity on the device as in the reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(23);
  const auto [a, b] = not_finite<T>(random);
  auto y = unwritten<T>({64});
  add<T>(y, a, b, version);
  reference::add<double>(y.host, a.host, b.host);
  CHECK((std::isnan(y.host(3)) && std::isnan(y.host(17)) && y.host(30) == -HUGE_VAL));
  check_close("add y", y);
}

TEST_CASE("add of nothing does nothing", "[cuda]") {
  const Tensor<float, Device> none({0, 8});
  for (Version version : {Version::first, Version::fast}) CHECK_NOTHROW(add<float>(none, none, none, version));
}
