// Both flavours of the device half in one program: each does its own work, whichever was linked first.
#include <cmath>

#include "skipv1/core/on_device.hpp"
#include "tests/flavours/steps.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("every flavour that is linked runs its own kernels") {
  REQUIRE(why_not<Emulated>().empty());
  CHECK(reversed<Emulated>("routing") == "emulated: gnituor");
  const std::vector<double> emulated = losses<Emulated>();
  REQUIRE(emulated.size() == 3);
  CHECK(std::abs(emulated[0] - std::log(11.0)) < 0.5);
  CHECK(emulated[2] < emulated[0]);
#if defined(SKIPV1_WITH_CUDA)
  if (!why_not<Cuda>().empty()) {
    WARN("linked with both flavours; " << why_not<Cuda>());
    return;
  }
  CHECK(reversed<Cuda>("routing") == "cuda: gnituor");
  const std::vector<double> cuda = losses<Cuda>();
  for (std::size_t step = 0; step < 3; ++step) CHECK(std::abs(cuda[step] - emulated[step]) < 1e-4);
  CHECK(losses<Emulated>() == emulated);
#endif
}

TEST_CASE("a device that is not linked, or is none, is refused by name") {
  const auto name = [](auto space) { return std::string(std::is_same_v<decltype(space), Cuda> ? "cuda" : "emulated"); };
  CHECK(with_device("emulated", name) == "emulated");
  CHECK_THROWS_WITH(with_device("abacus", name), "--device abacus: must be cpu, cuda or emulated");
#if defined(SKIPV1_WITH_CUDA)
  CHECK(with_device("cuda", name) == "cuda");
#else
  CHECK_THROWS_WITH(with_device("cuda", name), Catch::Contains("--device cuda: this build has no CUDA"));
#endif
}
