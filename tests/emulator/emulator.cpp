// What the emulator must do as a card does, and what it must refuse.
#include <algorithm>
#include <vector>

#include "skipv1/kernel/launch.cuh"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

constexpr unsigned threads_of_block = 96;

/// What a launch of one block of `kernel` is refused with; empty if it is not.
template <class... Parameters>
std::string refusal(void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  try {
    launch({"under_test", {2, 2}, threads_of_block}, kernel, arguments...);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}
bool mentions(const std::string& line, const std::vector<std::string>& parts) {
  INFO(line);
  for (const std::string& part : parts) {
    INFO(part);
    CHECK(line.find(part) != std::string::npos);
  }
  return !line.empty();
}

SKIPV1_KERNEL write_indices(unsigned* out) {
  const Index3 n = block_size(), g = grid_size();
  const std::size_t in_grid = block().x + g.x * (block().y + g.y * block().z);
  out[in_grid * n.size() + thread_number()] =
      thread().x + 10 * thread().y + 100 * thread().z + 1000 * block().x + 2000 * block().y;
}

SKIPV1_KERNEL reverse(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  const unsigned t = thread().x;
  tile[t] = x[t];
  sync_threads();
  x[t] = tile[threads_of_block - 1 - t];
}
SKIPV1_KERNEL reverse_without_barrier(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  const unsigned t = thread().x;
  tile[t] = 0;
  sync_threads();
  tile[t] = x[t];
  x[t] = tile[threads_of_block - 1 - t];
}
SKIPV1_KERNEL overwrite_without_barrier(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  const unsigned t = thread().x;
  tile[t] = x[t];
  sync_threads();
  x[t] = tile[threads_of_block - 1 - t];
  tile[t] = 1;
}
SKIPV1_KERNEL write_what_all_read(float* x) {
  SKIPV1_SHARED(float, tile, 1);
  if (thread().x == 0) tile[0] = 1;
  sync_threads();
  x[thread().x] = tile[0];
  if (thread().x == 20) tile[0] = 2;
}
SKIPV1_KERNEL all_write_one(float*) {
  SKIPV1_SHARED(float, tile, 1);
  tile[0] = 1;
}
SKIPV1_KERNEL swap_in_warp(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  const unsigned t = thread().x;
  for (int i = 0; i < 3; ++i) {
    tile[t] = x[t];
    sync_warp();
    x[t] = tile[t ^ 1];
    sync_warp();
  }
}
SKIPV1_KERNEL swap_in_warp_without_barrier(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  const unsigned t = thread().x;
  tile[t] = 0;
  sync_warp();
  tile[t] = x[t];
  x[t] = tile[t ^ 1];
}
SKIPV1_KERNEL swap_across_warps(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  const unsigned t = thread().x;
  tile[t] = 0;
  sync_threads();
  tile[t] = x[t];
  sync_warp();
  x[t] = tile[(t + 32) % threads_of_block];
}
SKIPV1_KERNEL read_unwritten(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  if (thread().x > 0) tile[thread().x] = 0;
  sync_threads();
  x[thread().x] = tile[thread().x];
}
SKIPV1_KERNEL write_past_the_end(float*) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  tile[thread().x + 1] = 0;
}
SKIPV1_KERNEL read_before_the_start(float* x) {
  SKIPV1_SHARED(float, tile, threads_of_block);
  const int t = static_cast<int>(thread().x);
  tile[t] = 0;
  sync_threads();
  x[t] = tile[t - 1];
}
SKIPV1_KERNEL too_much_dynamic(float*) { dynamic_shared<float>(64, 1); }

