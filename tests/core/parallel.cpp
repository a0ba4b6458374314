#include "skipv1/core/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("parallel_for does every task once, with any number of threads, nested too") {
  const int before = threads();
  for (int n : {1, 2, 3}) {
    set_threads(n);
    for (std::size_t count : {0u, 1u, 2u, 3u, 64u, 1000u}) {
      std::vector<std::atomic<int>> done(count), inner(count);
      parallel_for(count, [&](std::size_t i) {
        ++done[i];
        if (i == 0) parallel_for(count, [&](std::size_t j) { ++inner[j]; });
      });
      CHECK(std::all_of(done.begin(), done.end(), [](const auto& times) { return times == 1; }));
      CHECK(std::all_of(inner.begin(), inner.end(), [](const auto& times) { return times == 1; }));
    }
  }
  set_threads(before);
}

TEST_CASE("parallel_ranges covers all in ranges that the count and the grain decide") {
  for (std::size_t count : {0u, 1u, 63u, 64u, 65u, 127u, 128u}) {
    CAPTURE(count);
    std::vector<std::atomic<int>> done(count);
    std::atomic<std::size_t> ranges = 0, wrong = 0;
    parallel_ranges(count, 64, [&](std::size_t begin, std::size_t end) {
      ++ranges;
      wrong += begin % 64 != 0 || end <= begin || end - begin > 64;
      for (std::size_t i = begin; i < end; ++i) ++done[i];
    });
    CHECK(ranges == (count + 63) / 64);
    CHECK(wrong == 0);
    CHECK(std::all_of(done.begin(), done.end(), [](const auto& times) { return times == 1; }));
  }
}

TEST_CASE("set_threads is what threads says") {
  const int before = threads();
  CHECK(before >= 1);
#ifdef _OPENMP
  set_threads(3);
  CHECK(threads() == 3);
#endif
  set_threads(before);
  CHECK(threads() == before);
}
