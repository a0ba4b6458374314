#include "skipv1/ops/value_mix.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

/// The first layer's values are `extra` columns wider than the layer's own.
constexpr std::size_t extras[] = {0, 3};

template <class T>
void check_forward(Size size, std::size_t extra) {
  const Tensor<T> own = draw<T>({size.rows, size.width}, 1), first = draw<T>({size.rows, size.width + extra}, 2);
  const Tensor<T> lambda = filled<T>({1}, T(0.25));
  Tensor<T> mixed = poisoned<T>(own.shape());
  value_mix_forward(mixed, own, first, lambda);
  Tensor<double> expected(own.shape());
  for (std::size_t n = 0; n < size.rows; ++n)
    for (std::size_t i = 0; i < size.width; ++i)
      expected(n, i) = 0.25 * static_cast<double>(own(n, i)) + 0.75 * static_cast<double>(first(n, i));
  CHECK(error(mixed, expected) < rounding<T>);
}

/// A head inside memory of (batch, positions, heads * width).
Head<double> head_of(View<double> memory, std::size_t h, std::size_t width) {
  return {memory.data() + h * width, memory.extent(1) * memory.extent(2), memory.extent(2)};
}

}  // namespace

TEST_CASE("value_mix equals its formula, with first values as wide or wider") {
  for (Size size : sizes) {
    for (std::size_t extra : extras) {
      CAPTURE(size.rows, size.width, extra);
      check_forward<double>(size, extra);
      check_forward<float>(size, extra);
    }
  }
}

TEST_CASE("value_mix's gradients equal finite differences: the own one written, the others added") {
  for (Size size : sizes) {
    for (std::size_t extra : extras) {
      CAPTURE(size.rows, size.width, extra);
      const Tensor<double> own = draw<double>({size.rows, size.width}, 1),
                           first = draw<double>({size.rows, size.width + extra}, 2);
      const Tensor<double> lambda = filled<double>({1}, 0.3), dmixed = draw<double>(own.shape(), 3);
      Tensor<double> mixed(own.shape());
      const auto loss = [&] {
        value_mix_forward(mixed, own, first, lambda);
        return dot(mixed, dmixed);
      };
      const Tensor<double> dfirst0 = draw<double>(first.shape(), 4), dlambda0 = filled<double>({1}, 5);
      Tensor<double> down = poisoned<double>(own.shape()), dfirst = dfirst0, dlambda = dlambda0;
      value_mix_backward(down, dfirst, dlambda, dmixed, own, first, lambda);
      CHECK(gradient_error(own, down, loss) < gradient_bound);
      CHECK(gradient_error(first, added(dfirst, dfirst0), loss) < gradient_bound);
      CHECK(gradient_error(lambda, added(dlambda, dlambda0), loss) < gradient_bound);
      Tensor<double> in_place = dmixed, again = dfirst0;  // and without a gradient for lambda
      value_mix_backward(in_place, again, View<double>(), in_place, own, first, lambda);
      CHECK(same_bits<double>(in_place, down));
      CHECK(same_bits<double>(again, dfirst));
    }
  }
}

TEST_CASE("value_mix's gradient has the same bits with any number of threads") {
  const Tensor<float> own = draw<float>({1000, 7}, 1), first = draw<float>({1000, 9}, 2), lambda = filled<float>({1}, 0.3f);
  CHECK(thread_invariant([&] {
    Tensor<float> down(own.shape()), dfirst = zeros<float>(first.shape()), dlambda = zeros<float>({1});
    value_mix_backward(down, dfirst, dlambda, own, own, first, lambda);
    return dlambda;
  }));
}

TEST_CASE("pool takes the mean of two heads where they lie, over the positions asked for") {
  constexpr std::size_t batch = 2, capacity = 5, positions = 4;
  for (std::size_t width : {1u, 5u, 8u}) {
    CAPTURE(width);
    const Tensor<double> memory = draw<double>({batch, capacity, 3 * width}, 1),
                         dpooled = draw<double>({batch, capacity, width}, 2);
    for (std::size_t b = 0; b < batch; ++b)  // what lies beyond must not matter
      for (std::size_t i = 0; i < 3 * width; ++i) memory(b, positions, i) = std::numeric_limits<double>::quiet_NaN();
    Tensor<double> pooled = poisoned<double>(dpooled.shape());
    const auto loss = [&] {
      pool_forward(head_of(pooled, 0, width), head_of(memory, 0, width), head_of(memory, 2, width), batch, positions, width);
      double sum = 0;
      for (std::size_t b = 0; b < batch; ++b)
        for (std::size_t t = 0; t < positions; ++t)
          for (std::size_t i = 0; i < width; ++i) sum += pooled(b, t, i) * dpooled(b, t, i);
      return sum;
    };
    loss();
    CHECK(pooled(1, 3, width - 1) == (memory(1, 3, width - 1) + memory(1, 3, 3 * width - 1)) / 2);
    CHECK(std::isnan(pooled(0, positions, 0)));

    const Tensor<double> before = draw<double>(memory.shape(), 3);
    Tensor<double> dmemory = before;
    pool_backward(head_of(dmemory, 0, width), head_of(dmemory, 2, width), head_of(dpooled, 0, width), batch, positions, width);
    CHECK(gradient_error(memory, added(dmemory, before), loss) < gradient_bound);
  }
}