SKIPV1_KERNEL barrier_for_some(float*) {
  if (thread().x < 40) sync_threads();
}
SKIPV1_KERNEL late_barrier_for_some(float*) {
  sync_threads();
  if (thread().x >= 40) sync_threads();
}
SKIPV1_KERNEL two_barriers(float*) {
  if (thread().x < 40) {
    sync_threads();
  } else {
    sync_threads();
  }
}
SKIPV1_KERNEL barrier_beside_shuffle(float* x) {
  if (thread().x % 32 == 5) {
    sync_threads();
  } else {
    *x = shuffle(1.f, 0);
  }
}
SKIPV1_KERNEL different_shuffles(float* x) {
  if (thread().x % 2) {
    *x = shuffle_xor(1.f, 1);
  } else {
    *x = shuffle_down(1.f, 1);
  }
}
SKIPV1_KERNEL shuffle_for_some(float* x) {
  if (thread().x % 32 < 16) *x = shuffle_xor(1.f, 1);
}

SKIPV1_KERNEL warp_words(float* x, unsigned* votes) {
  const unsigned t = thread().x;
  const auto number = static_cast<float>(t);
  x[t] = shuffle(number, lane() / 2);
  x[96 + t] = shuffle_xor(number, 5);
  x[192 + t] = shuffle_down(number, 3);
  x[288 + t] = warp_sum(number);
  x[384 + t] = block_sum(number);
  x[480 + t] = block_max(number);
  votes[t] = ballot(t % 3 == 0);
  votes[96 + t] = any(t == 40) + 2u * all(t < 64);
}
SKIPV1_KERNEL count_up(int* global, double* sum) {
  SKIPV1_SHARED(int, counter, 1);
  if (thread().x == 0) counter[0] = 0;
  sync_threads();
  atomic_add(counter, 0, 1);
  atomic_add(sum, 0.5);
  sync_threads();
  if (thread().x == 0) atomic_add(global, static_cast<int>(counter[0]));
}
SKIPV1_KERNEL misaligned(float* x) { load_vector<4>(x + 1); }
SKIPV1_KERNEL throws(float*) {
  if (thread().x == 50) fail("thread 50 fails");
  sync_threads();
}

}  // namespace

TEST_CASE("threads and blocks are numbered as on a card") {
  std::vector<unsigned> out(2 * 3 * 4 * 3 * 2, 7);
  launch({"write_indices", {2, 3}, {4, 3, 2}}, write_indices, out.data());
  std::size_t at = 0;
  for (unsigned y = 0; y < 3; ++y)
    for (unsigned x = 0; x < 2; ++x)
      for (unsigned k = 0; k < 2; ++k)
        for (unsigned j = 0; j < 3; ++j)
          for (unsigned i = 0; i < 4; ++i) REQUIRE(out[at++] == i + 10 * j + 100 * k + 1000 * x + 2000 * y);
  launch({"nothing", {0, 3}, 32}, write_indices, out.data());
}

TEST_CASE("warp and block operations give what a card gives") {
  std::vector<float> x(576);
  std::vector<unsigned> votes(192);
  launch({"warp_words", 1, 96}, warp_words, x.data(), votes.data());
  for (unsigned t = 0; t < 96; ++t) {
    const unsigned first = t / 32 * 32, lane = t % 32;
    REQUIRE(x[t] == static_cast<float>(first + lane / 2));
    REQUIRE(x[96 + t] == static_cast<float>(first + (lane ^ 5)));
    REQUIRE(x[192 + t] == static_cast<float>(lane + 3 < 32 ? t + 3 : t));
    REQUIRE(x[288 + t] == static_cast<float>(32 * first + 31 * 16));
    REQUIRE(x[384 + t] == 95.f * 48.f);
    REQUIRE(x[480 + t] == 95.f);
    unsigned vote = 0;
    for (unsigned i = 0; i < 32; ++i) vote |= ((first + i) % 3 == 0 ? 1u : 0u) << i;
    REQUIRE(votes[t] == vote);
    REQUIRE(votes[96 + t] == (first == 32 ? 1u : 0u) + (first < 64 ? 2u : 0u));
  }
}

TEST_CASE("atomics add up, in shared memory and across blocks") {
  int count = 0;
  double sum = 0;
  launch({"count_up", 50, 64}, count_up, &count, &sum);
  REQUIRE(count == 3200);
  REQUIRE(sum == 1600);
}

