#include "skipv1/ops/scatter.cuh"

#include "skipv1/ops/scatter.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("scatter_rows on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  Random random(44);
  Tensor<std::int32_t> begin({4}), past({3});
  const std::int32_t begins[] = {0, 5, 5, 12}, pasts[] = {2, 4, 0};
  std::copy_n(begins, 4, begin.data());
  std::copy_n(pasts, 3, past.data());
  const auto begin_on = to_device<std::int32_t>(begin), past_on = to_device<std::int32_t>(past);
  const Sequences<Cpu> sequences{begin, past, 7, 7};
  const Sequences<Device> on_device{View<std::int32_t, Device>(begin_on), View<std::int32_t, Device>(past_on), 7, 7};
  for (std::size_t w : widths) {
    auto cache = normal<T>({3, 9, w}, random), x = normal<T>({12, w}, random);
    scatter_rows<T>(cache.device, View<T, Device>(x.device), on_device);
    reference::scatter_rows<double>(cache.host, x.host, sequences);
    check_close("scatter_rows cache", cache, 0);
  }
}
