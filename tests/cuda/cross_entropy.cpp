#include "skipv1/ops/cross_entropy.cuh"

#include "skipv1/ops/cross_entropy.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("cross_entropy on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(32);
  auto shapes = row_shapes();
  if (version == Version::fast)  // one thread's sum of so many numbers rounds more than the bound allows
    for (std::size_t vocab : {20000u, 60000u}) shapes.emplace_back(2, vocab);  // kept in shared memory, and too long for it
  for (const auto& [rows, vocab] : shapes) {
    const auto logits = normal<T>({rows, vocab}, random, 3);
    auto targets = numbers(rows, vocab, random);
    targets.host.data()[rows / 2] = ignored_target;
    targets.device = to_device<std::int32_t>(targets.host);
    auto loss = unwritten<Sum<T>>({rows});
    auto dlogits = unwritten<T>({rows, vocab});
    reference::cross_entropy<double>(loss.host, dlogits.host, logits.host, targets.host, 0.3);
    cross_entropy<T>(loss, View<T, Device>(), logits, View<const std::int32_t, Device>(targets.device), 0.3, version);
    check_close("cross_entropy loss alone", loss, bound<Sum<T>>);
    cross_entropy<T>(loss, dlogits, logits, View<const std::int32_t, Device>(targets.device), 0.3, version);
    check_close("cross_entropy loss", loss, bound<Sum<T>>);
    check_close("cross_entropy dlogits", dlogits, 2 * bound<T>);
    dlogits.device = logits.device;
    cross_entropy<T>(loss, dlogits, dlogits, View<const std::int32_t, Device>(targets.device), 0.3, version);
    check_close("cross_entropy dlogits in place", dlogits, 2 * bound<T>);
    auto total = unwritten<double>({1});
    total_loss<Sum<T>>(total.device, View<Sum<T>, Device>(loss.device));
    total_loss<double>(total.host, loss.host);
    check_close("total_loss sum", total, bound<Sum<T>>);
  }
}
