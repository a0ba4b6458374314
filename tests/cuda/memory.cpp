// Device memory, streams, graphs, launch errors.
#include "skipv1/core/graph.cuh"
#include "skipv1/core/parallel.hpp"
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
  REQUIRE(cuda_available());
  Random random(81);
  const auto x = normal<float>({3, 5}, random);
  const Tensor<float, Cuda> copied = x.device;
  Tensor<float, Cuda> moved = copied;
  const float* at = moved.data();
  const Tensor<float, Cuda> taken = std::move(moved);
  CHECK(taken.data() == at);
  CHECK(copied.data() != x.device.data());
  const Tensor<float> back = to_host<float>(taken);
  for (std::size_t i = 0; i < back.size(); ++i) CHECK(static_cast<double>(back.data()[i]) == x.host.data()[i]);
  zero<float>(taken);
  CHECK(to_host<float>(taken)(2, 4) == 0);
  CHECK_THROWS_WITH(copy<float>(View<float, Cuda>(taken), Tensor<float>({5, 3})), Catch::Contains("(5, 3) into (3, 5)"));
  CHECK(Tensor<float, Cuda>({0, 4}).empty());
}

TEST_CASE("device memory that does not suffice is refused, and the process goes on", "[cuda]") {
  CHECK_THROWS_WITH((Tensor<double, Cuda>({std::size_t{1} << 45})),
                    Catch::Contains("device memory") && Catch::Contains("do not fit"));
  Random random(82);
  const auto a = normal<float>({100}, random), b = normal<float>({100}, random);
  auto y = poisoned<float>({100});
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
  const UseStream stream;
  Random random(83);
  const auto step = normal<float>({1000}, random);
  auto x = both<float>(zeros<double>({1000}));
  const auto work = [&] { add<float>(x, x, step); };
  work();
  const Graph graph(work);
  zero<float>(x.device);
  for (int i = 0; i < 3; ++i) graph.replay();
  for (std::size_t i = 0; i < 1000; ++i) x.host.data()[i] = 3 * step.host.data()[i];
  check_close("three steps", x);
}

TEST_CASE("device results are the same to the bit with any number of threads", "[cuda]") {
  Random random(84);
  const auto x = normal<float>({129, 65}, random), weight = normal<float>({65}, random), dy = normal<float>({129, 65}, random);
  const auto start = normal<float>({129, 65}, random), dstart = normal<float>({65}, random);
  auto y = poisoned<float>({129, 65}), r = poisoned<float>({129});
  rms_norm_forward<float>(y, r, x, weight, 1e-5);
  const int before = threads();
  std::vector<float> first;
  for (int n : {1, 2, 3}) {
    set_threads(n);
    Tensor<float, Cuda> dx = start.device, dweight = dstart.device;
    rms_norm_backward<float>(View<float, Cuda>(dx), View<float, Cuda>(dweight), dy, x, weight, r);
    const Tensor<float> a = to_host<float>(dx), b = to_host<float>(dweight);
    std::vector<float> all(a.data(), a.data() + a.size());
    all.insert(all.end(), b.data(), b.data() + b.size());
    if (first.empty()) first = all;
    CHECK(all == first);
  }
  set_threads(before);
}
