// How many instructions a multiprocessor keeps: cycles per instruction of a loop, against the loop's length, by 1, 4 and 16
// warps. A scheduler issues an instruction a cycle at best; four warps have a scheduler each. For nvcc alone.
#include <cstdio>

#include "skipv1/io/cli.hpp"
#include "tests/benchmark/gpu_common.hpp"

using namespace skipv1;
using namespace skipv1::benchmark;

namespace {

constexpr unsigned warm_up = 4, measured = 20;  // rounds

template <unsigned instructions>
SKIPV1_KERNEL run_loop(float* out, std::uint64_t* clocks, float a, float b) {
  float x[4] = {a, b, a, b};
  std::uint64_t begin = 0;
  SKIPV1_NO_UNROLL
  for (unsigned round = 0; round < warm_up + measured; ++round) {
    if (round == warm_up) sync_threads(), begin = static_cast<std::uint64_t>(clock64());
    SKIPV1_UNROLL
    for (unsigned i = 0; i < instructions; ++i) asm volatile("fma.rn.f32 %0, %0, %1, %2;" : "+f"(x[i % 4]) : "f"(a), "f"(b));
  }
  sync_threads();
  if (global_thread() == 0) *clocks = static_cast<std::uint64_t>(clock64()) - begin;
  out[global_thread()] = x[0] + x[1] + x[2] + x[3];
}

template <unsigned instructions>
void print_row() {
  std::printf("%5u %4u KB", instructions, instructions * 16 / 1024);
  constexpr std::size_t blocks = 132;
  for (const std::size_t threads : {32u, 128u, 512u}) {
    Tensor<float, Device> out({blocks * threads});
    Tensor<std::uint64_t, Device> clocks({1});
    launch({"run_loop", blocks, threads}, run_loop<instructions>, out.data(), clocks.data(), 1.0f, 0.5f);
    Tensor<std::uint64_t> cycles({1});
    copy(cycles, clocks);
    std::printf("  %6.3f", static_cast<double>(cycles(0)) / measured / instructions);
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{"Cycles per instruction of a loop against its length, by 1, 4 and 16 warps of a block, on the card."};
  return run_program(app, argc, argv, [] {
    std::printf("%s\n instructions  1 warp, 4, 16\n", card().c_str());
    print_row<512>(), print_row<1024>(), print_row<1792>(), print_row<2048>(), print_row<2304>(), print_row<2560>(),
        print_row<4096>();
  });
}
