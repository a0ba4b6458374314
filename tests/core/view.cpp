#include "skipv1/core/view.hpp"

#include <limits>
#include <sstream>
#include <vector>

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

// A view of a temporary tensor's variables would outlive them; of constants it is an argument.
static_assert(!std::is_convertible_v<Tensor<float>, View<float>> && !std::is_constructible_v<View<float>, Tensor<float>>);
static_assert(std::is_convertible_v<Tensor<float>&, View<float>> && std::is_convertible_v<Tensor<float>, View<const float>>);

TEST_CASE("a shape has a rank, extents and a size, and prints as a tuple") {
  const Shape shape{2, 3, 5};
  CHECK(shape.rank() == 3);
  CHECK(shape[1] == 3);
  CHECK(shape.size() == 30);
  CHECK(std::vector<std::size_t>(shape.begin(), shape.end()) == std::vector<std::size_t>{2, 3, 5});
  CHECK(Shape{4, 0, 2}.size() == 0);
  CHECK(Shape{}.size() == 1);
  std::ostringstream text;
  text << shape << Shape{7} << Shape{};
  CHECK(text.str() == "(2, 3, 5)(7)()");
}

TEST_CASE("shapes are equal if all extents are, and as many") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK_FALSE(Shape{2, 3} == Shape{3, 2});
  CHECK_FALSE(Shape{2, 3} == Shape{2, 3, 1});
  CHECK_FALSE(Shape{} == Shape{1});
}

TEST_CASE("a shape takes any integers, of four dimensions at most") {
  const std::vector<int> extents{1, 2, 3, 4, 5};
  CHECK(Shape(extents.begin(), extents.end() - 1) == Shape{1, 2, 3, 4});
  CHECK(message([&] { Shape(extents.begin(), extents.end()); }) == "a tensor of 5 dimensions: at most 4 are supported");
}

TEST_CASE("a view reads row-major memory") {
  std::vector<int> memory(24);
  for (int i = 0; i < 24; ++i) memory[static_cast<std::size_t>(i)] = i;
  const View<int> x(memory.data(), {2, 3, 4});
  CHECK(x(1, 2, 3) == 23);
  CHECK(x(0, 1, 0) == 4);
  CHECK(x.size() == 24);
  CHECK(x.extent(1) == 3);
  CHECK(x.width() == 4);
  CHECK(x.rows() == 6);
  x(1, 0, 0) = -1;
  CHECK(memory[12] == -1);
  const View<const int> constant = x;
  CHECK(constant.data() == memory.data());
  CHECK(constant(1, 0, 0) == -1);
}

TEST_CASE("a view without data is empty, whatever its shape") {
  const View<float> none, shaped(nullptr, {2, 3});
  CHECK(none.empty());
  CHECK(none.size() == 0);
  CHECK(none.width() == 0);
  CHECK(none.rows() == 0);
  CHECK(shaped.empty());
  CHECK(shaped.rows() == 0);
  float one = 1;
  CHECK(View<float>(&one, {3, 0}).empty());
  CHECK(View<float>(&one, {3, 0}).rows() == 0);
  CHECK(View<float>(&one, {}).size() == 1);
}

TEST_CASE("reshape keeps the elements and refuses another number of them") {
  std::vector<int> memory{0, 1, 2, 3, 4, 5};
  const View<int> x(memory.data(), {2, 3});
  CHECK(x.reshape({3, 2})(2, 1) == 5);
  CHECK(x.reshape({6})(4) == 4);
  CHECK(message([&] { x.reshape({4}); }) == "reshape: (2, 3) has not as many elements as (4)");
}

TEST_CASE("slice takes consecutive indices of the first dimension and refuses those beyond it") {
  std::vector<int> memory{0, 1, 2, 3, 4, 5};
  const View<int> x(memory.data(), {3, 2});
  CHECK(x.slice(1, 2).shape() == Shape{2, 2});
  CHECK(x.slice(1, 2)(1, 1) == 5);
  CHECK(x.slice(3, 0).empty());
  CHECK(message([&] { x.slice(2, 2); }) == "slice: 2 + 2 exceeds (3, 2)");
  CHECK_THROWS_AS(x.slice(4, 0), Error);
  CHECK_THROWS_AS(x.slice(std::numeric_limits<std::size_t>::max(), 2), Error);
}
