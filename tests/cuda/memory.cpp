// Device memory, streams, graphs, launch errors.
#include "skipv1/device/graph.cuh"
#include "skipv1/core/parallel.hpp"
#include "skipv1/ops/add.cuh"
#include "skipv1/ops/rms_norm.cuh"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
SKIPV1_KERNEL do_nothing() {}
}  // namespace

TEST_CASE("a tensor goes to the device and back, is copied, moved and cleared", "[cuda]") {
  REQUIRE(device_available());
  Random random(81);
  const auto x = normal<float>({3, 5}, random);
  const Tensor<float, Device> copied = x.device;
  Tensor<float, Device> moved = copied;
  const float* at = moved.data();
  const Tensor<float, Device> taken = std::move(moved);
  CHECK(taken.data() == at);
  CHECK(copied.data() != x.device.data());
  const Tensor<float> back = to_host<float>(taken);
  for (std::size_t i = 0; i < back.size(); ++i) CHECK(static_cast<double>(back.data()[i]) == x.host.data()[i]);
  zero<float>(taken);
  CHECK(to_host<float>(taken)(2, 4) == 0);
  CHECK_THROWS_WITH(copy<float>(View<float, Device>(taken), Tensor<float>({5, 3})), Catch::Contains("(5, 3) into (3, 5)"));
  CHECK(Tensor<float, Device>({0, 4}).empty());
}

TEST_CASE("device memory that does not suffice is refused, and the process goes on", "[cuda]") {
  CHECK_THROWS_WITH((Tensor<double, Device>({std::size_t{1} << 45})),
                    Catch::Contains("device memory") && Catch::Contains("281474976710656 bytes do not fit"));
#if !defined(__CUDACC__)
  const std::size_t before = std::exchange(detail::emulated_memory(), 1000);
  CHECK_THROWS_WITH((Tensor<float, Device>({251})), "device memory (emulated): 1004 bytes do not fit");
  detail::emulated_memory() = before;
#endif
  Random random(82);
  const auto a = normal<float>({100}, random), b = normal<float>({100}, random);
  auto y = unwritten<float>({100});
  add<float>(y, a, b);
  for (std::size_t i = 0; i < 100; ++i) y.host.data()[i] = a.host.data()[i] + b.host.data()[i];
  check_close("sum", y);
}

TEST_CASE("a launch that cannot be is refused by name, and the next one works", "[cuda]") {
  CHECK_THROWS_WITH(launch({"too_wide", 1, 2048}, do_nothing), Catch::Contains("kernel too_wide"));
  CHECK_THROWS_WITH(launch({"too_much_shared", 1, 32, 1 << 20}, do_nothing), Catch::Contains("kernel too_much_shared"));
  launch({"nothing", 1, 32}, do_nothing);
  synchronize();
}

TEST_CASE("a graph repeats its launches on what the memory holds then", "[cuda]") {
  Random random(83);
  const auto step = normal<float>({1000}, random);
  auto x = both<float>(zeros<double>({1000}));
  float* const at = x.device.data();
  std::size_t n = 1000;
  const auto work = [&] {
    add<float>(View<float, Device>(at, {n}), View<float, Device>(at, {n}), View<float, Device>(step.device.data(), {n}));
  };
  work();
  const Graph graph(work);
  n = 1;  // a recorded launch keeps its arguments
  zero<float>(x.device);
  for (int i = 0; i < 3; ++i) graph.replay();
  for (std::size_t i = 0; i < 1000; ++i) x.host.data()[i] = 3 * step.host.data()[i];
  check_close("three steps, none by the recording itself", x);
  CHECK_THROWS_AS(Graph([&] { to_host<float>(x.device); }), Error);
  const UseStream stream;  // on another stream, after the refusal
  graph.replay();
  for (std::size_t i = 0; i < 1000; ++i) x.host.data()[i] = 4 * step.host.data()[i];
  check_close("four steps", x);
}

TEST_CASE("repeated work runs, is recorded, and is recorded again once scratch memory has moved", "[cuda]") {
  Random random(85);
  const auto dy = normal<float>({33, 65}, random);
  Tensor<float, Device> sum({65});
  zero<float>(sum);
  Repeat<Device> repeat;
  int asked = 0;
  const auto work = [&] {
    ++asked;
    detail::column_sum<float>("sum", sum, dy);
  };
  for (int i = 0; i < 4; ++i) repeat(work);
  CHECK(asked == 2);
  const std::size_t moves = detail::scratch_moves();
  for (std::size_t bytes = 1 << 20; detail::scratch_moves() == moves; bytes *= 2) detail::scratch<float>(bytes);
  repeat(work);
  CHECK(asked == 3);
  auto total = unwritten<float>({65});
  total.device = sum;
  for (std::size_t i = 0; i < 65; ++i) {
    total.host.data()[i] = 0;
    for (std::size_t n = 0; n < 33; ++n) total.host.data()[i] += 5 * dy.host.data()[n * 65 + i];
  }
  check_close("five sums", total, 1e-5);
}

TEST_CASE("device results are the same to the bit with any number of threads", "[cuda]") {
  Random random(84);
  const auto x = normal<float>({129, 65}, random), weight = normal<float>({65}, random), dy = normal<float>({129, 65}, random);
  const auto start = normal<float>({129, 65}, random), dstart = normal<float>({65}, random);
  auto y = unwritten<float>({129, 65}), r = unwritten<float>({129});
  rms_norm_forward<float>(y, r, x, weight, 1e-5);
  const int before = threads();
  std::vector<float> first;
  for (int n : {1, 2, 3}) {
    set_threads(n);
    Tensor<float, Device> dx = start.device, dweight = dstart.device;
    rms_norm_backward<float>(View<float, Device>(dx), View<float, Device>(dweight), dy, x, weight, r);
    const Tensor<float> a = to_host<float>(dx), b = to_host<float>(dweight);
    std::vector<float> all(a.data(), a.data() + a.size());
    all.insert(all.end(), b.data(), b.data() + b.size());
    if (first.empty()) first = all;
    CHECK(all == first);
  }
  set_threads(before);
}
