// Scaling on GPUs over NCCL: mpirun -n N skipv1-benchmark-gpu-scaling, or torchrun --no-python --nproc-per-node N. Alone it is a
// world of one, whose cost beside no world at all it prints.
#include <cstdlib>
#include <functional>

#include "skipv1/io/cli.hpp"
#include "skipv1/training/trainer.cuh"
#include "tests/benchmark/gpu_several.hpp"

namespace {

struct ScalingOptions {
  std::vector<std::string> only, ways;
  std::size_t rounds = 9;
};

void run(const ScalingOptions& o, const skipv1::World& world) {
  using namespace skipv1;
  world.check();
  const std::string why = why_no_device();
  require(why.empty(), why);
#if defined(SKIPV1_WITH_NCCL)
  Launched launched = world.launched();
  if (launched.by == Launched::By::nobody) {
    setenv("MASTER_ADDR", "127.0.0.1", 0);
    setenv("MASTER_PORT", "29533", 0);
    launched.by = Launched::By::torchrun;
  }
  NcclCommunicator here(launched, world.host());
  bool any = false;
  for (const benchmark::ScalingCase& s : benchmark::scaling_cases()) {
    if (!o.only.empty() && std::find(o.only.begin(), o.only.end(), s.label) == o.only.end()) continue;
    any = true;
    const benchmark::ScalingResult result =
        o.ways.empty() ? benchmark::measure_scaling(here, s, o.rounds) : benchmark::measure_ways(here, s, o.rounds, o.ways);
    if (here.first()) o.ways.empty() ? result.print(s) : result.print_ways(s);
  }
  require(any, "--only: no case has such a name");
#else
  (void)o;
  fail("this build has no NCCL (NCCL_INCLUDE_DIR and NCCL_LIBRARY say where it is)");
#endif
}

}  // namespace

int main(int argc, char** argv) {
  using namespace skipv1;
  const World world(argc, argv);
  CommandLine app{"What a training step takes by one GPU and by several, and what their reductions take."};
  ScalingOptions o;
  app.add_option("--only", o.only, "cases: gpt2-64, gpt2-16, gpt2-4, llama-64, …: model and sequences of a GPU")->delimiter(',');
  app.add_option("--ways", o.ways, "instead: other ways to exchange the same (usual, layers, hold-1, hold-24, hold-24-long)")
      ->delimiter(',');
  app.add_option("--rounds", o.rounds, "of which the medians are printed")->check(at_least(1))->capture_default_str();
  return run_program(
      app, argc, argv, [&] { run(o, world); }, std::bind_front(&World::fail, &world));
}
