// What attention, decoding, training steps, whole models' prefill and decoding reach on a card, beside what the card can do, in
// one run: every figure is a share of the rate at which this card copies, or multiplies large bfloat16 matrices. Each kernel's
// output is held to the CPU's in double. For nvcc alone.
#include <cstdio>
#include <iomanip>
#include <optional>

#include "skipv1/core/random.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/ops/linear.cuh"
#include "tests/benchmark/gpu_attention.hpp"
#include "tests/benchmark/gpu_prefill.hpp"

using namespace skipv1;

using namespace skipv1::benchmark;

namespace {

constexpr double bound = 5e-2;  ///< of docs/spec/formats.md, "Error and bounds", for bfloat16

/// Times, prints and collects.
class Bench {
 public:
  explicit Bench(std::size_t repeats) : repeats_(repeats) {
    std::printf("%s, medians of %zu\n%-44s %10s %15s %16s %8s %9s\n", card().c_str(), repeats, "", "us", "10-90 %", "", "ceiling",
                "error");
    ceilings();
  }
  void decode(const Shapes& s) {
    const double bytes = cache_bytes(s);
    const auto sets = std::clamp<std::size_t>(static_cast<std::size_t>(600e6 / bytes) + 1, 1, 32);
    const auto problems = make(s, sets, false);
    const Time t = timed(repeats_, sets, [&](std::size_t i) { problems[i]->forward(); });
    row("decode", s, t, bytes / t.median * 1e-9, copy_, "GB/s", check(*problems.back(), false));
  }
  void train(const Shapes& s) {
    const auto problems = make(s, 2, true);
    const double forward = operations(s);
    const Time f = timed(repeats_, 2, [&](std::size_t i) { problems[i]->forward(); });
    row("forward", s, f, forward / f.median * 1e-12, product_, "TFLOP/s", check(*problems.back(), false));
    problems.back()->backward();
    const double error = check(*problems.back(), true);
    const Time b = timed(repeats_, 2, [&](std::size_t i) { problems[i]->backward(); });
    row("backward", s, b, 2.5 * forward / b.median * 1e-12, product_, "TFLOP/s", error);
    const Time both{f.median + b.median, f.low + b.low, f.high + b.high};
    row("forward + backward", s, both, 3.5 * forward / both.median * 1e-12, product_, "TFLOP/s", error);
  }
  void step(const char* name, const Config& config, std::size_t batch, std::size_t length) {
    const Parameters<float> initial = initial_parameters<float>(config, 1);  // drawn once: it takes longer than the steps
    const Training training(config, batch, length, initial);
    const Time t = training.timed(repeats_);
    std::ostringstream what;
    what << "step " << name << ' ' << config.attention.variant << ' ' << batch << 'x' << length;
    line(what.str(), t, training_flops(config, batch, length) / t.median * 1e-12, product_, "TFLOP/s",
         step_error(config, length, initial));
    const double tokens = static_cast<double>(batch * length) / t.median, memory = training.bytes_per_sequence() / 0x1p20;
    std::printf("  %.0f tokens/s, %.1f MiB of activations per sequence\n", tokens, memory);
    json_.back()["tokens_per_second"] = tokens, json_.back()["mib_per_sequence"] = memory;
  }
  /// The time to the first token behind prompts of a model, whole and in chunks of 2,048. The error is that of a small model
  /// against the CPU, or between the whole prompt's logits and the chunks', if that is larger.
  template <class Shape>
  void prefill(const char* name, const Shape& shape, const std::vector<std::size_t>& prompts) {
    for (const char* variant : {"mha", "skipv1"}) {
      const Config config = shape(variant, prompts.back());
      const double error = prefill_error(config);
      const DecodingModel model(config);
      for (const std::size_t length : prompts) {
        Prompt prompt(model, length);
        first_token(name, config, prompt, length, length, error);
        const Tensor<bfloat16> whole = prompt.logits();
        if (length <= 2048) continue;
        prompt.first_token(2048);
        const double apart = logits_error(prompt.logits(), whole);
        first_token(name, config, prompt, length, 2048, apart <= error ? error : apart);
      }
    }
  }
  /// Decoding steps of three variants of a model at full contexts, for batches of 1, 8, 64 and the largest that fits.
  template <class Shape>
  void generate(const char* name, const Shape& shape, std::size_t context) {
    double mha = 0, mha_cached = 0;
    std::ostringstream fitting;
    for (const char* variant : {"mha", "skipv1", "skipv1_yoco"}) {
      const Config config = shape(variant, context);
      const double error = decoding_error(config);
      const auto cached = static_cast<double>(cache_elements_per_token(make_routing(config)));
      std::size_t largest = 0;
      fits_memory([&] {
        const DecodingModel model(config);
        const auto fits = [&](std::size_t batch) {
          return fits_memory([&] { decode_steps(name, model, batch, context, error); });
        };
        for (const std::size_t batch : {1u, 8u, 64u})
          if (fits(batch)) largest = batch;
        for (std::size_t batch = model.most_sequences(context); batch > largest; --batch)
          if (fits(batch)) largest = batch;
      });
      const auto count = static_cast<double>(largest);
      if (mha_cached == 0) mha = count, mha_cached = cached;
      fitting << (cached == mha_cached ? "" : ", ") << variant << ' ' << largest;
      if (mha > 0 && cached < mha_cached)
        fitting << std::setprecision(4) << " (" << count / mha << " times; by the cache alone " << mha_cached / cached << ')';
    }
    std::printf("  %s, sequences of %zu that fit: %s\n", name, context, fitting.str().c_str());
  }
  int finish(JsonOutput& output) const {
    output.write(json_, 1);
    return failed_ ? 1 : 0;
  }

