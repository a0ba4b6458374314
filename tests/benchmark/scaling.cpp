// Scaling on the CPU: mpirun -n 2 skipv1-benchmark-scaling. More processes than cores share them, and efficiency falls with that.
#include "tests/benchmark/scaling.hpp"

#include <cstdio>

#include "skipv1/core/parallel.hpp"

int main(int argc, char** argv) {
  using namespace skipv1;
  const World world(argc, argv);
  try {
    world.check();
    Communicator& here = world.host() ? *world.host() : one_process();
    set_threads(1);  // one core each
    const Config c = benchmark::gpt2_like(2048, 256, 4, 8, 128);
    TrainingOptions o;
    o.batch = 4, o.length = 128;
    benchmark::print_efficiency<float, Cpu>(here, c, o, 5, "cpu, one thread each", [] {});
  } catch (const Error& error) {
    return world.fail(error.what());
  }
  return 0;
}
