// Attention step by step: eight kernels, from the formula to TMA and wgmma. All give the same numbers; what each moves, as the
// emulator counts it; what was predicted; on a card, what each reaches. README.md.
#include <cmath>
#include <cstdio>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "roofline.hpp"
#include "rungs.cuh"
#include "skipv1/core/random.hpp"
#include "skipv1/device/memory.cuh"
#include "skipv1/device/timing.cuh"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/io/json_value.hpp"
#include "skipv1/ops/attention/reference.hpp"

using namespace ladder;

namespace {

Tensor<bfloat16> drawn(std::size_t count, Random& random) {
  Tensor<bfloat16> x({count});
  for (std::size_t i = 0; i < count; ++i) x(i) = static_cast<bfloat16>(static_cast<float>(random.normal()));
  return x;
}
Tensor<double> in_double(View<bfloat16> x, Shape shape) {
  Tensor<double> y(shape);
  for (std::size_t i = 0; i < x.size(); ++i) y.data()[i] = static_cast<double>(x.data()[i]);
  return y;
}

/// Attention on numbers drawn on the host.
class Problem {
 public:
  explicit Problem(Shape3 shape) : shape_(shape) {
    Random random(1);
    const std::size_t rows = std::size_t{shape.heads} * shape.rows * D, keys = std::size_t{shape.heads} * shape.keys * D;
    q_ = drawn(rows, random), k_ = drawn(keys, random), v_ = drawn(keys, random);
    q_on_ = to_device<bfloat16>(q_), k_on_ = to_device<bfloat16>(k_), v_on_ = to_device<bfloat16>(v_);
    out_ = Tensor<bfloat16, Device>({rows});
    std::size_t scratch = 1;
    for (std::size_t rung = 0; rung < rungs.size(); ++rung) scratch = std::max(scratch, scratch_of(rung, shape));
    scratch_ = Tensor<float, Device>({scratch});
    maps_ = Tensor<TensorMap, Device>({std::size_t{shape.heads} * 3});
  }
  Attention attention() const {
    return {out_.data(),  q_on_.data(), k_on_.data(), v_on_.data(), scratch_.data(),
            maps_.data(), shape_.heads, shape_.rows,  shape_.keys,  1 / std::sqrt(static_cast<float>(D))};
  }
  /// What the kernels must give, by the plain loops in double: the heads as sequences of one head each.
  Tensor<double> truth() const {
    const std::size_t heads = shape_.heads, rows = shape_.rows, keys = shape_.keys;
    const Tensor<double> q = in_double(q_, {heads * rows, 1, D}), k = in_double(k_, {heads * keys * D}),
                         v = in_double(v_, {heads * keys * D}), out({heads * rows, 1, D}), lse({heads * rows, 1});
    Tensor<std::int32_t> begin({heads + 1}), past({heads});
    for (std::size_t h = 0; h <= heads; ++h) begin(h) = static_cast<std::int32_t>(h * rows);
    for (std::size_t h = 0; h < heads; ++h) past(h) = static_cast<std::int32_t>(keys - rows);
    const HeadPair<const double> pair{{k.data(), keys * D, D}, {v.data(), keys * D, D}};
    reference::attention_forward<double>(View<double>(out), View<double>(lse), View<double>(q),
                                         View<const HeadPair<const double>>(&pair, {1}), Sequences<Cpu>{begin, past, rows, keys},
                                         1 / std::sqrt(static_cast<double>(D)));
    return out;
  }
  /// The largest error of what a rung gives, relative to the largest number of the truth.
  double error(std::size_t rung, const Tensor<double>& truth) const {
    zero<bfloat16>(View<bfloat16, Device>(out_));
    climb(rung, attention());
    const Tensor<bfloat16> out = to_host<bfloat16>(out_);
    double error = 0, most = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      const double d = std::abs(static_cast<double>(out(i)) - truth.data()[i]);
      error = d <= error ? error : d;  // a NaN stays
      most = std::max(most, std::abs(truth.data()[i]));
    }
    return error / most;
  }

 private:
  Shape3 shape_;
  Tensor<bfloat16> q_, k_, v_;
  Tensor<bfloat16, Device> q_on_, k_on_, v_on_, out_;
  Tensor<float, Device> scratch_;
  Tensor<TensorMap, Device> maps_;
};

/// All rungs on the same numbers, against the plain loops in double. Throws if one is wrong: bfloat16's rounding is below 1e-2.
void compare(const Shape3& shape) {
  const Problem problem(shape);
  const Tensor<double> truth = problem.truth();
  for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
    const double error = problem.error(rung, truth);
    require(error < 1e-2, rungs[rung].name, " at ", shape.heads, " heads, ", shape.rows, " rows, ", shape.keys, " keys: error ",
            error);
  }
  std::printf("%u heads, %3u rows, %3u keys: all eight within 1e-02 of the plain loops in double\n", shape.heads, shape.rows,
              shape.keys);
}