 private:
  void first_token(const char* name, const Config& config, Prompt& prompt, std::size_t length, std::size_t chunk, double error) {
    const Time t = prompt.timed(repeats_, chunk);
    const double flops = prefill_flops(config, length), tokens = static_cast<double>(length) / t.median;
    std::ostringstream what;
    what << "prefill " << name << ' ' << config.attention.variant << ' ' << length << (chunk < length ? " in chunks" : "");
    line(what.str(), t, flops / t.median * 1e-12, product_, "TFLOP/s", error);
    const double with_memory = prompt.seconds_with_memory(chunk);
    std::printf("  %.0f tokens/s; %.1f us with memory for activations taken\n", tokens, 1e6 * with_memory);
    json_.back().update(
        Json{{"prompt", length}, {"chunk", chunk}, {"tokens_per_second", tokens}, {"seconds_with_memory", with_memory}});
  }
  void decode_steps(const char* name, const DecodingModel& model, std::size_t batch, std::size_t context, double error) {
    Decoding(model, batch, 2);  // the products' kernels are loaded while there is room for them
    Decoding decoding(model, batch, context);
    const Time t = decoding.timed(repeats_);
    const char* variant = model.decoder().config().attention.variant.c_str();
    std::ostringstream what;
    what << name << ' ' << variant << ' ' << batch << 'x' << context;
    const std::size_t positions = batch * context, bytes = model.weight_bytes() + positions * model.read_bytes();
    line(what.str(), t, static_cast<double>(bytes) / t.median * 1e-9, copy_, "GB/s", error);
    const double tokens = static_cast<double>(batch) / t.median, mib = static_cast<double>(model.taken()) / 0x1p20,
                 cache = static_cast<double>(positions * model.cached_bytes()) / 0x1p20;
    std::printf("  %.0f tokens/s, %.0f MiB, of which the cache %.0f\n", tokens, mib, cache);
    std::fflush(stdout);
    const Json more{{"variant", variant},          {"batch", batch}, {"context", context},
                    {"tokens_per_second", tokens}, {"mib", mib},     {"mib_of_cache", cache}};
    json_.back().update(more);
  }
  static double cache_bytes(const Shapes& s) {  // keys and values, once
    double keys = 0;
    for (std::size_t b = 0; b < s.B; ++b)
      keys += static_cast<double>((s.mixed ? s.past / 4 + (s.past - s.past / 4) * (b * 7 % s.B) / s.B : s.past) + s.rows);
    return 4 * keys * static_cast<double>(s.owned() * s.D);
  }
  static double operations(const Shapes& s) {
    return 4 * static_cast<double>(s.B * s.H * s.D) * static_cast<double>(s.rows) * static_cast<double>(s.rows) / 2;
  }
  static std::vector<std::unique_ptr<Problem>> make(const Shapes& s, std::size_t count, bool gradients) {
    std::vector<std::unique_ptr<Problem>> problems;
    while (problems.size() < count) problems.push_back(std::make_unique<Problem>(s, gradients));
    return problems;
  }
  void ceilings() {
    {
      const Tensor<bfloat16, Device> x = drawn({std::size_t{1} << 30}), y({x.size()});
      const Time t = timed_copy(repeats_, y, x);
      copy_ = 4 * static_cast<double>(x.size()) / t.median * 1e-9;
      line("copy of 2 GiB", t, copy_, copy_, "GB/s", std::nullopt);
    }
    constexpr std::size_t n = 8192;
    const Tensor<bfloat16, Device> a = drawn({n, n}), b = drawn({n, n}), c({n, n});
    const auto multiply = [&](std::size_t) {
      linear_forward<bfloat16>(View<bfloat16, Device>(c), View<bfloat16, Device>(a), View<bfloat16, Device>(b),
                               View<bfloat16, Device>());
    };
    const Time t = timed(repeats_, 1, multiply);
    product_ = 2e-12 * n * n * n / t.median;
    line("product 8192^3", t, product_, product_, "TFLOP/s", std::nullopt);
  }
  void row(const char* what, const Shapes& s, const Time& t, double rate, double ceiling, const char* unit, double error) {
    std::ostringstream name;
    name << what << ' ' << s.B << ", " << s.H;
    if (s.group > 1) name << " (" << s.owned() << ')';
    name << ", " << s.keys() << ", " << s.D << (s.routed ? " routed" : "") << (s.mixed ? " mixed" : "")
         << (s.version == Version::portable ? " mma.sync" : "");
    line(name.str(), t, rate, ceiling, unit, error);
  }
  void line(const std::string& name, const Time& t, double rate, double ceiling, const char* unit, std::optional<double> error) {
    std::printf("%-44s %10.1f %7.1f %7.1f %8.0f %-7s %6.0f %%", name.c_str(), 1e6 * t.median, 1e6 * t.low, 1e6 * t.high, rate,
                unit, 100 * rate / ceiling);
    if (error) std::printf(" %9.1e%s", *error, *error <= bound ? "" : "  WRONG");
    std::printf("\n");
    std::fflush(stdout);
    failed_ = failed_ || (error && !(*error <= bound));
    Json entry{{"name", name}, {"seconds", t.median}, {"low", t.low},           {"high", t.high},
               {"rate", rate}, {"unit", unit},        {"share", rate / ceiling}};
    if (error) entry["error"] = *error;
    json_.push_back(std::move(entry));
  }

