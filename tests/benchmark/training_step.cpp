// The training step's rate beside its ceiling, the rate of OpenBLAS for the model's largest product, in one run.
#include <chrono>
#include <cstdio>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/training/trainer.hpp"

using namespace skipv1;

namespace {

/// Median seconds of `repeats` calls of `f`, after one that is not counted.
template <class F>
double median_seconds(std::size_t repeats, const F& f) {
  std::vector<double> seconds;
  for (std::size_t i = 0; i <= repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    if (i) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2), seconds.end());
  return seconds[seconds.size() / 2];
}

/// GFLOP/s of the product (m, k) (k, n) on all cores, cut as the library cuts it, or left to BLAS's own threads.
double product_rate(std::size_t m, std::size_t n, std::size_t k, std::size_t repeats, bool own_threads) {
  const Tensor<float> a = zeros<float>({m, k}), b = zeros<float>({n, k}), c = zeros<float>({m, n});
  Random random(1);
  for (const Tensor<float>* x : {&a, &b})
    for (std::size_t i = 0; i < x->size(); ++i) x->data()[i] = static_cast<float>(random.normal());
  gemm(Transpose::no, Transpose::yes, 1, 1, 1, 1.f, a.data(), k, b.data(), k, 0.f, c.data(), n);
#if defined(__GNUC__)
  if (own_threads && openblas_set_num_threads) openblas_set_num_threads(threads());
#endif
  const double seconds = median_seconds(repeats, [&] {
    if (own_threads)
      gemm(Transpose::no, Transpose::yes, m, n, k, 1.f, a.data(), k, b.data(), k, 0.f, c.data(), n);
    else
      parallel_gemm(Transpose::no, Transpose::yes, m, n, k, 1.f, a.data(), k, b.data(), k, 0.f, c.data(), n);
  });
#if defined(__GNUC__)
  if (openblas_set_num_threads) openblas_set_num_threads(1);
#endif
  return 2.0 * static_cast<double>(m * n * k) / seconds * 1e-9;
}

struct Options {
  std::string variant = "mha", architecture = "llama", json;
  std::size_t repeats = 7;
};

void measure(const Options& o) {
  Config c;
  c.hidden_size = 256, c.intermediate_size = 688, c.num_hidden_layers = 6, c.num_attention_heads = c.num_key_value_heads = 8;
  c.vocab_size = 256;
  if (o.architecture == "gpt2") c.architecture = Architecture::gpt2, c.intermediate_size = 1024;
  c.attention.variant = o.variant, c.attention.kv_latent_size = 64, c.attention.rotary_size = 16;
  const TrainingOptions options;  // B 8, T 256
  Trainer<float> trainer(c, options, 1);
  Random random(2);
  std::vector<std::int32_t> tokens(options.batch * options.length), targets(tokens.size());
  for (auto* drawn : {&tokens, &targets})
    for (std::int32_t& token : *drawn) token = static_cast<std::int32_t>(random.below(c.vocab_size));

  const std::size_t rows = tokens.size();
  const double product = product_rate(rows, c.intermediate_size, c.hidden_size, 4 * o.repeats, true);
  const double cut = product_rate(rows, c.intermediate_size, c.hidden_size, 4 * o.repeats, false);
  const double seconds = median_seconds(o.repeats, [&] { trainer.step(tokens, targets); });
  const double step = training_flops(c, options.batch, options.length) / seconds * 1e-9;
  std::printf("%s %s, d %zu, %zu layers, T %zu, B %zu, %d threads, float, median of %zu\n", o.architecture.c_str(),
              o.variant.c_str(), c.hidden_size, c.num_hidden_layers, options.length, options.batch, threads(), o.repeats);
  std::printf("OpenBLAS, %zu x %zu x %zu   %7.1f GFLOP/s\n", rows, c.intermediate_size, c.hidden_size, product);
  std::printf("the same, cut by us        %7.1f GFLOP/s\n", cut);
  std::printf("training step              %7.1f GFLOP/s  %.0f %% of the product, %.1f ms, %.0f tokens/s\n", step,
              100 * step / product, 1e3 * seconds, static_cast<double>(rows) / seconds);
  if (o.json.empty()) return;
  write_whole(o.json, [&](std::ostream& out) {
    out << Json{{"architecture", o.architecture}, {"variant", o.variant},      {"threads", threads()},
                       {"product_gflops", product},      {"product_cut_gflops", cut}, {"step_gflops", step},
                       {"step_seconds", seconds}}
        << '\n';
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Training step beside OpenBLAS's product.\nExample: skipv1-benchmark-training-step --variant skipv1"};
  Options o;
  app.add_option("--variant", o.variant, "attention variant")->capture_default_str();
  app.add_option("--architecture", o.architecture, "gpt2 or llama")
      ->check(CLI::IsMember({"gpt2", "llama"}))
      ->capture_default_str();
  app.add_option("--repeats", o.repeats, "timed steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--json", o.json, "write the numbers into this file");
  return run_program(app, argc, argv, [&] { measure(o); });
}