#if !defined(__CUDACC__)
/// What the emulator counts at a small shape, beside the formulas of rungs.cuh. Throws where they differ.
void count(const Shape3& shape) {
  const Problem problem(shape);
  std::printf("\nsectors of 32 bytes, counted, at %u heads, %u rows, %u keys:\n", shape.heads, shape.rows, shape.keys);
  std::printf("%-16s %10s %10s %12s\n", "", "loaded", "stored", "bytes used");
  for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
    const auto [loads, stores] = emulator::count_traffic([&] { climb(rung, problem.attention()); });
    const Sectors formula = sectors_of(rung, shape);
    const double used =
        static_cast<double>(loads.bytes + stores.bytes) / static_cast<double>(32 * (loads.sectors + stores.sectors));
    require(static_cast<double>(loads.sectors) == formula.loads && static_cast<double>(stores.sectors) == formula.stores,
            rungs[rung].name, ": ", loads.sectors, " sectors loaded and ", stores.sectors, " stored; the formula says ",
            formula.loads, " and ", formula.stores);
    std::printf("%-16s %10zu %10zu %10.0f %%\n", rungs[rung].name, loads.sectors, stores.sectors, 100 * used);
  }
}
#endif

/// What the busiest part of a multiprocessor takes, and allows.
void bound() {
  std::printf("\n%-16s %-22s %16s %16s\n", "", "waits for", "cycles per score", "TFLOP/s at most");
  for (const Rung& rung : rungs)
    std::printf("%-16s %-22s %16.3f %16.2f\n", rung.name, rung.waits_for, rung.cycles, at_most(rung));
}

/// What was written down before the kernels ran on a card.
void predict(const char* name, const Shape3& x, double Rung::*rate) {
  std::printf("\n%s: %u heads of %u, %u rows, %u keys: %.1f GFLOP, %.0f MB at least, %.0f operations per byte\n", name, x.heads,
              D, x.rows, x.keys, x.operations() * 1e-9, x.least_bytes() * 1e-6, x.operations() / x.least_bytes());
  std::printf("%-16s %12s %18s %12s %12s\n", "", "GB moved", "operations/byte", "TFLOP/s", "us");
  for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
    const double bytes = bytes_of(rung, x), tflops = rungs[rung].*rate;
    std::printf("%-16s %12.2f %18.2f %12.2f %12.0f\n", rungs[rung].name, bytes * 1e-9, x.operations() / bytes, tflops,
                x.operations() / tflops * 1e-6);
  }
}

/// Throws unless `run` is what `--json` writes: of each rung, or of all but the last, which only some cards have.
void check_run(const Json& json) {
  const JsonValue run(json);
  run.at("device").text();
  run.at("copy_bytes_per_s").number(1e6, 1e18);
  const std::size_t least = rungs.size() - 1;
  for (const JsonValue& kernel : run.at("kernels").items(rungs.size(), rungs.size()))
    kernel.at("registers").count(1, 1024), kernel.at("local_bytes").count(0, 1 << 24),
        kernel.at("shared_bytes").count(0, 1 << 24), kernel.at("threads").count(1, 1024),
        kernel.at("blocks_per_multiprocessor").count(0, 1024);
  const std::size_t measured = run.at("prefill").items(least, rungs.size()).size();
  for (const char* shape : {"prefill", "few_rows"}) {
    const std::vector<JsonValue> times = run.at(shape).items(measured, measured);
    for (std::size_t rung = 0; rung < measured; ++rung) {
      times[rung].at("rung").text({rungs[rung].name});
      const double seconds = times[rung].at("seconds").number(1e-9, 1e6);
      times[rung].at("low").number(1e-9, seconds), times[rung].at("high").number(seconds, 1e6);
    }
  }
}

