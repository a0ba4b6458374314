#include "skipv1/ops/value_mix.cuh"

#include "skipv1/ops/value_mix.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("value_mix on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  Random random(42);
  for (const auto& [rows, w] : row_shapes()) {
    const std::size_t w0 = w + rows % 3;
    const auto own = normal<T>({rows, w}, random), first = normal<T>({rows, w0}, random), lambda = normal<T>({1}, random);
    auto mixed = unwritten<T>({rows, w});
    value_mix_forward<T>(mixed, own, first, lambda);
    reference::value_mix_forward<double>(mixed.host, own.host, first.host, lambda.host);
    check_close("value_mix_forward mixed", mixed);
    auto down = normal<T>({rows, w}, random), dfirst = normal<T>({rows, w0}, random), dlambda = normal<T>({1}, random);
    value_mix_backward<T>(down, dfirst, dlambda, down, own, first, lambda);  // in place
    reference::value_mix_backward<double>(down.host, dfirst.host, dlambda.host, down.host, own.host, first.host, lambda.host);
    check_close("value_mix_backward down", down);
    check_close("value_mix_backward dfirst", dfirst);
    check_close("value_mix_backward dlambda", dlambda, 50 * bound<T>);  // one number, which may cancel
  }
}

TEMPLATE_LIST_TEST_CASE("the mean of two heads on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  Random random(43);
  for (std::size_t positions : awkward) {
    const std::size_t batch = 2, width = 1 + positions % 9;
    ThreeHeads<T> to(batch, positions, width, random), from(batch, positions, width, random);
    pool_forward<T>(to.device(1), from.device(0), from.device(2), batch, positions, width);
    reference::pool_forward<double>(to.host(1), from.host(0), from.host(2), batch, positions, width);
    check_close("pool_forward pooled", to.all);
    pool_backward<T>(to.device(0), to.device(2), from.device(1), batch, positions, width);
    reference::pool_backward<double>(to.host(0), to.host(2), from.host(1), batch, positions, width);
    check_close("pool_backward dfirst, dsecond", to.all);
  }
}
