// What the emulator tells of a launch's threads.
#include <algorithm>
#include <string>
#include <vector>

#include "skipv1/kernel/global.cuh"
#include "skipv1/kernel/launch.cuh"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

using WatchedStep = emulator::Step;

SKIPV1_KERNEL watched_sum(float* y, const float* x) {
  const float own = load_global(x + global_thread());
  const float sum = own + shuffle_xor(own, 1);
  note_value("sum", sum);
  sync_threads();
  store_global(y + global_thread(), sum);
}
SKIPV1_KERNEL watched_fault(float*, const float*) {
  if (thread().x == 3) sync_threads();
}
std::vector<WatchedStep> watched_steps(void (*kernel)(float*, const float*), std::size_t blocks, float* y, const float* x) {
  std::vector<WatchedStep> steps;
  emulator::watch([&](const WatchedStep& step) { steps.push_back(step); },
                  [&] {
                    launch({"watched", blocks, 64}, kernel, y, x);
                  });
  return steps;
}
std::vector<WatchedStep> of_thread(const std::vector<WatchedStep>& all, std::size_t block, std::size_t thread) {
  std::vector<WatchedStep> own;
  for (const WatchedStep& step : all)
    if (step.block.x == block && step.thread == thread) own.push_back(step);
  return own;
}

}  // namespace

TEST_CASE("whoever watches a launch is told every thread's steps in their order") {
  std::vector<float> x(4096), y(4096);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  const std::vector<WatchedStep> all =
      watched_steps(watched_sum, 64, y.data(), x.data());  // more than would run on one core unwatched
  CHECK(y[5] == 9);
  for (const std::size_t block : {0u, 63u}) {
    for (const std::size_t thread : {0u, 5u, 31u, 63u}) {
      const std::vector<WatchedStep> own = of_thread(all, block, thread);
      const bool last_of_warp = thread % 32 == 31;
      REQUIRE(own.size() == 7);
      const std::size_t i = 64 * block + thread;
      CHECK((own[0].kind == WatchedStep::Kind::load && own[0].address == &x[i] && own[0].bytes == 4));
      CHECK((own[1].kind == (last_of_warp ? WatchedStep::Kind::arrives : WatchedStep::Kind::waits) &&
             own[1].what == std::string("shuffle_xor")));
      CHECK((own[2].kind == WatchedStep::Kind::exchanges && own[2].gives == x[i] && own[2].takes == x[i ^ 1] &&
             own[2].from == (thread % 32 ^ 1)));
      CHECK((own[3].kind == WatchedStep::Kind::value && own[3].takes == x[i] + x[i ^ 1] && own[3].what == std::string("sum")));
      CHECK(own[3].place.line == own[2].place.line + 1);
      CHECK(own[4].what == std::string("sync_threads"));
      CHECK((own[4].kind == WatchedStep::Kind::waits || own[4].kind == WatchedStep::Kind::arrives));
      CHECK((own[5].kind == WatchedStep::Kind::store && own[5].address == &y[i]));
      CHECK(own[6].kind == WatchedStep::Kind::returns);
    }
    CHECK(std::count_if(all.begin(), all.end(), [&](const WatchedStep& step) {
            return step.block.x == block && step.kind == WatchedStep::Kind::arrives && step.what == std::string("sync_threads");
          }) == 1);
  }
}

TEST_CASE("a launch that fails is told up to its fault, and the next is not watched") {
  std::vector<float> x(64), y(64);
  std::size_t steps = 0;
  const auto see = [&](const WatchedStep&) { ++steps; };
  CHECK_THROWS_AS(emulator::watch(see,
                                  [&] {
                                    launch({"fault", 1, 64}, watched_fault, y.data(), static_cast<const float*>(x.data()));
                                  }),
                  Error);
  CHECK(steps > 0);
  const std::size_t before = steps;
  launch({"watched", 1, 64}, watched_sum, y.data(), static_cast<const float*>(x.data()));
  CHECK(steps == before);
}
