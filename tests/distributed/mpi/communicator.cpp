#include "skipv1/distributed/communicator.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/distributed/mpi/world.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
/// What process `rank` gives to a sum: numbers whose sums are exact in every type.
template <class T>
Tensor<T> given_to_sum(std::size_t count, std::size_t rank) {
  Tensor<T> x({count});
  for (std::size_t i = 0; i < count; ++i) x.data()[i] = static_cast<T>(static_cast<float>(i % 5 + rank));
  return x;
}
double exact_sum(std::size_t i, std::size_t size) { return static_cast<double>(i % 5 * size + size * (size - 1) / 2); }

template <class T>
void check_sums() {
  for (const std::size_t count : {1u, 3u, 63u, 64u, 65u, 127u, 100000u}) {
    Tensor<T> everywhere = given_to_sum<T>(count, here().rank());
    std::vector<Tensor<T>> at;
    for (std::size_t root = 0; root < here().size(); ++root) at.push_back(given_to_sum<T>(count, here().rank()));
    for (std::size_t root = 0; root < here().size(); ++root) here().begin_reduce(View<T>(at[root]), root);
    here().begin_all_reduce(View<T>(everywhere));
    here().wait();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) {
      wrong += static_cast<double>(everywhere.data()[i]) != exact_sum(i, here().size());
      wrong += static_cast<double>(at[here().rank()].data()[i]) != exact_sum(i, here().size());
    }
    CHECK(wrong == 0);
  }
}
}  // namespace

TEST_CASE("sums over processes, on all and on one, in every type") {
  check_sums<float>();
  check_sums<double>();
  check_sums<bfloat16>();
}

TEST_CASE("a broadcast from any process reaches all") {
  for (std::size_t root = 0; root < here().size(); ++root) {
    std::string text = "from " + std::to_string(here().rank());
    here().broadcast(text, root);
    CHECK(text == "from " + std::to_string(root));
    std::string empty = here().rank() == root ? "" : "something";
    here().broadcast(empty, root);
    CHECK(empty.empty());
    Tensor<float> x = filled<float>({1000}, static_cast<float>(here().rank()));
    here().begin_broadcast(View<float>(x), root);
    here().wait();
    CHECK((x.data()[0] == static_cast<float>(root) && x.data()[999] == static_cast<float>(root)));
  }
}

TEST_CASE("sums of numbers that round are the same to the bit on every process, and the second time") {
  Tensor<float> first = draw<float>({4097}, here().rank() + 1), second = first;
  here().begin_all_reduce(View<float>(first));
  here().begin_all_reduce(View<float>(second));
  here().wait();
  CHECK(same_bits(View<float>(first), View<float>(second)));
  Tensor<float> of_root = first;
  here().begin_broadcast(View<float>(of_root), 0);
  here().wait();
  CHECK(same_bits(View<float>(first), View<float>(of_root)));
}

TEST_CASE("what is begun is done while the caller goes on, in order") {
  std::vector<Tensor<double>> all;
  for (int i = 0; i < 50; ++i) all.push_back(filled<double>({64}, 1.0));
  for (Tensor<double>& x : all) here().begin_all_reduce(View<double>(x));
  double other = 1;
  here().all_reduce(&other, 1);  // behind them
  for (const Tensor<double>& x : all) CHECK(x.data()[63] == static_cast<double>(here().size()));
  here().barrier();
}
