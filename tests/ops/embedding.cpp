#include "skipv1/ops/embedding.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

constexpr std::size_t vocab = 7;

Tensor<std::int32_t> draw_ids(std::size_t n) {
  Tensor<std::int32_t> ids({n});
  Random random(n);
  for (std::size_t i = 0; i < n; ++i) ids(i) = static_cast<std::int32_t>(random.below(vocab));
  return ids;
}

}  // namespace

TEST_CASE("embedding picks rows, or adds them") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    const Tensor<float> table = draw<float>({vocab, size.width}, 1), before = draw<float>({size.rows, size.width}, 2);
    const Tensor<std::int32_t> ids = draw_ids(size.rows);
    Tensor<float> x = poisoned<float>(before.shape()), sum = before;
    embedding_forward(x, table, ids);
    embedding_forward(sum, table, ids, WriteMode::accumulate);
    std::size_t wrong = 0;
    for (std::size_t n = 0; n < size.rows; ++n) {
      for (std::size_t i = 0; i < size.width; ++i) {
        const float expected = table(static_cast<std::size_t>(ids(n)), i);
        wrong += x(n, i) != expected || sum(n, i) != before(n, i) + expected;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("embedding adds the gradients of finite differences, of repeated tokens too") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    const Tensor<double> table = draw<double>({vocab, size.width}, 1), dx = draw<double>({size.rows, size.width}, 2);
    const Tensor<std::int32_t> ids = draw_ids(size.rows);
    Tensor<double> x(dx.shape());
    const auto loss = [&] {
      embedding_forward(x, table, ids);
      return dot(x, dx);
    };
    const Tensor<double> dtable0 = draw<double>(table.shape(), 3);
    Tensor<double> dtable = dtable0;
    embedding_backward(dtable, dx, ids);
    CHECK(gradient_error(table, added(dtable, dtable0), loss) < gradient_bound);
  }
}
