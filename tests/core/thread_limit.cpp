#include "skipv1/core/thread_limit.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;

TEST_CASE("threads out of bounds are refused, by the name of who asked for them") {
  const int before = threads();
  const std::string most = std::to_string(most_threads());
  CHECK(test::message([] { use_threads(100000); }) == "--threads is 100000: must be at most " + most);
  CHECK(test::message([] { require_threads(most_threads() + 1, "OMP_NUM_THREADS"); }) ==
        "OMP_NUM_THREADS is " + std::to_string(most_threads() + 1) + ": must be at most " + most);
  CHECK(threads() == before);
}

TEST_CASE("threads in bounds are used") {
  const int before = threads();
  use_threads(3);
#ifdef _OPENMP
  CHECK(threads() == 3);
#endif
  use_threads(0);  // as many as there are
#ifdef _OPENMP
  CHECK(threads() == 3);
#endif
  use_threads(1);
  CHECK(threads() == 1);
  set_threads(before);
}