/// The predictions beside a saved run's measurements, and the roofline chart of both.
void report(const Json& run, const std::string& figures) {
  check_run(run);
  const std::size_t measured = run.at("prefill").size();
  const std::string device = run.at("device");
  const double copied = run.at("copy_bytes_per_s");
  std::printf("%s, which copies %.0f GB/s\n\n", device.c_str(), copied * 1e-9);
  std::printf("%-16s %9s %10s %8s %14s\n", "", "registers", "shared KiB", "threads", "blocks per SM");
  for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
    const Json& own = run.at("kernels").at(rung);
    std::printf("%-16s %9d %10.0f %8d %14d\n", rungs[rung].name, own.at("registers").get<int>(),
                own.at("shared_bytes").get<double>() / 1024, own.at("threads").get<int>(),
                own.at("blocks_per_multiprocessor").get<int>());
  }
  std::vector<Panel> panels;
  const auto table = [&](const char* title, const char* key, const Shape3& x, double Rung::*rate) {
    std::printf("\n%s: %u rows, %u keys\n%-16s %10s %10s %10s %10s %10s\n", title, x.rows, x.keys, "", "us", "TFLOP/s",
                "predicted", "measured/p.", "GB/s");
    panels.push_back({std::string(title) + ": " + std::to_string(x.rows) + " rows, " + std::to_string(x.keys) + " keys", {}});
    for (std::size_t rung = 0; rung < measured; ++rung) {
      const double seconds = run.at(key).at(rung).at("seconds"), tflops = x.operations() / seconds * 1e-12;
      std::printf("%-16s %10.1f %10.2f %10.2f %10.2f %10.0f\n", rungs[rung].name, seconds * 1e6, tflops, rungs[rung].*rate,
                  tflops / (rungs[rung].*rate), x.least_bytes() / seconds * 1e-9);
      panels.back().points.push_back({rungs[rung].name, x.operations() / bytes_of(rung, x), rungs[rung].*rate, tflops});
    }
  };
  table("prefill", "prefill", prefill, &Rung::prefill);
  table("few rows", "few_rows", few_rows, &Rung::few);
  if (!figures.empty()) draw_roofline(std::filesystem::path(figures) / "roofline.svg", device, copied, panels);
}

/// Throws unless `run` is kept as profile-h200.json is, and has the kernels of each rung: `names`, a rung's behind each other.
void check_profile(const Json& json, const std::span<const char* const> names) {
  const JsonValue run(json);
  run.at("device").text();
  std::set<std::string> seen;
  for (const JsonValue& kernel : run.at("kernels").items(1)) {
    const JsonValue name = kernel.at("kernel");
    name.expect(seen.insert(name.text()).second, "each kernel once");
    kernel.at("seconds").number(1e-9, 1e6);
    for (const char* key : {"sectors_loaded", "sectors_stored", "memory_bytes"})
      kernel.at(key).count(0, 1'000'000'000'000'000'000);
    for (const char* key : {"l1_percent", "compute_percent"}) kernel.at(key).number(0, 100);
    for (const char* key : {"warps", "warps_at_most"}) kernel.at(key).number(0, 1024);
    kernel.at("clock_hz").number(1e6, 1e11);
  }
  for (const char* rung : names) {
    std::istringstream words(rung);
    for (std::string name; words >> name;) require(seen.contains(name), "\"kernels\": no run of ", name);
  }
}

/// What a profiler said of each rung on the prefill, beside the formulas and predictions. A rung's time is that of all its
/// kernels, the rest is of the one that does most.
void report_profile(const Json& run) {
  const char* const kernels[] = {
      "naive", "coalesced", "tiled", "online", "asynchronous", "mma_sync", "split_kv merge_parts", "make_maps hopper"};
  check_profile(run, kernels);
  const std::string device = run.at("device");
  std::printf("%s, prefill, under a profiler\n%-16s %9s %9s %8s %8s %6s %6s %6s %8s %6s\n", device.c_str(), "", "us", "sectors",
              "formula", "GB mem.", "L1 %", "SM %", "warps", "of most", "GHz");
  for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
    double seconds = 0, longest = 0, sectors = 0, memory = 0;
    const Json* main = nullptr;
    for (const Json& kernel : run.at("kernels")) {
      const std::string name = kernel.at("kernel");
      if ((' ' + std::string(kernels[rung]) + ' ').find(' ' + name + ' ') == std::string::npos) continue;
      const double own = kernel.at("seconds");
      seconds += own;
      sectors += kernel.at("sectors_loaded").get<double>() + kernel.at("sectors_stored").get<double>();
      memory += kernel.at("memory_bytes").get<double>();
      if (own > longest) longest = own, main = &kernel;
    }
    const auto of_main = [&](const char* key) { return main->at(key).get<double>(); };
    std::printf("%-16s %9.0f %8.3fG %7.3fG %8.2f %6.0f %6.0f %6.1f %8.0f %6.2f\n", rungs[rung].name, seconds * 1e6,
                sectors * 1e-9, bytes_of(rung, prefill) / 32e9, memory * 1e-9, of_main("l1_percent"), of_main("compute_percent"),
                of_main("warps"), of_main("warps_at_most"), of_main("clock_hz") * 1e-9);
  }
}

