// skipv1-check: the library, or another implementation, held against conformance cases (docs/conformance.md).
#include <algorithm>
#include <cmath>
#include <iostream>

#include "skipv1/core/on_device.hpp"
#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/conformance/actual.hpp"
#include "skipv1/conformance/decoding.hpp"
#include "skipv1/conformance/gradients.hpp"
#include "skipv1/conformance/measure.hpp"
#include "skipv1/conformance/narrow_numbers.hpp"
#include "skipv1/conformance/report.hpp"
#include "skipv1/conformance/shifted_positions.hpp"
#include "skipv1/conformance/unseen_mistakes.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/programs/option_names.hpp"

using namespace skipv1;
using namespace skipv1::conformance;

namespace {

struct Options {
  std::vector<std::string> cases;
  std::string device = "cpu", dtype, actual, json, trace;
  int threads = 0;
};

Measured measure(const Case& c, const std::string& dtype, const std::string& device) {
  if (device != "cpu") return with_device(device, [&](auto space) { return measure_on<decltype(space)>(c, dtype); });
  return dtype == "f64" ? measure_f64(c) : dtype == "f32" ? measure_f32(c) : measure_bf16(c);
}

/// Runs the library on a case: the six items of docs/spec/formats.md.
std::vector<Comparison> compare_library(const Case& c, const std::string& dtype, const std::string& device) {
  const Measured m = measure(c, dtype, device);
  const auto bound = [&](const char* kind, const std::string& tensor) { return c.bounds.find(dtype, kind, tensor); };
  std::vector<Comparison> all;
  for (const auto& [check, logits] : m.logits) {
    all.push_back(compare(check, "logits", logits, c.logits, bound("logits", "logits")));
    if (check == "forward" && m.loss) all.push_back(compare(check, "loss", {&*m.loss, {}}, {&c.loss, {}}, bound("loss", "loss")));
  }
  for (std::size_t n = 0; n < m.decoding.size(); ++n) all.push_back(compare_step(c, n, m.decoding[n].logits, dtype));
  if (m.gradients) {
    const double least = least_gradient_divisor(c);
    for (const std::string& name : backward_order(c.gradients.layout()))
      all.push_back(compare("gradients", name, (*m.gradients)[name], c.gradients[name], bound("gradients", name), least));
  }
  all.push_back(compare_counts("cache", "kv_elements_per_token", m.elements, c.elements));
  all.push_back(compare_counts("cache", "parameters", c.stored, c.parameters));
  const std::vector<std::size_t> bytes = cache_bytes(c, dtype);
  for (std::size_t n = 0; n < m.decoding.size(); ++n)
    all.push_back(compare_counts("cache", step_tensor(n, "cache_bytes." + dtype),
                                 m.decoding[n].positions * m.elements * element_width(dtype), bytes[n]));
  return all;
}

/// Where another implementation's results for case `c` lie: in `actual`/CASE, or, where one case is asked for and there is no
/// such folder, in `actual` itself.
std::filesystem::path folder_of(const Options& options, const Case& c) {
  const std::filesystem::path inner = std::filesystem::path(options.actual) / c.name;
  if (std::filesystem::is_directory(inner)) return inner;
  require(options.cases.size() == 1, inner.string(),
          ": not a folder: of several cases each has its results in a folder of its name");
  return options.actual;
}

/// Checks one case.
std::vector<Comparison> check_case(const Options& options, const Case& c) {
  const std::string dtype = options.dtype.empty() ? "f64" : options.dtype;
  if (options.actual.empty()) {
    const std::vector<Comparison> all = compare_library(c, dtype, options.device);
    std::cout << c.name << ": the library in " << dtype << " on " << options.device << '\n';
    return all;
  }
  const std::filesystem::path folder = folder_of(options, c);
  const std::vector<Comparison> all = compare_actual(c, folder, options.dtype);
  std::cout << c.name << ": " << folder.string() << "\n  compared: " << list_compared(all) << '\n';
  return all;
}

/// Whether the values that grouped query heads read of an earlier layer are one head's in every layer that reads some.
bool reuses_one_group(const Config& config) {
  if (config.latent() || config.num_key_value_heads == 1 || config.num_key_value_heads == config.num_attention_heads)
    return false;
  const Routing routing = make_routing(config);
  bool any = false;
  for (std::size_t l = 0; l < routing.layers; ++l) {
    const HeadName* first = nullptr;
    for (std::size_t h = 0; h < routing.heads; ++h) {
      const HeadName& value = routing.value(l, h);
      if (value.none() || value.layer == l) continue;
      if (!first) first = &value;
      if (!(value == *first)) return false;
      any = true;
    }
  }
  return any;
}

/// Whether the mean of the sequences' mean losses is the mean over all targets.
bool has_equal_counts(const Case& c) {
  std::vector<std::ptrdiff_t> ignored;
  for (std::size_t b = 0; b < c.batch(); ++b)
    ignored.push_back(std::count(&c.targets(b, 0), &c.targets(b, 0) + c.length(), ignored_target));
  return std::all_of(ignored.begin(), ignored.end(), [&](std::ptrdiff_t n) { return n == ignored[0]; });
}

/// What results that hold do not say of this case, one thing each.
std::vector<std::string> blind_spots(const Case& c, const std::vector<Comparison>& comparisons) {
  const Config& config = c.config;
  std::vector<std::string> spots;
  const auto of_loss = [](const Comparison& x) { return x.check == "loss" || x.check == "gradients"; };
  if (std::any_of(comparisons.begin(), comparisons.end(), of_loss) && has_equal_counts(c))
    spots.push_back(c.batch() == 1 ? "the mean of the sequences' means as the loss, since there is one sequence"
                                   : "the mean of the sequences' means as the loss, since each has as many targets");
  const std::size_t width = config.latent() ? config.attention.rotary_size : config.head_width();
  if (!config.gpt2() && width <= 2) spots.push_back("the layout of rotary pairs and rope_theta, since heads of 2 are one pair");
  if (reuses_one_group(config))
    spots.push_back(
        "the order of reused groups (repeat for repeat_interleave), since each layer reuses one; llama_skipv1_two_groups has "
        "two");
  return spots;
}

/// What would say more of logits that differ in a way nobody knows; empty where nothing would.
std::string advice(const std::vector<Comparison>& comparisons) {
  const auto first = [&](const auto& holds) { return std::find_if(comparisons.begin(), comparisons.end(), holds); };
  const auto any = [&](const auto& holds) { return first(holds) != comparisons.end(); };
  const auto unknown = [](const Comparison& x) { return !x.pass && x.mistakes.empty() && std::isfinite(x.error); };
  if (any([&](const Comparison& x) { return x.tensor == "logits" && unknown(x); }))
    return any([](const Comparison& x) { return x.check == "trace"; })
               ? ""
               : "no known mistake gives these logits; the first stage that differs is named where trace tensors lie beside "
                 "them: "
                 "layer0.queries_rotated.npy, .keys, .values, .attention, .output, layer1 … (--trace FOLDER writes the library's "
                 "own)";
  const auto of_step = first([](const Comparison& x) { return x.check == "decoding" && !x.pass; });
  if (of_step == comparisons.end() || !unknown(*of_step)) return "";
  const std::string where = of_step->note.substr(0, of_step->note.find(" ("));  // sequence 0, position 4
  const auto whole = first([](const Comparison& x) { return x.check == "logits"; });
  if (whole != comparisons.end() && !whole->pass)
    return "no known mistake of decoding gives these steps; mend the whole pass first, since the steps may share its mistake";
  return "no known mistake of decoding gives these steps, which have no trace: at " + of_step->tensor + ", " + where +
         (whole != comparisons.end()
              ? ", compare yours, layer by layer, with your own whole pass over that sequence's tokens, which holds"
              : ", compare yours, layer by layer, with a whole pass over that sequence's tokens; logits.npy beside the steps "
                "says whether that holds");
}

/// Whether logits were given that hold within the bounds of 16 bits.
bool holds_in_16_bits(const Options& options, const Case& c, const std::vector<Comparison>& comparisons) {
  const auto holds = [](const Comparison& x) { return x.check == "logits" && x.pass; };
  return !options.actual.empty() && std::any_of(comparisons.begin(), comparisons.end(), holds) &&
         dtype_of_logits(c, folder_of(options, c), options.dtype) == "bf16";
}

/// Whether every difference is within the bounds of float32, where no scalar was named: the numbers may be stored in a wider one
/// than they were computed in.
bool within_float32(const Options& options, const Case& c, const std::vector<Comparison>& comparisons) {
  if (!options.dtype.empty()) return false;
  bool any = false;
  for (const Comparison& x : comparisons) {
    if (x.pass) continue;
    const bool decoding = x.check == "decoding";
    if (x.check == "cache" || !(x.error <= c.bounds.find("f32", decoding ? "logits" : x.check, decoding ? "decoding" : x.tensor)))
      return false;
    any = true;
  }
  return any;
}

/// What else than a known mistake explains differences, in a line, or what would say more of them.
void print_explanation(const Options& options, const Case& c, const std::vector<Comparison>& comparisons) {
  if (const std::size_t from = counted_from(c, folder_of(options, c), comparisons))
    std::cout << "  rotary positions are counted from " << from << ", of queries and keys alike: harmless, logits are the same\n";
  else if (const auto narrow = narrow_numbers(c, folder_of(options, c), comparisons))
    std::cout << "  every number of " << narrow->tensor << " is a " << narrow->type << ", and every difference is within "
              << narrow->type << "'s rounding: computed or stored in " << narrow->type
              << "; --dtype bf16 has the bounds of 16 bits\n";
  else if (within_float32(options, c, comparisons))
    std::cout << "  every difference is within float32's bounds: of numbers that were computed in float32 and stored in float64, "
                 "--dtype f32 says so\n";
  else if (!advice(comparisons).empty())
    std::cout << "  " << advice(comparisons) << '\n';
}

/// Throws if --trace would put the library's tensors in the place of what is compared with them.
void require_own_trace_folder(const Options& options) {
  std::error_code error;
  const std::filesystem::path actual = options.actual, inner = actual / std::filesystem::path(options.cases[0]).filename();
  for (const std::filesystem::path& compared : {std::filesystem::path(options.cases[0]), actual, inner})
    require(compared.empty() || !std::filesystem::equivalent(compared, options.trace, error), "--trace ", options.trace,
            ": the folder of what is compared with these tensors");
}

/// Checks all cases; whether all hold.
bool check_all(const Options& options) {
  if (options.device != "cpu") with_device(options.device, [](auto) { return true; });  // said before the work
  require(options.trace.empty() || options.cases.size() == 1, "--trace writes one case: ", options.cases.size(), " are named");
  require_apart({{"--json", options.json}, {"--trace", options.trace}});
  JsonOutput output(options.json, {"case", "check", "tensor", "error", "bound", "pass"});
  if (!options.trace.empty()) require_own_trace_folder(options), require_writable_folder(options.trace);
  Report report;
  std::size_t differing = 0;
  UnseenMistakes unseen;
  for (const std::string& folder : options.cases) {
    const Case c = read_case(folder);
    if (!options.trace.empty()) write_trace(c, options.trace);
    std::vector<Comparison> comparisons = check_case(options, c);
    if (!options.trace.empty())
      std::cout << "  trace: " << trace_names(c.config).size() << " tensors in " << options.trace << '\n';
    print(std::cout, comparisons);
    if (!options.actual.empty()) recognise_actual(c, folder_of(options, c), comparisons);
    const std::string first = first_difference(comparisons);
    if (!first.empty()) ++differing, std::cout << "  first difference: " << first << '\n';
    if (first.empty() && !options.actual.empty())
      for (const std::string& spot : blind_spots(c, comparisons)) std::cout << "  not shown here: " << spot << '\n';
    for (const Comparison& x : comparisons)
      for (const std::string& mistake : x.mistakes)
        if (!first.ends_with("; " + mistake)) std::cout << "  exactly what a known mistake gives: " << mistake << '\n';
    if (!options.actual.empty() && !first.empty()) print_explanation(options, c, comparisons);
    if (holds_in_16_bits(options, c, comparisons)) unseen.add(c);
    report.add(c.name, comparisons);
  }
  output.write(report.json(), 1);
  unseen.print(std::cout);
  std::cout << options.cases.size() - differing << " of " << options.cases.size() << " cases hold" << std::endl;
  return differing == 0;
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Holds the library, or with --actual another implementation, against conformance cases.\n"
      "Exit status: 0 all hold, 1 some differ, 2 a case or an argument is unusable.\n\n"
      "Example: skipv1-check data/conformance/llama_skipv1 --actual my_output"};
  Options options;
  app.add_option("CASE", options.cases, "folders of cases")->required();
  app.add_option("--device", options.device, device_help)->check(one_of({"cpu", "cuda", "emulated"}))->capture_default_str();
  app.add_option("--dtype", options.dtype,
                 "scalar, and with it the bounds (1e-10, 2e-4, 5e-2); default f64, with --actual each file's own. bf16 on the "
                 "CPU: parameters "
                 "rounded to bfloat16, arithmetic in f32, no gradients")
      ->transform(lower_case())
      ->check(one_of({"f64", "f32", "bf16"}));
  app.add_option("--actual", options.actual,
                 "run nothing: compare logits.npy, grads.safetensors, expected.json, step0.logits.npy …, decoding.json, trace "
                 "files and actual.safetensors found in this "
                 "folder, or in its folder CASE, with the case (a trace with the library's own in f64)")
      ->check(existing_folder());
  add_threads_option(app, options.threads);
  app.add_option("--json", options.json, "write every comparison to this file; -: to standard output");
  app.add_option("--trace", options.trace, "write the library's intermediate tensors in f64 to this folder: layer0.keys.npy, …");
  return run_program(app, argc, argv, [&] {
    use_threads(options.threads);
    return check_all(options) ? 0 : 1;
  });
}
