// Random numbers that are the same on every machine (the standard library's distributions are not).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

namespace skipv1 {

/// A counter-based generator: number `n` of stream `seed` is a hash of both (SplitMix64, Steele et al. 2014),
/// so a state is two integers and can be saved, split and skipped.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t counter = 0) : seed_(mix(seed ^ 0x5851f42d4c957f2dULL)), counter_(counter) {}

  /// 64 random bits.
  std::uint64_t bits() { return mix(seed_ + 0x9e3779b97f4a7c15ULL * ++counter_); }
  /// Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  /// Uniform in `0 … n - 1`, `n > 0`.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(uniform() * static_cast<double>(n)); }
  /// Standard normal (Box and Muller, one of the pair).
  double normal() {
    const double r = std::sqrt(-2 * std::log(1 - uniform()));
    return r * std::cos(2 * std::numbers::pi * uniform());
  }
  /// An independent stream, named by `id`.
  Random split(std::uint64_t id) const { return Random(mix(seed_ + mix(id + 1))); }
  /// How many numbers have been drawn: `Random(seed, counter())` goes on from here.
  std::uint64_t counter() const { return counter_; }
  /// This stream as it is after `count` more numbers.
  Random ahead(std::uint64_t count) const {
    Random later = *this;
    later.counter_ += count;
    return later;
  }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t seed_, counter_;
};

}  // namespace skipv1