#if defined(__CUDACC__)
/// Registers per thread, bytes of local memory (spills) and resident blocks per multiprocessor of a rung's main kernel.
Json attributes_of(std::size_t rung) {
  struct Own {
    void (*kernel)(Attention);
    int threads;
    std::size_t bytes;
  };
  const Own all[] = {{naive, 128, 0},
                     {coalesced, 128, 0},
                     {tiled, tile_threads, FloatTiles::bytes},
                     {online, tile_threads, FloatTiles::bytes},
                     {asynchronous, tile_threads, AsyncTiles::bytes},
                     {mma_sync, mma_threads, MmaTiles::bytes},
                     {split_kv, mma_threads, MmaTiles::bytes},
                     {hopper, Hopper::threads, Hopper::bytes}};
  cudaFuncAttributes attributes{};
  int blocks = 0;
  check_cuda(cudaFuncGetAttributes(&attributes, all[rung].kernel), "asking for a kernel's attributes");
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, all[rung].kernel, all[rung].threads, all[rung].bytes),
             "asking for a kernel's resident blocks");
  return {{"registers", attributes.numRegs},
          {"local_bytes", attributes.localSizeBytes},
          {"shared_bytes", all[rung].bytes},
          {"threads", all[rung].threads},
          {"blocks_per_multiprocessor", blocks}};
}
Json measure(const Shape3& shape) {
  const Problem problem(shape);
  Json result = Json::array();
  for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
    if (rung == 7 && !has_sm90a()) continue;
    const Time time = timed(rung == 0 ? 3 : 20, 1, [&](std::size_t) { climb(rung, problem.attention()); });
    std::printf("%-16s %12.1f us %9.2f TFLOP/s\n", rungs[rung].name, time.median * 1e6, shape.operations() / time.median * 1e-12);
    result.push_back({{"rung", rungs[rung].name}, {"seconds", time.median}, {"low", time.low}, {"high", time.high}});
  }
  return result;
}
/// Times all rungs at both shapes, beside the card's own copy.
Json measure_all() {
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  double copied = 0;
  {
    const auto from = zeros<bfloat16, Device>({std::size_t{1} << 30}), to = zeros<bfloat16, Device>({from.size()});
    copied = 4 * static_cast<double>(from.size()) / timed_copy(20, to, from).median;
  }
  std::printf("\n%s, which copies %.0f GB/s\n", properties.name, copied * 1e-9);
  Json kernels = Json::array();
  for (std::size_t rung = 0; rung < rungs.size(); ++rung) kernels.push_back(attributes_of(rung));
  Json result{{"device", properties.name},
              {"multiprocessors", properties.multiProcessorCount},
              {"copy_bytes_per_s", copied},
              {"kernels", kernels}};
  result["prefill"] = measure(prefill);
  result["few_rows"] = measure(few_rows);
  return result;
}
#endif

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Attention step by step: eight kernels, the same numbers; what each moves and, on a card, what each reaches.\n"
      "Example: 11-attention-step-by-step > output.txt"};
  std::string json;
  std::string from, profile, figures;
  bool once = false;
  app.add_option("--json", json, "on a card: write all times to FILE")->option_text("FILE");
  app.add_option("--from", from, "report a run that --json wrote, and nothing else")->option_text("FILE");
  app.add_option("--profile", profile, "report what a profiler said, kept as profile-h200.json is, and nothing else")
      ->option_text("FILE");
  app.add_option("--figures", figures, "with --from: draw the roofline chart into this folder")->option_text("FOLDER");
  app.add_flag("--once", once, "run each rung once on the prefill, and nothing else: for a profiler");
  return run_program(app, argc, argv, [&] {
    require(figures.empty() || !from.empty(), "--figures: needs --from, a run to draw");
    if (!figures.empty()) require_writable_folder(figures);
    const auto read = [&](const std::string& path, const auto& tell) {
      Source file(path);
      at_place(path, [&] { tell(parse_json(file.text(0, file.size()))); });
    };
    if (!profile.empty()) return read(profile, report_profile);
    if (!from.empty()) return read(from, [&](const Json& run) { report(run, figures); });
    require(device_available(), why_no_device());
#if !defined(__CUDACC__)
    require(json.empty() && !once, "--json and --once: need a card, and a program compiled by nvcc");
#endif
    if (once) {
      const Problem problem(prefill);
      for (std::size_t rung = 0; rung < rungs.size(); ++rung) climb(rung, problem.attention());
      return synchronize();
    }
    JsonOutput output(json, {"device", "kernels", "prefill", "few_rows"});
    std::printf("kernels run on: %s\n", device_name);
    compare({2, 70, 70});
    compare({1, 5, 150});
    compare({1, 130, 200});
#if !defined(__CUDACC__)
    count({1, 72, 136});
#endif
    bound();
    predict("prefill", prefill, &Rung::prefill);
    predict("few rows", few_rows, &Rung::few);
#if defined(__CUDACC__)
    output.write(measure_all());
#endif
  });
}
