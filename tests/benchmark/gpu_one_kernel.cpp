// Decoding by one kernel beside decoding by a graph of kernels: first that it computes the same, then the time per token of both,
// beside the time in which the memory could bring what a token reads. For nvcc alone.
#include <cstdio>

#include "skipv1/io/cli.hpp"
#include "skipv1/model/one_kernel.cuh"
#include "tests/benchmark/gpu_generate.hpp"
#include "tests/cuda/one_kernel.hpp"

using namespace skipv1;
using namespace skipv1::benchmark;

namespace {

void print_errors() {
  const auto print = [](const char* what, const test::OneKernelErrors& e) {
    std::printf("%-58s logits %.1e, chosen %.1e\n", what, e.logits, e.chosen);
    std::fflush(stdout);
  };
  const auto sized = [](Config c, std::size_t width) {
    c.hidden_size = width, c.intermediate_size = width + 72, c.vocab_size = 515, c.max_position_embeddings = 64;
    return c;
  };
  test::OneKernelErrors bf16, f32;
  const auto add = [](test::OneKernelErrors& all, const test::OneKernelErrors& e) {
    all.note(all.logits, e.logits), all.note(all.chosen, e.chosen);
  };
  test::for_each_routed([&](const Config& c) {
    add(bf16, test::one_kernel_errors<bfloat16>(sized(c, 64), 2, {}, 4, 40));
    add(f32, test::one_kernel_errors<float>(c, 3, {}, 3, 9));
  });
  print("all routed variants, 2 sequences, bf16", bf16);
  print("all routed variants, 3 sequences, f32", f32);
  for (const std::size_t batch : {1u, 8u, 13u, 16u})
    for (const char* variant : {"gqa", "skipv1"}) {
      const Config c = sized(test::small_config(Architecture::llama, find_variant(variant)), 512);
      print((std::to_string(batch) + " sequences, " + variant + ", bf16").c_str(),
            test::one_kernel_errors<bfloat16>(c, batch, {}, 4, 40));
    }
}

/// Cycles between and at the barriers of a step's last layers, over all blocks.
void print_timeline(const Tensor<std::uint64_t, Device>& on) {
  const Tensor<std::uint64_t> clocks = to_host<std::uint64_t>(on);
  const std::size_t barriers = clocks.extent(0), blocks = clocks.extent(1);
  std::printf("  barrier: work of the median and the slowest block, wait of the slowest block (cycles)\n");
  for (std::size_t i = 1; i < barriers; ++i) {
    std::vector<std::uint64_t> work, wait;
    for (std::size_t b = 0; b < blocks; ++b) {
      if (clocks(i, b, 0u) < clocks(i - 1, b, 1u)) continue;  // where the ring begins
      work.push_back(clocks(i, b, 0u) - clocks(i - 1, b, 1u));
      wait.push_back(clocks(i, b, 1u) - clocks(i, b, 0u));
    }
    if (work.empty()) continue;
    std::sort(work.begin(), work.end());
    std::sort(wait.begin(), wait.end());
    std::printf("  %2zu: %7llu %7llu, %6llu\n", i, static_cast<unsigned long long>(work[work.size() / 2]),
                static_cast<unsigned long long>(work.back()), static_cast<unsigned long long>(wait[0]));
  }
}

double copy_rate() {
  Tensor<bfloat16, Device> x({std::size_t{1} << 29}), y({std::size_t{1} << 29});
  draw(x);
  return 4 * static_cast<double>(x.size()) / timed_copy(20, y, x).median;
}

bool without_graph = false;

struct Row {
  std::size_t batch, context;
  bool with_timeline = false;
};

void print_row(const DecodingModel& model, const Row& row, double rate, std::size_t count) {
  const Decoder<bfloat16, Device>& decoder = model.decoder();
  double graph = 0;
  if (!without_graph) {
    Decoding many(model, row.batch, row.context);
    graph = many.timed(30).median;
  }
  Cache<bfloat16, Device> cache(decoder.routing(), row.batch, row.context);
  for (std::size_t l = 0; l < decoder.config().num_hidden_layers; ++l) draw(cache.keys(l)), draw(cache.values(l));
  cache.grow(std::vector<std::size_t>(row.batch, row.context - count));
  const std::vector<std::int32_t> tokens(row.batch, 5);
  const double limit = static_cast<double>(model.weight_bytes() + row.batch * row.context * model.read_bytes()) / rate;
  OneKernel<bfloat16> one(decoder, cache);
  const auto run = [&](std::size_t steps) {
    one(tokens, steps);
    for (std::size_t b = 0; b < row.batch; ++b) cache.truncate(b, row.context - count);
  };
  run(count);
  const double steps = timed_by_host(8, [&] { run(count); }).median / static_cast<double>(count);
  const double single = timed_by_host(20, [&] { run(1); }).median;
  std::printf("%-8s %2zu x %5zu: ", decoder.config().attention.variant.c_str(), row.batch, row.context);
  if (graph > 0) std::printf("graph %8.1f us, ", graph * 1e6);
  std::printf("one kernel %8.1f (%zu tokens a launch) %8.1f (1), limit %8.1f: %4.1f %%, %5.0f tokens/s, splits %zu, blocks %zu\n",
              steps * 1e6, count, single * 1e6, limit * 1e6, 100 * limit / steps, static_cast<double>(row.batch) / steps,
              one.splits(), one.blocks());
  std::fflush(stdout);
  if (!row.with_timeline) return;
  Tensor<std::uint64_t, Device> clocks({12, one.blocks(), 2});
  one.time_barriers(clocks);
  run(4);
  print_timeline(clocks);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{"Decoding by one kernel beside decoding by a graph of kernels, on the card."};
  bool errors = false;
  app.add_flag("--errors", errors, "compare with the CPU alone");
  app.add_flag("--without-graph", without_graph, "time one kernel alone");
  std::string only;
  app.add_option("--only", only, "the model to time")->check(one_of({"gpt2", "llama"}));
  return run_program(app, argc, argv, [&] {
    std::printf("%s\n", card().c_str());
    if (errors) return print_errors();
    const double rate = copy_rate();
    std::printf("copy: %.0f GB/s\n", rate * 1e-9);
    const auto rows = [&](const Config& config, std::initializer_list<Row> some) {
      const DecodingModel model(config);
      for (const Row& row : some) print_row(model, row, rate, 32);
    };
    for (const char* variant : {"mha", "skipv1"})
      if (only != "llama") rows(gpt2_124m(variant), {{1, 1024, true}, {8, 1024}});
    for (const char* variant : {"mha", "skipv1"})
      if (only != "gpt2")
        rows(llama_1b(variant, 8192), {{1, 2048, true}, {1, 8192}, {8, 2048, true}, {8, 8192}, {16, 2048}});
  });
}
