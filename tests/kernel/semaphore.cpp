// Semaphores: the order of blocks, and of their bulk stores.
#include <string>
#include <vector>

#include "skipv1/kernel/semaphore.cuh"
#include "skipv1/kernel/tma.cuh"
#include "tests/kernel/fault.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

enum class Order { right, never, fails, not_acquired, released_early };
/// Each block appends its ticket, in the order of tickets.
template <Order use>
SKIPV1_KERNEL append_in_order(std::uint32_t* next, std::uint32_t* semaphore, std::vector<std::uint32_t>* order) {
  SKIPV1_SHARED(std::uint32_t, mine, 1);
  if (thread().x == 0) mine[0] = take_ticket(next);
  sync_threads();
  const std::uint32_t ticket = mine[0];
  if (use == Order::fails && ticket == 3) fail("ticket 3 fails");
  if (thread().x == 32) {
    semaphore_wait(semaphore, use == Order::never && ticket == 2 ? 7 : ticket);
    order->push_back(ticket);
    semaphore_release(semaphore);
  }
  sync_threads();
}
/// The first block stores, the others add in the order of tickets; `not_acquired`: at once; `released_early`: before the store.
template <Order use>
SKIPV1_KERNEL add_in_order(float* to, std::uint32_t* next, std::uint32_t* semaphore) {
  SKIPV1_SHARED(float, values, 4);
  if (thread().x > 0) return;
  const std::uint32_t mine = take_ticket(next);
  for (unsigned i = 0; i < 4; ++i) values[i] = static_cast<float>(mine + 1);
  if (use != Order::not_acquired) semaphore_wait(semaphore, mine);
  if (use == Order::released_early) semaphore_release(semaphore);
  mine > 0 ? bulk_reduce_add(to, values, 0, 4) : bulk_store(to, values, 0, 4);
  bulk_wait_group();
  if (use != Order::released_early) semaphore_release(semaphore);
}
/// A thread releases the semaphore for the bulk store of another.
template <bool waits>
SKIPV1_KERNEL store_and_release(float* to, std::uint32_t* semaphore) {
  SKIPV1_SHARED(float, values, 4);
  if (thread().x < 4) values[thread().x] = 1;
  sync_threads();
  if (thread().x == 0) bulk_store(to, values, 0, 4);
  if (thread().x == 1) semaphore_release(semaphore);  // not for the store just issued, which no barrier orders before
  if (thread().x == 0) waits ? bulk_wait_group() : bulk_wait_group_read();
  sync_threads();
  if (thread().x == 1) semaphore_release(semaphore);
}
/// The threads of one block, last thread first.
SKIPV1_KERNEL append_threads_in_order(std::uint32_t* semaphore, std::vector<std::uint32_t>* order, std::uint32_t last) {
  const unsigned mine = block_size().x - 1 - thread().x;
  semaphore_wait(semaphore, mine < last ? mine : 1000);
  order->push_back(mine);
  semaphore_release(semaphore);
}

}  // namespace

TEST_CASE("blocks run in the order of tickets, and a deadlock is reported") {
  for (const std::size_t threads : {64u, 1024u}) {  // one after the other, and at once
    std::uint32_t next = 0, semaphore = 0;
    std::vector<std::uint32_t> order;
    const auto run = [&](auto kernel) {
      next = semaphore = 0;
      order.clear();
      return fault(20, threads, kernel, &next, &semaphore, &order);
    };
    CHECK(run(append_in_order<Order::right>).empty());
    REQUIRE(order.size() == 20);
    for (std::uint32_t i = 0; i < 20; ++i) REQUIRE(order[i] == i);
    CHECK_THAT(run(append_in_order<Order::never>), Catch::Contains("deadlock: waits at a semaphore (semaphore.cpp:") &&
                                                       Catch::Contains("that no resident block can release"));
    CHECK(run(append_in_order<Order::fails>) == "ticket 3 fails");
  }
}

TEST_CASE("blocks store to one address in the order of tickets") {
  for (const std::size_t threads : {64u, 1024u}) {
    alignas(16) float to[4];
    const auto run = [&](auto kernel) {
      std::uint32_t next = 0, semaphore = 0;
      return fault(5, threads, kernel, to, &next, &semaphore);
    };
    CHECK(run(add_in_order<Order::right>) == "");
    CHECK(to[3] == 15);
    CHECK_THAT(run(add_in_order<Order::not_acquired>),
               Catch::Contains("race: bulk store") && Catch::Contains("without acquiring a semaphore"));
    CHECK_THAT(run(add_in_order<Order::released_early>),
               Catch::Contains("race: bulk store") && Catch::Contains("without acquiring a semaphore"));
  }
}

TEST_CASE("a semaphore is not released before a bulk store has completed") {
  alignas(16) float to[4];
  std::uint32_t semaphore = 0;
  CHECK(fault(1, 32, store_and_release<true>, to, &semaphore).empty());
  CHECK(semaphore == 2);
  CHECK_THAT(fault(1, 32, store_and_release<false>, to, &semaphore),
             Catch::Contains("releases a semaphore") && Catch::Contains("has completed"));
}

TEST_CASE("threads of a block wait at a semaphore for each other") {
  std::uint32_t semaphore = 0;
  std::vector<std::uint32_t> order;
  CHECK(fault(1, 64, append_threads_in_order, &semaphore, &order, 64).empty());
  REQUIRE(order.size() == 64);
  for (std::uint32_t i = 0; i < 64; ++i) REQUIRE(order[i] == i);
  semaphore = 0;
  CHECK_THAT(fault(1, 64, append_threads_in_order, &semaphore, &order, 63),
             Catch::Contains("that no resident block can release"));
}
