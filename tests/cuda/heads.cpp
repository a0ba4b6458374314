// Operations on heads and values: mixing, pooling, copying, moving rows to the cache, averaging over depth.
#include "skipv1/ops/depth_average.cuh"
#include "skipv1/ops/depth_average.hpp"
#include "skipv1/ops/head_copy.cuh"
#include "skipv1/ops/head_copy.hpp"
#include "skipv1/ops/scatter.cuh"
#include "skipv1/ops/scatter.hpp"
#include "skipv1/ops/value_mix.cuh"
#include "skipv1/ops/value_mix.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_TEST_CASE("depth_average on the device is depth_average on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  Random random(41);
  for (const auto& [rows, d] : row_shapes()) {
    const std::size_t count = 1 + rows % 5;
    const auto x = normal<T>({count, rows, d}, random), weights = normal<T>({count}, random), dy = normal<T>({rows, d}, random);
    auto y = unwritten<T>({rows, d}), dx = normal<T>({count, rows, d}, random), dweights = normal<T>({count}, random);
    depth_average_forward<T>(y, x, weights);
    depth_average_forward<double>(y.host, x.host, weights.host);
    check_close("depth_average_forward y", y);
    depth_average_backward<T>(dx, dweights, dy, x, weights);
    depth_average_backward<double>(dx.host, dweights.host, dy.host, x.host, weights.host);
    check_close("depth_average_backward dx", dx);
    check_close("depth_average_backward dweights", dweights, 4 * bound<T>);
  }
}

TEMPLATE_TEST_CASE("value_mix on the device is value_mix on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  Random random(42);
  for (const auto& [rows, w] : row_shapes()) {
    const std::size_t w0 = w + rows % 3;
    const auto own = normal<T>({rows, w}, random), first = normal<T>({rows, w0}, random), lambda = normal<T>({1}, random);
    auto mixed = unwritten<T>({rows, w});
    value_mix_forward<T>(mixed, own, first, lambda);
    value_mix_forward<double>(mixed.host, own.host, first.host, lambda.host);
    check_close("value_mix_forward mixed", mixed);
    auto down = normal<T>({rows, w}, random), dfirst = normal<T>({rows, w0}, random), dlambda = normal<T>({1}, random);
    value_mix_backward<T>(down, dfirst, dlambda, down, own, first, lambda);  // in place
    value_mix_backward<double>(down.host, dfirst.host, dlambda.host, down.host, own.host, first.host, lambda.host);
    check_close("value_mix_backward down", down);
    check_close("value_mix_backward dfirst", dfirst);
    check_close("value_mix_backward dlambda", dlambda, 50 * bound<T>);  // one number, which may cancel
  }
}

TEMPLATE_TEST_CASE("heads are pooled and copied on the device as on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  Random random(43);
  for (std::size_t positions : awkward) {
    const std::size_t batch = 2, width = 1 + positions % 9, stride = 3 * width;  // three heads beside each other
    auto pool = [&] { return normal<T>({batch, positions, stride}, random); };
    auto to = pool(), from = pool(), other = pool();
    const auto host = [&](Both<T>& x, std::size_t h) {
      return Head<double>{x.host.data() + h * width, positions * stride, stride};
    };
    const auto device = [&](Both<T>& x, std::size_t h) {
      return Head<T, Device>{x.device.data() + h * width, positions * stride, stride};
    };
    pool_forward<T>(device(to, 1), device(from, 0), device(from, 2), batch, positions, width);
    pool_forward<double>(host(to, 1), host(from, 0), host(from, 2), batch, positions, width);
    check_close("pool_forward pooled", to);
    pool_backward<T>(device(other, 0), device(other, 1), device(from, 1), batch, positions, width);
    pool_backward<double>(host(other, 0), host(other, 1), host(from, 1), batch, positions, width);
    copy_head<T>(device(to, 0), device(from, 2), batch, positions, width);
    copy_head<double>(host(to, 0), host(from, 2), batch, positions, width);
    copy_head<T>(device(to, 2), device(from, 1), batch, positions, width, true);
    copy_head<double>(host(to, 2), host(from, 1), batch, positions, width, true);
    check_close("copy_head to", to);
    check_close("pool_backward dfirst, dsecond", other);
  }
}

TEMPLATE_TEST_CASE("rows go to the cache on the device as on the CPU", "[cuda]", float, double, bfloat16) {
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
    scatter_rows<double>(cache.host, x.host, sequences);
    check_close("scatter_rows cache", cache, 0);
  }
}
