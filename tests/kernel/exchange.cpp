// What the blocks of a cooperative launch pass to each other: the emulator finds a missing wait.
#include <cstring>
#include <string>
#include <vector>

#include "skipv1/kernel/exchange.cuh"
#include "tests/kernel/fault.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

constexpr unsigned exchange_threads = 64;

enum class Meeting { right, no_wait, no_arrival, released_early, read_early, overwritten_early };
/// Each block stores `exchange_threads` numbers, and adds up those of the next block, twice.
template <Meeting use>
SKIPV1_KERNEL pass_on(float* numbers, float* sums, std::uint32_t* counter) {
  const unsigned next = (block().x + 1) % grid_size().x, t = thread().x;
  GridBarrier barrier(counter);
  for (unsigned round = 0; round < 2; ++round) {
    if (use == Meeting::released_early && t == 0) semaphore_release(counter);  // for the other threads' stores of before
    store_exchanged(numbers + block().x * exchange_threads + t, static_cast<float>(round + t));
    if (use == Meeting::no_arrival && block().x == 2 && round == 1) return;
    if (use == Meeting::released_early) {
      if (t == 0) semaphore_wait(counter, (round + 1) * grid_size().x);
      sync_threads();
    } else if (use == Meeting::read_early) {
      sync_threads();
      if (t == 0) semaphore_release(counter), semaphore_wait(counter, (round + 1) * grid_size().x);
    } else {
      barrier.arrive();
      if (use != Meeting::no_wait) barrier.wait();
    }
    float sum = 0;
    for (unsigned i = 0; i < exchange_threads; i += 4) {
      const Vector<float, 4> x = load_exchanged<4>(numbers + next * exchange_threads + i);
      for (unsigned j = 0; j < 4; ++j) sum += x[j];
    }
    if (t == 0) sums[block().x * 2 + round] = sum;
    if (use == Meeting::overwritten_early) continue;  // the next round's stores do not wait for this one's readers
    barrier.arrive();
    barrier.wait();
  }
}
/// Each block passes eight numbered words to the block before it, three times, and takes them together with its own. With a
/// mistake block 2 leaves one out at last, or a lane of it does not wait with the others.
enum class Slip { none, forgets, goes_alone };
SKIPV1_KERNEL pass_words_on(std::uint32_t* words, float* sums, Slip slip) {
  const unsigned next = (block().x + 1) % grid_size().x, t = thread().x;
  for (std::uint32_t number = 65535; number < 65538; ++number) {  // the lower half counts
    const bool slips = block().x == 2 && number == 65537 && t == 3, forgotten = slips && slip == Slip::forgets;
    if (t < 8 && !forgotten)
      store_numbered(words + ((number - 65535) * 4 + block().x) * 8 + t,
                     static_cast<bfloat16>(static_cast<float>(number % 4 + t)), number);
    if (slips && slip == Slip::goes_alone) continue;
    const std::uint32_t* at = words + (number - 65535) * 32;
    Vector<bfloat16, 8> x[3];
    load_numbered(x, {true, t % 2 == 0, false}, {at + next * 8, at + block().x * 8, nullptr}, {number, number, 0});
    float sum = 0;
    for (const Vector<bfloat16, 8>& eight : x)
      for (unsigned j = 0; j < 8; ++j) sum += static_cast<float>(eight[j]);
    if (t < 2) sums[block().x * 2 + t] = sum;  // of even lanes with the block's own
  }
}
/// The first warp stores and arrives for its block; with `all`, another warp stores, too, which is a race.
SKIPV1_KERNEL arrive_by_one_warp(float* numbers, float* sums, std::uint32_t* counter, bool all) {
  const unsigned next = (block().x + 1) % grid_size().x, t = thread().x;
  GridBarrier barrier(counter);
  if (t < warp_size || all) store_exchanged(numbers + block().x * exchange_threads + t, static_cast<float>(t));
  barrier.arrive_by_first_warp();
  barrier.wait();
  if (t == 0) sums[block().x] = load_exchanged(numbers + next * exchange_threads + (all ? 40 : 20));
}
SKIPV1_KERNEL prefetch_bytes(const float* from, std::uint32_t bytes) { prefetch_l2(from, bytes); }
SKIPV1_KERNEL read_new_memory(const float* from, float* to) { *to = load_exchanged(from); }

