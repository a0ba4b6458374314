#include "skipv1/ops/rope.cuh"

#include "skipv1/ops/rope.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("rope on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(34);
  std::vector<std::size_t> counts(std::begin(awkward), std::end(awkward));
  counts.push_back(1030);  // a row no longer has eight warps
  for (std::size_t rows : counts) {
    for (std::size_t half : {1u, 3u, 8u}) {
      const std::size_t heads = 3, rest = rows % 3;  // some heads have a part that is not rotated
      const auto positions = numbers(rows, 100, random);
      const auto table = both<Sum<T>>(rope_table<double>(100, 2 * half, 10000));
      auto x = normal<T>({rows, heads, rest + 2 * half}, random);
      for (Rotation rotation : {Rotation::forward, Rotation::inverse}) {
        rope<T>(x, table, View<std::int32_t, Device>(positions.device), rotation, version);
        reference::rope<double>(x.host, 2 * half, 10000, positions.host, rotation);
        check_close("rope x", x, 2 * bound<T>);
      }
    }
  }
}
