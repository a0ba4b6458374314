// The training step's rate beside its ceiling, the rate of OpenBLAS for the model's largest product, in one run.
#include <cstdio>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/training/trainer.hpp"
#include "tests/benchmark/seconds.hpp"

using namespace skipv1;
using benchmark::seconds;

namespace {

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

/// The product (m, k) (k, n) on all cores, left to BLAS's own threads, or cut as the library cuts it.
class Product {
 public:
  Product(std::size_t rows, std::size_t out, std::size_t in)
      : m(rows), n(out), k(in), a_(zeros<float>({m, k})), b_(zeros<float>({n, k})), c_(zeros<float>({m, n})) {
    Random random(1);
    for (const Tensor<float>* x : {&a_, &b_})
      for (std::size_t i = 0; i < x->size(); ++i) x->data()[i] = static_cast<float>(random.normal());
  }
  /// Median seconds of `repeats` products, after one that is not counted.
  double whole(std::size_t repeats) const {
    own_threads(threads());
    const double time = repeated(
        repeats, [&] { gemm(Transpose::no, Transpose::yes, m, n, k, 1.f, a_.data(), k, b_.data(), k, 0.f, c_.data(), n); });
    own_threads(1);
    return time;
  }
  double cut(std::size_t repeats) const {
    return repeated(repeats, [&] {
      parallel_gemm(Transpose::no, Transpose::yes, m, n, k, 1.f, a_.data(), k, b_.data(), k, 0.f, c_.data(), n);
    });
  }
  double gflops(double time) const { return 2e-9 * static_cast<double>(m * n * k) / time; }

  const std::size_t m, n, k;

 private:
  template <class F>
  static double repeated(std::size_t repeats, const F& f) {
    f();
    std::vector<double> times;
    for (std::size_t i = 0; i < repeats; ++i) times.push_back(seconds(f));
    return median(times);
  }
  static void own_threads([[maybe_unused]] int count) {
#if defined(__GNUC__)
    if (openblas_set_num_threads) openblas_set_num_threads(count);
#endif
  }
  Tensor<float> a_, b_, c_;
};

struct Options {
  std::string variant = "mha", architecture = "llama", json;
  std::size_t repeats = 7;
};

void measure(const Options& o) {
  JsonOutput output(o.json, {"architecture", "product_gflops", "step_gflops"});
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
  const Product largest(rows, c.intermediate_size, c.hidden_size);
  std::vector<double> whole, cut, steps;
  trainer.step(tokens, targets);
  for (std::size_t i = 0; i < o.repeats; ++i) {  // in turn, since a machine's speed may change while this runs
    whole.push_back(largest.whole(4));
    cut.push_back(largest.cut(4));
    steps.push_back(seconds([&] { trainer.step(tokens, targets); }));
  }
  const double product = largest.gflops(median(whole)), product_cut = largest.gflops(median(cut)), time = median(steps);
  const double step = training_flops(c, options.batch, options.length) / time * 1e-9;
  std::printf("%s %s, d %zu, %zu layers, T %zu, B %zu, %d thread%s, float, median of %zu\n", o.architecture.c_str(),
              o.variant.c_str(), c.hidden_size, c.num_hidden_layers, options.length, options.batch, threads(),
              threads() == 1 ? "" : "s", o.repeats);
  std::printf("OpenBLAS, %zu x %zu x %zu   %7.1f GFLOP/s\n", rows, c.intermediate_size, c.hidden_size, product);
  std::printf("the same, cut by us        %7.1f GFLOP/s\n", product_cut);
  std::printf("training step              %7.1f GFLOP/s  %.0f %% of the product, %.1f ms, %.0f tokens/s\n", step,
              100 * step / product, 1e3 * time, static_cast<double>(rows) / time);
  output.write({{"architecture", o.architecture},
                {"variant", o.variant},
                {"threads", threads()},
                {"product_gflops", product},
                {"product_cut_gflops", product_cut},
                {"step_gflops", step},
                {"step_seconds", time}},
               -1);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{"Training step beside OpenBLAS's product.\nExample: skipv1-benchmark-training-step --variant skipv1"};
  Options o;
  app.add_option("--variant", o.variant, "attention variant")->capture_default_str();
  app.add_option("--architecture", o.architecture, "gpt2 or llama")->check(one_of({"gpt2", "llama"}))->capture_default_str();
  app.add_option("--repeats", o.repeats, "timed steps")->check(at_least(1))->capture_default_str();
  app.add_option("--json", o.json, "write the numbers into this file; -: to standard output");
  return run_program(app, argc, argv, [&] { measure(o); });
}