std::string cooperative_fault(void (*kernel)(float*, float*, std::uint32_t*), std::vector<float>& sums) {
  alignas(16) float numbers[4 * exchange_threads] = {};
  std::uint32_t counter = 0;
  try {
    launch({"under_test", 4, exchange_threads, 0, Resident::all}, kernel, numbers, sums.data(), &counter);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a prefetch of a range that is no whole number of 16 bytes is reported, as the device would fault") {
  alignas(16) const float numbers[16] = {};
  const auto run = [&](const float* from, std::uint32_t bytes) { launch({"under_test", 1, 32}, prefetch_bytes, from, bytes); };
  CHECK_NOTHROW(run(numbers + 4, 48));
  CHECK_THROWS_WITH(run(numbers, 40), Catch::Contains("prefetches 40 bytes: not a multiple of 16"));
  CHECK_THROWS_WITH(run(numbers + 1, 16), Catch::Contains("at an address that is no multiple of that"));
}
TEST_CASE("blocks of a cooperative launch meet at a barrier, and a missing wait is a race") {
  std::vector<float> sums(8);
  CHECK(cooperative_fault(pass_on<Meeting::right>, sums) == "");
  for (std::size_t b = 0; b < 4; ++b) {
    CHECK(sums[2 * b] == 63 * 32);
    CHECK(sums[2 * b + 1] == 63 * 32 + 64);
  }
  const auto check_race = [&](const char* what, auto kernel) {
    INFO(what);
    CHECK_THAT(cooperative_fault(kernel, sums), Catch::Contains("race: ") && Catch::Contains(" global memory (exchange.cpp:") &&
                                                    Catch::Contains("without acquiring a semaphore that it released after that"));
  };
  check_race("no_wait", pass_on<Meeting::no_wait>);
  check_race("released_early", pass_on<Meeting::released_early>);
  check_race("read_early", pass_on<Meeting::read_early>);
  check_race("overwritten_early", pass_on<Meeting::overwritten_early>);
}

TEST_CASE("blocks of a cooperative launch that wait for one that is gone are a deadlock") {
  std::vector<float> sums(8);
  CHECK_THAT(
      cooperative_fault(pass_on<Meeting::no_arrival>, sums),
      Catch::Contains("deadlock: waits at a semaphore (exchange.cuh:") && Catch::Contains("that no resident block can release"));
}

TEST_CASE("numbered words need no barrier, and waiting for one that nobody stores is a deadlock, as for a lane") {
  const auto fault_of = [](Slip slip, std::vector<float>& sums) -> std::string {
    alignas(16) std::uint32_t words[96] = {};
    try {
      launch({"under_test", 4, exchange_threads, 0, Resident::all}, pass_words_on, words, sums.data(), slip);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  std::vector<float> sums(8);
  CHECK(fault_of(Slip::none, sums) == "");
  for (std::size_t i = 0; i < 8; ++i) CHECK(sums[i] == (i % 2 == 0 ? 2 : 1) * (8 + 28));
  CHECK_THAT(fault_of(Slip::forgets, sums), Catch::Contains("deadlock: waits at a semaphore (exchange.cpp:"));
  CHECK_THAT(fault_of(Slip::goes_alone, sums), Catch::Contains("sync_warp (exchange.cpp:"));
}

TEST_CASE("a warp arrives for its block where it alone has stored") {
  const auto fault_of = [](bool all, std::vector<float>& sums) -> std::string {
    alignas(16) float numbers[4 * exchange_threads] = {};
    std::uint32_t counter = 0;
    try {
      launch({"under_test", 4, exchange_threads, 0, Resident::all}, arrive_by_one_warp, numbers, sums.data(), &counter, all);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  std::vector<float> sums(4);
  CHECK(fault_of(false, sums) == "");
  for (const float sum : sums) CHECK(sum == 20);
  CHECK_THAT(fault_of(true, sums), Catch::Contains("race: reads global memory (exchange.cpp:"));
}

TEST_CASE("a load of exchanged memory that nobody has written is reported") {
  float from = 1, to = 0;
  CHECK(fault(1, 1, read_new_memory, &from, &to).empty());
  std::memset(&from, 0xff, sizeof from);  // as new device memory is
  CHECK_THAT(fault(1, 1, read_new_memory, &from, &to),
             Catch::Contains("reads global memory (exchange.cpp:") && Catch::Contains("that nobody has written"));
}
