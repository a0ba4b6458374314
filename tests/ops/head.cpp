#include "skipv1/ops/head.hpp"

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("a head is found at its strides, and can be read through a constant one") {
  const Tensor<int> memory({2, 3, 8});
  for (std::size_t i = 0; i < memory.size(); ++i) memory.data()[i] = static_cast<int>(i);
  const Head<int> head{memory.data() + 4, 24, 8};
  CHECK(*head.at(1, 2) == memory(1, 2, 4));
  CHECK(head.at(0, 0) == memory.data() + 4);
  const ConstHead<int> constant = head;
  CHECK(constant.at(1, 1) == head.at(1, 1));
  CHECK(Head<int>().data == nullptr);
}

TEST_CASE("a batch has as many sequences as pasts") {
  const std::int32_t row_begin[] = {0, 2, 2}, past[] = {0, 5};
  const Sequences<> sequences{{row_begin, {3}}, {past, {2}}, 2, 5};
  CHECK(sequences.batch() == 2);
  CHECK(Sequences<>().batch() == 0);
}
