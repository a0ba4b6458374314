#include "skipv1/ops/layer_norm.cuh"
#include "skipv1/ops/rms_norm.cuh"

#include "skipv1/ops/rms_norm.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("rms_norm on the device equals its reference", "[cuda]", Scalars) {
  const Version version = GENERATE(Version::first, Version::fast);
  const bool sums = GENERATE(false, true);  // of what dx becomes
  Random random(11), more(13);
  auto shapes = row_shapes();
  // Longer than what a warp keeps, and than what a block does; more than eight rows per block.
  for (std::size_t d : {301u, 1100u, 2056u, 1601u}) shapes.emplace_back(5, d);
  shapes.emplace_back(2100, 24);
  for (const auto& [rows, d] : shapes) {
    const auto x = normal<TestType>({rows, d}, random), weight = normal<TestType>({d}, random),
               dy = normal<TestType>({rows, d}, random);
    auto y = unwritten<TestType>({rows, d});
    auto r = unwritten<Sum<TestType>>({rows});
    rms_norm_forward<TestType>(y, r, x, weight, 1e-5, version);
    reference::rms_norm_forward<double>(y.host, r.host, x.host, weight.host, 1e-5);
    check_close("rms_norm_forward y", y);
    check_close("rms_norm_forward inverse_rms", r, 2 * bound<Sum<TestType>>);  // one thread sums 2056 squares

    auto dx = normal<TestType>({rows, d}, random), dweight = normal<TestType>({d}, random);
    auto dx_sums = normal<TestType>({d}, more);
    const Tensor<TestType, Device> made = dy.device;  // what the forward pass made, in the place of dy, where it is wanted
    const View<TestType, Device> none;
    rms_norm_backward<TestType>(dx, dweight, sums ? made : dy.device, x, weight, r, sums ? dx_sums.device : none,
                                sums ? View<TestType, Device>(made) : none, version);
    if (sums) check_close("rms_norm_backward y", Both<TestType>{y.host, made});
    reference::rms_norm_backward<double>(dx.host, dweight.host, dy.host, x.host, weight.host, r.host);
    check_close("rms_norm_backward dx", dx);
    check_close("rms_norm_backward dweight", dweight, bound<TestType> * 2);
    const Tensor<TestType> became = to_host<TestType>(dx.device);
    for (std::size_t i = 0; sums && i < rows * d; ++i) dx_sums.host.data()[i % d] += static_cast<double>(became.data()[i]);
    check_close("rms_norm_backward dx_sums", dx_sums, bound<TestType>, std::sqrt(static_cast<double>(rows)));
  }
}

TEMPLATE_LIST_TEST_CASE("rms_norm_backward is the same to the bit with less shared memory", "[cuda]", Scalars) {
  using T = TestType;
  Random random(12);
  const std::size_t rows = 100, d = 96 * per_16_bytes<T>;  // several rows for each of the emulator's 6 blocks of 8 warps
  const auto x = normal<T>({rows, d}, random), weight = normal<T>({d}, random), dy = normal<T>({rows, d}, random);
  const auto r = normal<Sum<T>>({rows}, random);
  const auto dx = normal<T>({rows, d}, random), dweight = normal<T>({d}, random);
  const auto run = [&](std::size_t room) {
    Tensor<T, Device> to = dx.device, sums = dweight.device;
    CHECK(detail::norm_backward<detail::NormKind::rms, T>("rms_norm_backward", to, sums, {}, dy, x, weight, r, {}, {}, room));
    return std::pair(to_host<T>(to), to_host<T>(sums));
  };
  const auto [most, most_sums] = run(227 << 10);     // three rows at a time in shared memory
  for (std::size_t room : {99u << 10, 48u << 10}) {  // two, and one
    const auto [less, less_sums] = run(room);
    CHECK(std::memcmp(less.data(), most.data(), less.size() * sizeof(T)) == 0);
    CHECK(std::memcmp(less_sums.data(), most_sums.data(), d * sizeof(T)) == 0);
  }
}

TEMPLATE_LIST_TEST_CASE("norms on the device of a row whose squares overflow are NaN, not 0", "[cuda]", Scalars) {
  using T = TestType;
  for (const std::size_t d : {24u, 2056u, 2057u}) {  // kept in registers, read again, element by element
    const double large = std::is_same_v<T, double> ? 1e200 : 1e30;
    Tensor<T> x({2, d}), one({d}), zero({d});
    for (std::size_t i = 0; i < d; ++i) {
      const double sign = i % 2 ? 1 : -1;
      x(0, i) = static_cast<T>(sign * large), x(1, i) = static_cast<T>(sign), one(i) = static_cast<T>(1.0), zero(i) = static_cast<T>(0.0);
    }
    const Tensor<T, Device> in = to_device(x), weight = to_device(one), bias = to_device(zero);
    Tensor<T, Device> y({2, d});
    Tensor<Sum<T>, Device> inverse_rms({2}), statistics({2, 2});
    const auto check = [&] {
      const Tensor<T> out = to_host<T>(y);
      for (std::size_t i = 0; i < d; ++i)
        REQUIRE((std::isnan(static_cast<double>(out(0, i))) && !std::isnan(static_cast<double>(out(1, i)))));
    };
    rms_norm_forward<T>(y, inverse_rms, in, weight, 1e-5);
    check();
    layer_norm_forward<T>(y, statistics, in, weight, bias, 1e-5);
    check();
  }
}
