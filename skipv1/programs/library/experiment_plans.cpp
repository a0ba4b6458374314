// Lists of runs over the context's length, pairs to recall, and vocabularies; uptraining on text read once.
#include "skipv1/programs/experiment_plans.hpp"
#include "skipv1/uptraining/convert.hpp"

namespace skipv1::plans {

Runs contexts() {
  Runs runs;
  constexpr std::size_t per_step = 16384;
  for (const std::size_t length : {512u, 2048u, 8192u})
    for (const char* variant : {"mha", "skipv1"}) {
      Config c = with(llama(8192, 256, 8, 688), variant);
      c.max_position_embeddings = length;
      TrainingOptions t = recipe(800, per_step / length);
      t.length = length;
      Runs at_peaks;
      add_peaks(at_peaks, std::to_string(length) + "/" + variant, c, t);
      for (PlannedRun& run : at_peaks) {
        run.curve = {4, 131072 / length, 0, per_step / length};
        for (const std::size_t begin : {0u, 32u, 128u, 512u, 2048u})
          if (begin < length) run.places.push_back(begin);
        runs.push_back(run);
      }
    }
  return runs;
}

Runs recall() {
  Runs runs;
  constexpr std::size_t per_step = 8192;
  const auto add = [&](const std::string& group, std::size_t pairs, const std::vector<std::size_t>& lessons, std::size_t longer) {
    for (const char* variant : {"mha", "skipv1", "skipkv1", "yoco_v", "cla_v", "resformer"}) {
      Config c = with(llama(512, 128, 4, 344), variant);
      c.num_attention_heads = c.num_key_value_heads = 4;
      TrainingOptions t = recipe(1200 * longer, per_step / (4 * pairs));
      t.length = 4 * pairs;
      Runs at_peaks;
      add_peaks(at_peaks, group + "/" + variant, c, t);
      for (PlannedRun& run : at_peaks) {
        run.reading = {}, run.pairs = pairs, run.lessons = lessons;
        run.curve = {24 * longer, 2048 / pairs, 16384 / pairs, per_step / (4 * pairs)};
        runs.push_back(run);
      }
    }
  };
  for (const std::size_t pairs : {8u, 16u, 32u, 64u}) add(std::to_string(pairs) + "-pairs", pairs, {}, 1);
  add("64-mixed", 64, {1, 2, 4, 8, 16, 32, 64}, 1);
  for (const std::size_t pairs : {16u, 32u}) add(std::to_string(pairs) + "-long", pairs, {}, 4);
  return runs;
}

namespace {

/// MHA and, beside it, SkipV1; then MHA converted and trained further on text that it has not read, at one and a half times the
/// rate at which the first training ended and at half of its peak.
struct Uptrained {
  std::string size;  ///< begins the groups' names
  Config config;
  TrainingOptions first;
  const char *peak, *low, *high;  ///< the rates' names
  Runs runs = {};

  PlannedRun& add(const std::string& label, const Config& c, const TrainingOptions& training) {
    PlannedRun run{label, c, training, 3};
    run.reading.order = Reading::Order::epochs;
    return runs.emplace_back(run);
  }
  std::string start() const { return size + "first/mha@" + peak; }
  void train() {
    first.schedule.peak = std::stod(peak);
    for (const char* variant : {"mha", "skipv1"}) add(size + "first/" + variant + "@" + peak, with(config, variant), first);
  }
  void further(const std::string& group, std::size_t steps, const std::vector<Strategy>& tried) {
    for (const char* rate : {low, high}) {
      TrainingOptions t = first;
      t.schedule.steps = steps, t.schedule.peak = std::stod(rate), t.schedule.warm_up = 0;
      const auto goes_on = [&](PlannedRun& run) { run.start = start(), run.reading.after = first.schedule.steps; };
      goes_on(add(size + group + "/unconverted@" + rate, config, t));
      for (const Strategy strategy : tried) {
        PlannedRun& run = add(size + group + "/" + to_string(strategy) + "@" + rate, converted_config(config), t);
        goes_on(run), run.strategy = to_string(strategy);
      }
    }
  }
};

}  // namespace

Runs uptraining_once() {
  const std::vector<Strategy> three = {Strategy::mean_v, Strategy::top_vo, Strategy::svd};
  Config large = with(llama(16384, 768, 12, 2048), "mha");
  large.num_attention_heads = large.num_key_value_heads = 12;
  Uptrained small{"", with(llama(8192, 256, 8, 688), "mha"), recipe(800, 32), "4e-3", "6e-4", "2e-3"};
  Uptrained middle{"42M-", with(llama(16384, 512, 8, 1376), "mha"), recipe(400), "2e-3", "3e-4", "1e-3"};
  Uptrained larger{"110M-", large, recipe(400), "1e-3", "1.5e-4", "5e-4"};  // first and further training: half of the text each
  small.train(), small.further("fifth", small.first.schedule.steps / 5, {std::begin(strategies), std::end(strategies)});
  small.further("equal", small.first.schedule.steps, three);
  Runs runs = small.runs;
  for (Uptrained* of : {&middle, &larger}) {
    of->train(), of->further("equal", of->first.schedule.steps, three);
    runs.insert(runs.end(), of->runs.begin(), of->runs.end());
  }
  return runs;
}

Runs vocabulary() {
  // Bytes per token of the held-out text of docs/results. Equal steps, so that one rate means the same; a step's sequences share
  // 512 * 109 bytes, within 1 %.
  constexpr std::pair<std::size_t, double> bytes_per_token[] = {
      {256, 1}, {512, 1.591}, {2048, 2.796}, {8192, 3.421}, {16384, 3.650}};
  Runs runs;
  for (const auto& [vocab, bytes] : bytes_per_token)
    for (const char* variant : {"mha", "skipv1"})
      add_peaks(runs, "v" + std::to_string(vocab) + "/" + variant, with(llama(vocab, 256, 8, 688), variant),
                recipe(800, static_cast<std::size_t>(109 / bytes + 0.5)));
  return runs;
}

}  // namespace skipv1::plans
