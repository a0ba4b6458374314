#include "skipv1/ops/head_copy.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEST_CASE("copy_head copies or adds one head between memories of different strides, and nothing else") {
  constexpr std::size_t batch = 2, positions = 3;
  for (std::size_t width : {1u, 5u, 8u}) {
    CAPTURE(width);
    const Tensor<float> from = draw<float>({batch, 4, 2 * width}, 1), before = draw<float>({batch, 6, 3 * width}, 2);
    Tensor<float> written = before, sum = before;
    const auto head = [&](View<float> x, std::size_t h) {
      return Head<float>{x.data() + h * width, x.extent(1) * x.extent(2), x.extent(2)};
    };
    copy_head(head(written, 2), head(from, 1), batch, positions, width);
    copy_head(head(sum, 2), head(from, 1), batch, positions, width, WriteMode::accumulate);
    std::size_t wrong = 0;
    for (std::size_t b = 0; b < batch; ++b) {
      for (std::size_t t = 0; t < 6; ++t) {
        for (std::size_t i = 0; i < 3 * width; ++i) {
          const bool inside = t < positions && i >= 2 * width;
          const float old = before(b, t, i), in = inside ? from(b, t, i - width) : 0.0f;
          wrong += written(b, t, i) != (inside ? in : old) || sum(b, t, i) != (inside ? old + in : old);
        }
      }
    }
    CHECK(wrong == 0);
  }
}