  std::size_t repeats_;
  double copy_ = 0, product_ = 0;
  bool failed_ = false;
  Json json_ = Json::array();
};

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Attention, decoding, training steps, models' prefill and generation on the card, beside its copy bandwidth and matrix "
      "rate.\n"
      "Example: skipv1-benchmark-gpu --only decode --json gpu.json"};
  std::string json, only, profile;
  std::size_t repeats = 20;
  double memory = 0;
  app.add_option("--json", json, "write the numbers into this file; -: to standard output");
  app.add_option("--only", only, "what to time")->check(one_of({"decode", "train", "step", "prefill", "generate"}));
  app.add_option("--memory", memory, "GiB for generate's models and caches; 0: all that are free")->check(at_least(0));
  app.add_option("--repeats", repeats, "timed repeats")->check(at_least(1))->capture_default_str();
  app.add_option("--profile", profile, "nothing but this once, of the largest models, for ncu (tests/benchmark/budget.py)")
      ->check(one_of({"step", "prefill"}));
  return run_program(app, argc, argv, [&] {
    if (profile == "step") return profile_step(gpt2_124m("mha"), 64, 1024), 0;
    if (profile == "prefill") return profile_prefill(llama_1b("mha", 2048), 2048), 0;
    JsonOutput output(json, {"name", "seconds", "rate", "unit", "share"});
    Bench bench(repeats);
    if (only.empty() || only == "decode") {
      for (bool routed : {false, true}) {
        bench.decode({64, 32, 1, 1, 4095, 128, routed});
        bench.decode({32, 16, 1, 1, 4095, 64, routed});
        bench.decode({8, 16, 1, 1, 2047, 64, routed});
        bench.decode({1, 32, 1, 1, 32767, 128, routed});
        bench.decode({1, 32, 1, 1, 2047, 64, routed});
        bench.decode({1, 12, 1, 1, 1023, 64, routed});
      }
      bench.decode({1, 32, 4, 1, 131071, 128, true});
      bench.decode({256, 32, 4, 1, 1023, 128, true});
      bench.decode({64, 32, 4, 1, 4095, 128, true, true});
      bench.decode({64, 32, 8, 1, 4095, 128, true, true});
      bench.decode({16, 33, 1, 1, 3000, 96, true, true});
      bench.decode({8, 56, 8, 4, 8001, 80, true});
    }
    if (only.empty() || only == "train") {
      for (const Version version : {Version::fast, Version::portable}) {  // by `wgmma`, where the card has it, and by `mma.sync`
        for (bool routed : {false, true}) {
          bench.train({32, 12, 1, 1024, 0, 64, routed, false, version});
          bench.train({4, 32, 1, 4096, 0, 128, routed, false, version});
          bench.train({16, 16, 1, 1024, 0, 64, routed, false, version});
        }
      }
      bench.train({4, 33, 1, 1999, 0, 96, true});
      bench.train({4, 56, 8, 2047, 0, 80, true});
      bench.train({2, 32, 1, 8192, 0, 128, true});
      bench.train({2, 32, 8, 8192, 0, 128, true});
      bench.train({8, 16, 1, 8192, 0, 64, true});
    }
    if (only.empty() || only == "step") {
      for (const char* variant : {"mha", "skipv1"}) bench.step("GPT-2 124M", gpt2_124m(variant), 64, 1024);
      for (const char* variant : {"mha", "skipv1"}) {
        bench.step("llama 14M", llama_bytes(variant, 384, 8, 1024), 128, 512);
        bench.step("llama 32M", llama_bytes(variant, 512, 10, 1376), 128, 512);
      }
    }
    if (only.empty() || only == "prefill") {
      bench.prefill("GPT-2 124M", [](const char* variant, std::size_t) { return gpt2_124m(variant); }, {256, 1024});
      bench.prefill("LLaMA 1.3B", llama_1b, {2048, 8192, 32768});
    }
    if (only.empty() || only == "generate") {
      const Tensor<std::byte, Device> kept_back = all_but(memory);
      bench.generate(
          "GPT-2 124M", [](const char* variant, std::size_t) { return gpt2_124m(variant); }, 1024);
      for (const std::size_t context : {2048u, 8192u}) bench.generate("LLaMA 1.3B", llama_1b, context);
    }
    return bench.finish(output);
  });
}
