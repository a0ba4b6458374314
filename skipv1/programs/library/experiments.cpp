// The lists of runs.
#include "skipv1/programs/experiment_plans.hpp"
#include "skipv1/programs/search.hpp"

#include "skipv1/uptraining/convert.hpp"

namespace skipv1 {

namespace {

using namespace plans;

Runs point_bytes() {
  Runs runs;
  for (const char* variant : {"mha", "skipv1", "skipv0", "yoco_v"})
    runs.push_back({variant, with(llama(256, 384, 8, 1024), variant), recipe(1800, 128), 2});
  return runs;
}

Runs point_pieces() {
  Runs runs;
  for (const char* variant : {"mha", "skipv1", "yoco_v"})
    runs.push_back({variant, with(llama(16384, 512, 8, 1376), variant), recipe(2400), 3});
  return runs;
}

Runs variant_list() {
  Runs runs;
  for (const auto& [size, base] : {std::pair{"10M", llama(8192, 256, 8, 688)}, {"34M", llama(8192, 512, 8, 1376)}}) {
    const std::string group = std::string(size) + "/";
    for (const char* variant : {"mha", "skipv1"}) runs.push_back({group + variant, with(base, variant), recipe(1200), 3});
    for (const char* variant : {"resformer", "denseformer", "yoco_v", "cla_v", "skipv1_yoco", "skipkv1"})
      runs.push_back({group + variant, with(base, variant), recipe(1200)});
    runs.push_back({group + "gqa", grouped(base, "gqa"), recipe(1200)});
    runs.push_back({group + "skipv1_gqa", grouped(base, "skipv1"), recipe(1200)});
    for (const char* variant : {"mla", "skipv1_mla"}) runs.push_back({group + variant, latent(base, variant), recipe(1200)});
  }
  return runs;
}

Runs settings() {
  const Config base = llama(8192, 512, 8, 1376);
  Runs runs;
  const auto add = [&](const std::string& label, const std::string& variant, const auto& change) {
    Config c = with(base, variant);
    change(c.attention);
    runs.push_back({label, c, recipe(1200)});
  };
  const auto as_it_is = [](AttentionConfig&) {};
  add("mha", "mha", as_it_is);
  add("skipv1", "skipv1", as_it_is);
  for (const double ratio : {0.25, 0.75})
    add("ratio-0." + std::to_string(static_cast<int>(100 * ratio)), "skipv1", [=](AttentionConfig& a) { a.skip_ratio = ratio; });
  for (const std::size_t source : {1u, 2u, 3u})
    add("source-" + std::to_string(source), "skipv1", [=](AttentionConfig& a) { a.source_layer = source; });
  add("skipv0", "skipv0", as_it_is);
  for (const Injection injection : {Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer})
    add(std::string("injection-") + to_string(injection), "skipv1", [=](AttentionConfig& a) { a.injection = injection; });
  return runs;
}

/// The learning rate is 1.5 times that at which the first training ended, as the paper's; a fifth of its steps.
Runs uptraining(const std::optional<Config>& trained) {
  const TrainingOptions first = recipe(2400);
  TrainingOptions further = recipe(first.schedule.steps / 5);
  further.schedule.peak = 1.5 * first.schedule.floor * first.schedule.peak, further.schedule.warm_up = 0;
  const Config base = trained.value_or(with(llama(8192, 512, 8, 1376), "mha"));
  further.length = std::min(further.length, base.max_position_embeddings);
  Runs runs;
  if (!trained) {
    runs.push_back({"mha", base, first});
    runs.push_back({"skipv1", with(base, "skipv1"), first});
  }
  const std::string start = trained ? imported : "mha";
  runs.push_back({"unconverted", base, further, 1, start});
  for (const Strategy strategy : strategies)
    runs.push_back({to_string(strategy), converted_config(base), further, 1, start, to_string(strategy)});
  // Is it the rate, or the time, that keeps a converted model above the one it was made from? Half the first training's peak,
  // then also half its steps.
  further.schedule.peak = first.schedule.peak / 2;
  for (const Strategy strategy : {Strategy::mean_v, Strategy::top_vo, Strategy::svd})
    runs.push_back({std::string(to_string(strategy)) + "-fast", converted_config(base), further, 1, start, to_string(strategy)});
  further.schedule.steps = first.schedule.steps / 2;
  runs.push_back({"top_vo-fast-half", converted_config(base), further, 1, start, to_string(Strategy::top_vo)});
  runs.push_back({"unconverted-fast-half", base, further, 1, start});
  return runs;
}

/// MHA and SkipV1 over vocabularies, depths and budgets, around one point that all three have in common.
Runs map() {
  Runs runs;
  const auto add = [&](std::size_t vocab, std::size_t layers, std::size_t steps) {
    const std::string group = "v" + std::to_string(vocab) + "-l" + std::to_string(layers) + "-s" + std::to_string(steps) + "/";
    for (const char* variant : {"mha", "skipv1"})
      runs.push_back({group + variant, with(llama(vocab, 512, layers, 1376), variant), recipe(steps), 3});
  };
  for (const std::size_t vocab : {256u, 512u, 2048u, 8192u, 16384u}) add(vocab, 8, 1200);
  for (const std::size_t layers : {2u, 4u, 16u}) add(16384, layers, 1200);
  for (const std::size_t steps : {150u, 300u, 600u, 2400u}) add(16384, 8, steps);
  return runs;
}

/// MHA and SkipV1 at seven peak rates each, by size, depth and budget. A group is read once where the text has as many tokens:
/// the names end with it.
Runs rates() {
  Runs runs;
  const auto add = [&](const std::string& group, const Config& base, const TrainingOptions& training) {
    for (const char* variant : {"mha", "skipv1"}) add_peaks(runs, group + "/" + variant, with(base, variant), training);
  };
  const Config small = llama(8192, 256, 8, 688), middle = llama(16384, 512, 8, 1376);
  add("10M-13M", small, recipe(800, 32));
  add("10M-26M", small, recipe(800));
  add("42M-26M", middle, recipe(800));
  add("42M-79M", middle, recipe(2400));
  add("42M-157M", middle, recipe(4800));
  for (const std::size_t layers : {2u, 4u, 16u})
    add("l" + std::to_string(layers) + "-26M", llama(16384, 512, layers, 1376), recipe(800));
  Config large = llama(16384, 768, 12, 2048), gpt2 = llama(16384, 768, 12, 3072);
  for (Config* c : {&large, &gpt2}) c->num_attention_heads = c->num_key_value_heads = 12;
  gpt2.architecture = Architecture::gpt2, gpt2.tie_word_embeddings = true;
  add("110M-26M", large, recipe(800));
  add("gpt2-98M-26M", gpt2, recipe(800));
  add("gpt2-98M-157M", gpt2, recipe(4800));
  return runs;
}

/// The same number of steps over the whole budget's text, its half, quarter and eighth: 1, 2, 4 and 8 epochs.
Runs repetition() {
  Runs runs;
  const TrainingOptions training = recipe(800);
  const std::size_t tokens = training.schedule.steps * training.batch * training.length;
  for (const std::size_t epochs : {1u, 2u, 4u, 8u})
    for (const char* variant : {"mha", "skipv1"})
      add_peaks(runs, "x" + std::to_string(epochs) + "/" + variant, with(llama(16384, 512, 8, 1376), variant), training,
                tokens / epochs);
  return runs;
}

/// All variants at 10M parameters, for the loss over the cache.
Runs frontier() {
  const Config base = llama(8192, 256, 8, 688);
  std::vector<std::pair<std::string, Config>> models;
  const auto add = [&](const std::string& label, const Config& config) { models.emplace_back(label, config); };
  const auto shared = [&](const std::string& variant, std::size_t kv_heads) {
    Config c = with(base, variant);
    c.num_key_value_heads = kv_heads;
    return c;
  };
  add("mha", with(base, "mha"));
  for (const auto& [label, ratio] : {std::pair{"skipv1", 0.5}, {"skipv1-25", 0.25}, {"skipv1-75", 0.75}}) {
    Config c = with(base, "skipv1");
    c.attention.skip_ratio = ratio;
    add(label, c);
  }
  for (const char* variant : {"skipkv1", "skipv1_yoco", "yoco_v", "cla_v", "yoco", "cla", "svformer", "skipv0"})
    add(variant, with(base, variant));
  add("gqa-2", shared("gqa", 4)), add("gqa-4", shared("gqa", 2)), add("mqa", shared("mqa", 1));
  add("skipv1_gqa-2", shared("skipv1", 4)), add("skipv1_gqa-4", shared("skipv1", 2));
  add("resformer", with(base, "resformer"));
  Config learned = with(base, "resformer");
  learned.attention.learn_value_mix = true;
  add("resformer-learned", learned);
  add("denseformer", with(base, "denseformer"));
  for (const char* variant : {"mla", "skipv1_mla"}) add(variant, latent(base, variant));
  Runs runs;
  for (const auto& [label, config] : models) add_peaks(runs, label, config, recipe(800, 32));
  return runs;
}

/// What searched tables are compared with, at the size of the search and at those of the training again. Few evaluations, as
/// they take as long as the training does.
Runs search() {
  Runs runs;
  const auto add = [&](const std::string& group, const Config& base, const TrainingOptions& training, const CurveOptions& curve) {
    for (const char* variant : {"skipv1", "mha", "skipv1_yoco", "yoco_v", "cla_v"}) {
      PlannedRun run{group + "/" + variant, with(base, variant), training, 3};
      run.reading.order = Reading::Order::epochs, run.curve = curve;
      runs.push_back(run);
    }
    PlannedRun first = runs.back();  // SkipV1's like, at the cache of half of MHA's values
    first.label = group + "/skipv1-32";
    first.config.attention = {.variant = table_variant().name, .table = head_table(first_layer_table({.owned = 32}))};
    runs.push_back(first);
  };
  const Config small = llama(8192, 256, 8, 688);
  TrainingOptions first = recipe(300, 32), again = recipe(800, 32);
  first.schedule.peak = again.schedule.peak = 4e-3;
  add(search_size, small, first, {2, 16, 256, 32});
  add("10M-13M", small, again, {4, 32, 1024, 32});
  add("42M-26M", llama(16384, 512, 8, 1376), recipe(800), {4, 32, 1024, 32});
  return runs;
}

/// The shape of the paper's LLaMA-1B (feed-forward layers of 5464 for 5461: rows of whole 16 bytes), four sequences at a time.
Runs memory() {
  Config base = llama(32000, 2048, 24, 5464);
  base.num_attention_heads = base.num_key_value_heads = 32;
  base.max_position_embeddings = 32768;
  TrainingOptions four;
  four.batch = 4;
  Runs runs;
  for (const char* variant : {"mha", "skipv1", "yoco_v", "cla_v", "skipkv1", "skipv1_yoco"})
    runs.push_back({variant, with(base, variant), four});
  runs.push_back({"gqa", grouped(base, "gqa"), four});
  runs.push_back({"skipv1_gqa", grouped(base, "skipv1"), four});
  for (const char* variant : {"mla", "skipv1_mla"}) runs.push_back({variant, latent(base, variant), four});
  for (PlannedRun& run : runs) run.contexts = {1024, 4096, 8192, 16384, 32768};
  return runs;
}

/// The same run, small and once. What differs between runs stays different, and bytes stay bytes.
void shrink(PlannedRun& run, bool model) {
  TrainingOptions& t = run.training;
  t.schedule.steps = 2 + t.schedule.steps / 300;
  t.batch = 2, t.length = std::max<std::size_t>(16, t.length / 64), run.seeds = 1;
  if (run.pairs) run.pairs /= 8, t.length = 4 * run.pairs;
  for (std::size_t& count : run.lessons) count = std::min(count, run.pairs);
  std::vector<std::size_t> places;
  for (const std::size_t begin : run.places)
    if (begin / 32 < t.length) places.push_back(begin / 32);
  run.places = places;
  run.reading.tokens = (run.reading.tokens + 65535) / 65536;
  if (run.reading.after) run.reading.after = 2 + run.reading.after / 300;
  run.curve.reset();
  for (std::size_t& context : run.contexts) context /= 256;
  if (!model) return;
  Config& c = run.config;
  if (c.vocab_size != 256) c.vocab_size = 400 + c.vocab_size / 128;  // more than a text has characters
  const std::size_t groups = c.num_attention_heads / c.num_key_value_heads;
  c.hidden_size = 32, c.intermediate_size = 48, c.num_attention_heads = 8, c.num_key_value_heads = 8 / groups;
  if (!run.contexts.empty()) c.num_hidden_layers = 4;
  if (c.latent()) c = latent(c, c.attention.variant);
}

struct Entry {
  const char *name, *summary;
};
constexpr Entry list[] = {
    {"point-bytes", "MHA, SkipV1, SkipV0 and YOCO-V on bytes, 118M of them"},
    {"point-pieces", "MHA, SkipV1 and YOCO-V on a vocabulary of 16,384 pieces, 79M of them"},
    {"variants", "all variants at two sizes"},
    {"settings", "SkipV1's ratio, source layer and injection"},
    {"uptraining", "a trained MHA model converted by each strategy and trained further"},
    {"uptraining-once", "the same over seeds of the first training, on text read once, at two rates"},
    {"map", "SkipV1's gain over vocabulary, depth and tokens"},
    {"rates", "MHA and SkipV1 at seven peak rates, by size, depth and budget, each window read once an epoch"},
    {"repetition", "MHA and SkipV1 over 1, 2, 4 and 8 epochs, at equal steps"},
    {"frontier", "all variants at 10M parameters: loss over cache"},
    {"search", "routing tables drawn, mutated and recombined at a fixed number of owned value heads"},
    {"contexts", "MHA and SkipV1 in contexts of 512, 2,048 and 8,192 tokens: gain over the place in the context"},
    {"recall", "variants that learn to recall values by their keys: accuracy over the number of pairs; reads no text"},
    {"vocabulary", "MHA and SkipV1 over vocabularies, at equal bytes of text"},
    {"memory", "the cache and the peak of memory over the context"},
};

}  // namespace

const std::vector<std::pair<std::string, std::string>>& experiments() {
  static const std::vector<std::pair<std::string, std::string>> all = [] {
    std::vector<std::pair<std::string, std::string>> names;
    for (const Entry& entry : list) names.emplace_back(entry.name, entry.summary);
    return names;
  }();
  return all;
}

void require_experiment(const std::string& name) {
  std::string known;
  for (const Entry& entry : list) {
    if (name == entry.name) return;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  fail("experiment \"", name, "\" is unknown; known are ", known);
}

bool is_short(const Json& results) {
  const Experiment whole = plan_experiment(results.at("experiment").get<std::string>(), false, {});
  for (const Json& run : results.at("runs"))
    for (const PlannedRun& planned : whole.runs) {
      if (run.at("label") != planned.label) continue;
      const Json& settings = run.at("settings");
      if (!planned.contexts.empty()) return settings.value("contexts", Json()) != Json(planned.contexts);
      return settings.at("batch").get<std::size_t>() < planned.training.batch;
    }
  return false;
}

Experiment plan_experiment(const std::string& name, bool small, const std::optional<Config>& trained) {
  require_experiment(name);
  require(!trained || name == "uptraining", "--from: only the experiment uptraining starts from a trained model");
  Experiment e;
  if (name == "point-bytes") e.runs = point_bytes();
  if (name == "point-pieces") e.runs = point_pieces();
  if (name == "variants") e.runs = variant_list();
  if (name == "settings") e.runs = settings();
  if (name == "uptraining") e.runs = uptraining(trained);
  if (name == "uptraining-once") e.runs = uptraining_once();
  if (name == "map") e.runs = map();
  if (name == "rates") e.runs = rates();
  if (name == "repetition") e.runs = repetition();
  if (name == "frontier") e.runs = frontier();
  if (name == "search") e.runs = search();
  if (name == "contexts") e.runs = contexts();
  if (name == "recall") e.runs = recall();
  if (name == "vocabulary") e.runs = vocabulary();
  if (name == "memory") e.runs = memory();
  e.curve = {20, 128, 0, 32};
  if (small) e.curve = {4, 4, 16, 4};
  for (PlannedRun& run : e.runs) {
    if (small) shrink(run, !trained);
    validate(run.config);
  }
  return e;
}

}  // namespace skipv1
