#include "skipv1/ops/linear_gelu.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEST_CASE("a linear map and its GELU, in either order, have the gradients of finite differences") {
  for (std::size_t rows : {1u, 7u, 33u}) {
    const std::size_t in = 5, wide = 31, out = 3;
    const Tensor<double> x = draw<double>({rows, in}, 1), up = draw<double>({wide, in}, 2), bias = draw<double>({wide}, 3),
                         down = draw<double>({out, wide}, 4), dy = draw<double>({rows, out}, 5);
    Tensor<double> before = poisoned<double>({rows, wide}), hidden = poisoned<double>({rows, wide}), y({rows, out});
    linear_gelu_forward(hidden, before, x, up, bias);
    for (std::size_t n = 0; n < rows; ++n) {
      for (std::size_t i = 0; i < wide; ++i) {
        double u = bias(i);
        for (std::size_t j = 0; j < in; ++j) u += x(n, j) * up(i, j);
        CHECK(before(n, i) == Approx(u).margin(1e-12));
        CHECK(hidden(n, i) == Approx(u / 2 * (1 + std::tanh(0.7978845608028654 * (u + 0.044715 * u * u * u)))).margin(1e-12));
      }
    }
    const auto loss = [&] {
      gelu_forward(hidden, before);
      linear_forward(y, hidden, down, {});
      return dot(y, dy);
    };
    Tensor<double> dbefore = poisoned<double>(before.shape());
    gelu_linear_backward(dbefore, dy, down, before);
    CHECK(gradient_error(before, dbefore, loss) < gradient_bound);
  }
}
