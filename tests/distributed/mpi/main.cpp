// The main function of tests that several processes run together, each the same ones: mpirun -n 2 skipv1-distributed-tests.
#include "skipv1/distributed/world.hpp"
#include "tests/distributed/mpi/world.hpp"
#include "tests/session.hpp"

namespace skipv1::test {
const World*& world_of_tests() {
  static const World* world = nullptr;
  return world;
}
}  // namespace skipv1::test

int main(int argc, char** argv) {
  const skipv1::World world(argc, argv);
  skipv1::test::world_of_tests() = &world;
  const int failed = skipv1::test::run_session(argc, argv);
  return failed ? world.fail("tests have failed") : 0;
}
