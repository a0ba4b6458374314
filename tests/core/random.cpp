#include "skipv1/core/random.hpp"

#include <set>
#include <vector>

#include "tests/catch.hpp"

using namespace skipv1;

namespace {

/// SplitMix64's mixing function, as Steele et al. give it.
std::uint64_t split_mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

TEST_CASE("random bits are SplitMix64's sequence from the mixed seed") {
  Random random(7);
  std::uint64_t state = split_mix(7 ^ 0x5851f42d4c957f2dULL);
  for (int i = 0; i < 5; ++i) CHECK(random.bits() == split_mix(state += 0x9e3779b97f4a7c15ULL));
}

TEST_CASE("random numbers repeat by seed, and go on from a counter") {
  Random a(1), b(1), c(2);
  std::vector<std::uint64_t> first;
  for (int i = 0; i < 10; ++i) first.push_back(a.bits());
  for (std::uint64_t bits : first) CHECK(b.bits() == bits);
  CHECK(c.bits() != first[0]);
  CHECK(a.counter() == 10);
  Random rest(1, 4);
  CHECK(rest.bits() == first[4]);
  CHECK(rest.counter() == 5);
  Random whole(5), late = Random(5).ahead(3);
  for (int i = 0; i < 3; ++i) whole.bits();
  CHECK(late.bits() == whole.bits());
}

TEST_CASE("uniform numbers lie in [0, 1) and are uniform") {
  Random random(3);
  constexpr int n = 100000;
  double sum = 0, square = 0;
  int tenths[10] = {}, outside = 0;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform();
    if (u < 0 || u >= 1)
      ++outside;
    else
      sum += u, square += u * u, ++tenths[static_cast<int>(10 * u)];
  }
  CHECK(outside == 0);
  CHECK(sum / n == Approx(0.5).margin(0.005));  // five standard errors
  CHECK(square / n == Approx(1.0 / 3).margin(0.005));
  for (int count : tenths) CHECK(std::abs(count - n / 10) < 500);
}

TEST_CASE("normal numbers have the normal's moments") {
  Random random(4);
  constexpr int n = 100000;
  double moments[5] = {};
  int within = 0;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    for (int k = 1; k < 5; ++k) moments[k] += std::pow(x, k) / n;
    within += std::abs(x) < 1;
  }
  CHECK(moments[1] == Approx(0).margin(0.016));
  CHECK(moments[2] == Approx(1).margin(0.023));
  CHECK(moments[3] == Approx(0).margin(0.07));
  CHECK(moments[4] == Approx(3).margin(0.16));
  CHECK(within == Approx(0.6827 * n).margin(750));
  CHECK(random.counter() == 2 * n);  // two numbers each
}

TEST_CASE("below stays below and reaches everything") {
  Random random(5);
  for (std::size_t n : {1u, 2u, 7u, 100u}) {
    std::set<std::size_t> seen;
    for (int i = 0; i < 2000; ++i) seen.insert(random.below(n));
    CHECK(seen.size() == n);
    CHECK(*seen.rbegin() == n - 1);
  }
}

TEST_CASE("split streams differ from each other and from their parent, and depend on the seed alone") {
  Random parent(6);
  std::set<std::uint64_t> first{parent.bits()};
  for (std::uint64_t id = 0; id < 1000; ++id) first.insert(parent.split(id).bits());
  CHECK(first.size() == 1001);
  CHECK(Random(6).split(3).bits() == parent.split(3).bits());
  CHECK(Random(6).split(3).bits() != Random(7).split(3).bits());
  Random a = parent.split(0), b = parent.split(1);
  double product = 0;
  for (int i = 0; i < 10000; ++i) product += a.normal() * b.normal() / 10000;
  CHECK(product == Approx(0).margin(0.05));  // uncorrelated
}
