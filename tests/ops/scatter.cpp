#include "skipv1/ops/scatter.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEST_CASE("scatter_rows puts each sequence's rows behind its earlier ones") {
  constexpr std::size_t batch = 4, capacity = 7;
  const std::int32_t begins[] = {0, 2, 2, 6, 7}, pasts[] = {5, 3, 0, 4};  // the second sequence has no new rows
  const Sequences<> sequences{{begins, {batch + 1}}, {pasts, {batch}}, 4, 7};
  for (std::size_t width : {1u, 5u, 64u}) {
    CAPTURE(width);
    const Tensor<float> x = draw<float>({7, width}, 1), before = draw<float>({batch, capacity, width}, 2);
    const Tensor<float> cache = before;
    scatter_rows(cache, x, sequences);
    std::size_t wrong = 0;
    for (std::size_t b = 0; b < batch; ++b) {
      for (std::size_t t = 0; t < capacity; ++t) {
        const auto past = static_cast<std::size_t>(pasts[b]), begin = static_cast<std::size_t>(begins[b]);
        const bool fresh = t >= past && t < past + static_cast<std::size_t>(begins[b + 1]) - begin;
        for (std::size_t i = 0; i < width; ++i) wrong += cache(b, t, i) != (fresh ? x(begin + t - past, i) : before(b, t, i));
      }
    }
    CHECK(wrong == 0);
  }
}