TEST_CASE("right uses of shared memory pass") {
  std::vector<float> x(threads_of_block), y(threads_of_block);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = y[i] = static_cast<float>(i);
  launch({"reverse", 1, threads_of_block}, reverse, x.data());
  std::reverse(y.begin(), y.end());
  REQUIRE(x == y);
  launch({"swap_in_warp", 1, threads_of_block}, swap_in_warp, x.data());
  for (std::size_t i = 0; i < y.size(); i += 2) std::swap(y[i], y[i + 1]);
  REQUIRE(x == y);
}

TEST_CASE("races on shared memory are refused with both threads and the line") {
  std::vector<float> x(threads_of_block);
  mentions(refusal(reverse_without_barrier, x.data()),
           {"kernel under_test, block (0, 0, 0), thread (", "race", "shared array tile", "emulator.cpp:"});
  mentions(refusal(overwrite_without_barrier, x.data()), {"race: ", "which thread (", "without a barrier between"});
  mentions(refusal(write_what_all_read, x.data()), {"thread (20, 0, 0): race: writes element 0", "which several threads read"});
  mentions(refusal(all_write_one, x.data()), {"thread (1, 0, 0)", "race: writes element 0", "which thread (0, 0, 0) writes"});
  mentions(refusal(swap_in_warp_without_barrier, x.data()), {"race"});
  mentions(refusal(swap_across_warps, x.data()), {"race"});
}

TEST_CASE("shared memory is left neither at its ends nor before it is written") {
  std::vector<float> x(threads_of_block);
  mentions(refusal(read_unwritten, x.data()),
           {"thread (0, 0, 0): reads element 0 of shared array tile", "no thread of the block has written"});
  mentions(refusal(write_past_the_end, x.data()), {"thread (95, 0, 0): writes element 96 of shared array tile", "which has 96"});
  mentions(refusal(read_before_the_start, x.data()), {"reads element -1 of shared array tile"});
  mentions(refusal(too_much_dynamic, x.data()), {"do not fit the 0 bytes"});
}

TEST_CASE("divergent barriers and shuffles are refused") {
  std::vector<float> x(threads_of_block);
  mentions(refusal(barrier_for_some, x.data()),
           {"thread (40, 0, 0): returns without reaching the barrier", "thread (0, 0, 0) waits"});
  mentions(refusal(late_barrier_for_some, x.data()), {"thread (0, 0, 0): returns without reaching the barrier"});
  mentions(refusal(two_barriers, x.data()),
           {"thread (40, 0, 0): waits at the barrier of", "while thread (0, 0, 0) waits at that of"});
  mentions(refusal(barrier_beside_shuffle, x.data()),
           {"waits for its warp at shuffle", "thread (5, 0, 0) waits at the barrier of"});
  mentions(refusal(different_shuffles, x.data()),
           {"thread (1, 0, 0): calls shuffle_xor", "thread (0, 0, 0) of its warp waits at shuffle_down"});
  mentions(refusal(shuffle_for_some, x.data()), {"thread (16, 0, 0): returns without shuffle_xor"});
}

TEST_CASE("launches that a card refuses are refused, and what a kernel throws arrives") {
  alignas(16) float x[8] = {};
  CHECK_THROWS_WITH(launch({"wide", 1, 1025}, reverse, x), Catch::Contains("kernel wide: blocks of (1025, 1, 1) threads"));
  CHECK_THROWS_WITH(launch({"deep", {1, 70000}, 32}, reverse, x), Catch::Contains("kernel deep: a grid of (1, 70000, 1)"));
  CHECK_THROWS_WITH(launch({"large", 1, 32, 300000}, reverse, x), Catch::Contains("300000 bytes of shared memory"));
  CHECK_THROWS_WITH(launch({"misaligned", 1, 1}, misaligned, x), Catch::Contains("a load or store of 16 bytes"));
  CHECK_THROWS_WITH(lane(), Catch::Contains("outside of a kernel"));
  CHECK(refusal(throws, x) == "thread 50 fails");
  std::vector<float> y(threads_of_block, 1.f);
  launch({"reverse", 1, threads_of_block}, reverse, y.data());  // the emulator goes on after a fault
  CHECK(y[0] == 1.f);
}
