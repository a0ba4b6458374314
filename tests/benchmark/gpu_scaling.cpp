// Scaling on GPUs over NCCL: torchrun --no-python --nproc-per-node N skipv1-benchmark-gpu-scaling, or mpirun -n N. Alone it is a
// world of one, whose cost beside no world at all it prints.
#include <cstdlib>

#include "skipv1/distributed/nccl.cuh"
#include "skipv1/training/trainer.cuh"
#include "tests/benchmark/scaling.hpp"

int main(int argc, char** argv) {
  using namespace skipv1;
  const World world(argc, argv);
  try {
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
    const Config c = benchmark::gpt2_like(50304, 768, 12, 12, 1024);
    TrainingOptions o;
    o.batch = 16, o.length = 1024;
    benchmark::print_efficiency<bfloat16, Device>(here, c, o, 10, "GPT-2 124M, bf16, NCCL, 16 x 1024 tokens each",
                                                  [] { synchronize(); });
    const Config small = benchmark::gpt2_like(1024, 256, 4, 4, 256);
    o.batch = 8, o.length = 256;
    benchmark::print_efficiency<float, Device>(here, small, o, 50, "5M, f32, NCCL, 8 x 256 tokens each", [] { synchronize(); });
#else
    fail("this build has no NCCL (NCCL_INCLUDE_DIR and NCCL_LIBRARY say where it is)");
#endif
  } catch (const Error& error) {
    return world.fail(error.what());
  }
  return 0;
}
