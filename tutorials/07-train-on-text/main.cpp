// The main job: MHA and SkipV1Former of one width, depth, seed and number of steps learn English text; then a table and three
// figures.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/io/place.hpp"
#include "skipv1/model/memory_need.hpp"
#include "skipv1/plot/chart.hpp"
#include "skipv1/plot/routing.hpp"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/training/vocabulary.hpp"
#include "skipv1/programs/compare.hpp"
#include "skipv1/programs/device.hpp"
#include "skipv1/programs/option_names.hpp"
#include "skipv1/programs/spread.hpp"
#include "skipv1/programs/written_comparison.hpp"

using namespace skipv1;

namespace {

std::unique_ptr<Tokenizer> make_tokenizer(const Comparison& o, std::string_view text) {
  if (o.vocab == 256) return std::make_unique<ByteTokenizer>();
  require_tokens_in(text, o.length + 1, o.text);
  const auto train = [&] { return SentencePieceTokenizer::train(text, o.vocab, 2'000'000); };
  return std::make_unique<SentencePieceTokenizer>(at_place(o.text, [&] { return in_vocab_option(o.vocab, train); }));
}

/// Of the runs of one variant, a number each.
template <class F>
std::vector<double> of(const std::vector<Run>& runs, const std::string& variant, const F& f) {
  std::vector<double> values;
  for (const Run& run : runs)
    if (run.variant == variant) values.push_back(f(run));
  return values;
}

void print_table(const Comparison& o, const std::vector<Run>& runs) {
  std::printf("%-12s %5s %11s %18s %17s %11s %9s\n", "variant", "seed", "parameters", "cache bytes/token", "valid nats/token",
              "bits/byte", "tokens/s");
  for (const Run& r : runs)
    std::printf("%-12s %5llu %11zu %18zu %17.4f %11.4f %9.0f\n", r.variant.c_str(), static_cast<unsigned long long>(r.seed),
                r.parameters, r.cache_bytes, r.last.nats_per_token, r.last.bits_per_byte(), r.tokens_per_second);
  const auto loss = [](const Run& r) { return r.last.nats_per_token; };
  const std::vector<double> base = of(runs, o.variants[0], loss);
  for (std::size_t v = 1; v < o.variants.size(); ++v) {
    std::vector<double> gap = of(runs, o.variants[v], loss);
    if (gap.empty()) continue;  // a run has diverged before
    for (std::size_t s = 0; s < gap.size(); ++s) gap[s] -= base[s];
    const auto [low, high] = std::minmax_element(gap.begin(), gap.end());
    std::printf("%s - %s: %+.4f nats per token ", o.variants[v].c_str(), o.variants[0].c_str(), mean(gap));
    if (gap.size() == 1)
      std::printf("(one seed)\n");
    else
      std::printf("(mean of %zu seeds, %+.4f to %+.4f): %s\n", gap.size(), *low, *high, sign_verdict(gap));
  }
  std::printf("validation: %zu tokens, %zu bytes\n", runs[0].last.tokens, runs[0].last.bytes);
}

Json to_json(const Comparison& o, const std::vector<Run>& runs) {
  Json all = {{"text", file_name_text(o.text)},
              {"vocab", o.vocab},
              {"width", o.width},
              {"layers", o.layers},
              {"heads", o.heads},
              {"length", o.length},
              {"batch", o.batch},
              {"steps", o.steps},
              {"peak", o.peak},
              {"runs", Json::array()}};
  for (const Run& r : runs)
    all["runs"].push_back({{"variant", place_text(r.variant)},
                           {"seed", r.seed},
                           {"parameters", r.parameters},
                           {"cache_bytes_per_token", r.cache_bytes},
                           {"tokens", r.tokens},
                           {"valid_nats_per_token", r.nats},
                           {"final_nats_per_token", r.last.nats_per_token},
                           {"bits_per_byte", r.last.bits_per_byte()},
                           {"tokens_per_second", r.tokens_per_second}});
  return all;
}

/// The figures, from what `--json` writes: of a run just made, or of one kept.
void draw(const Json& all, const std::string& out) {
  Comparison o;
  o.width = all.at("width"), o.layers = all.at("layers"), o.heads = all.at("heads"), o.length = all.at("length");
  std::vector<std::string> variants;
  std::map<std::string, std::vector<const Json*>> of_variant;
  for (const Json& run : all.at("runs")) {
    const std::string variant = place_of(run.at("variant").get<std::string>()).string();
    if (of_variant[variant].empty()) variants.push_back(variant);
    of_variant[variant].push_back(&run);
  }
  const std::size_t seeds = of_variant[variants[0]].size();
  const std::vector<std::string> names = figure_names(variants);
  plot::Chart curves{"Validation loss (" + std::to_string(seeds) + (seeds == 1 ? " seed)" : " seeds: mean, lowest and highest)"),
                     "tokens of training",
                     "nats per token",
                     {}};
  plot::Chart cache{"Key/value cache of the models trained", "context, tokens", "MiB per sequence", {}};
  std::vector<plot::Drawing> routings;
  for (std::size_t v = 0; v < variants.size(); ++v) {
    const std::string &variant = variants[v], title = short_name(variant);
    const std::vector<const Json*>& runs = of_variant[variant];
    plot::Series curve{title, {}, {}}, bytes{title, {}, {}};
    for (std::size_t i = 0; i < runs[0]->at("tokens").size(); ++i) {
      std::vector<double> nats;
      for (const Json* run : runs) nats.push_back(run->at("valid_nats_per_token").at(i).get<double>());
      curve.x.push_back(runs[0]->at("tokens")[i]), curve.y.push_back(mean(nats));
      curve.low.push_back(*std::min_element(nats.begin(), nats.end())),
          curve.high.push_back(*std::max_element(nats.begin(), nats.end()));
    }
    const double held = runs[0]->at("cache_bytes_per_token");
    for (double t = 0; t <= 8192; t += 2048) bytes.x.push_back(t), bytes.y.push_back(t * held / (1 << 20));
    curves.series.push_back(curve), cache.series.push_back(bytes);
    const Config config = compared_config(o, variant, std::max<std::size_t>(all.at("vocab").get<std::size_t>(), 1));
    routings.push_back(
        plot::routing_picture(make_routing(config), title + ": layer.head that each query head reads", config.mixing()));
  }
  const std::filesystem::path folder = out;
  std::filesystem::create_directories(folder);
  for (std::size_t v = 0; v < variants.size(); ++v) plot::save_figure(folder / ("routing-" + names[v] + ".png"), routings[v]);
  plot::save_figure(folder / "validation.png", curves);
  plot::save_figure(folder / "cache.png", cache);
}

/// Says before the work what is wrong with the options.
void check(const Comparison& o) {
  check_device(o.device, "f32");
  for (const std::string& variant : o.variants) compared_config(o, variant, std::max<std::size_t>(o.vocab, 1));
  const Config config = compared_config(o, o.variants[0], std::max<std::size_t>(o.vocab, 1));
  const double trainer = trainer_bytes<float>(config);
  require_memory("--width " + std::to_string(o.width) + ", --layers " + std::to_string(o.layers) + ": a training", trainer);
  require_memory("--batch " + std::to_string(o.batch) + ", --length " + std::to_string(o.length) + ": a step",
                 trainer + step_bytes<float>(config, o.batch, o.length));
  require(o.first_seed + (o.seeds - 1) >= o.first_seed, "--seed ", o.first_seed, " with --seeds ", o.seeds,
          ": the last seed must be below 2^64");
  require_apart({{"--out", o.out}, {"--json", o.json}});
  require_no_input("--json", o.json, {{"--text", o.text}});
  require_writable_folder(o.out);
  if (o.vocab != 256) at_place("--prompt", [&] { require_utf8(o.prompt, "a vocabulary of pieces"); });
}
void check_prompt(const Comparison& o, const Tokenizer& tokenizer) {
  const std::size_t size = tokenizer.encode(o.prompt).size(), most = 2 * o.length - o.length / 2;
  require(size >= 1 && size <= most, "--prompt has ", size, " tokens: must be 1 to ", most, ", so that ", o.length / 2,
          " more fit into the models' context of ", 2 * o.length);
}

/// All runs in turn. Those before one that diverges stay in `runs`.
void train_all(const Comparison& o, const Tokenizer& tokenizer, const TextData& text, const TextData& held_out,
               std::vector<Run>& runs) {
  const auto train = o.device == "cpu" ? train_and_evaluate<Cpu>
                                       : with_device(o.device, [](auto space) { return train_and_evaluate<decltype(space)>; });
  for (std::size_t i = 0; i < o.seeds; ++i)
    for (const std::string& variant : o.variants) runs.push_back(train(o, variant, o.first_seed + i, tokenizer, text, held_out));
}

void compare(const Comparison& o) {
  check(o);
  JsonOutput output(o.json, {"text", "vocab", "peak", "runs"});
  const auto start = std::chrono::steady_clock::now();
  const std::string text = load_text(o.text);
  const auto [first, rest] = split_text(text, 0.1);
  const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(o, first);
  check_prompt(o, *tokenizer);
  const TextData training(first, *tokenizer), held_out(rest, *tokenizer);
  std::printf("%s: %zu bytes, %zu + %zu tokens of a vocabulary of %zu; seeds %llu to %llu\n", o.text.c_str(), text.size(),
              training.size(), held_out.size(), tokenizer->vocab_size(), static_cast<unsigned long long>(o.first_seed),
              static_cast<unsigned long long>(o.first_seed + o.seeds - 1));
  std::vector<Run> runs;
  try {
    train_all(o, *tokenizer, training, held_out, runs);
  } catch (const Diverged&) {
    if (!runs.empty()) print_table(o, runs);
    throw;
  }
  print_table(o, runs);
  const Json numbers = to_json(o, runs);
  output.write(numbers, 1);
  draw(numbers, o.out);
  std::printf("\n%s goes on after \"%s\": %s\n", runs.back().variant.c_str(), o.prompt.c_str(), runs.back().sample.c_str());
  std::printf("figures in %s; %.0f s in all\n", o.out.c_str(),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Trains MHA and SkipV1Former on text and compares them.\nExample: 07-train-on-text --text book.txt --vocab 256 --seeds 1"};
  Comparison o;
  std::string redraw;
  Option* text = app.add_option("--text", o.text, "UTF-8 text; its last tenth is held out for validation");
  app.add_option("--redraw", redraw, "train nothing: draw the figures of numbers that --json wrote")->excludes(text);
  app.add_option("--vocab", o.vocab, "pieces of the byte-pair vocabulary; 256: bytes")->capture_default_str();
  app.add_option("--variants", o.variants, "variants to train; the first is what the others are compared with")
      ->capture_default_str();
  app.add_option("--width", o.width)->capture_default_str();
  app.add_option("--layers", o.layers)->capture_default_str();
  app.add_option("--heads", o.heads)->capture_default_str();
  app.add_option("--length", o.length, "tokens of a training sequence")->capture_default_str()->check(in_range(1, 1048576));
  app.add_option("--batch", o.batch, "sequences per step")->capture_default_str()->check(at_least(1));
  app.add_option("--steps", o.steps)->capture_default_str()->check(at_least(1));
  app.add_option("--peak", o.peak, "peak learning rate")->capture_default_str();
  app.add_option("--seeds", o.seeds, "runs of each variant")->capture_default_str()->check(in_range(1, 1000000));
  app.add_option("--seed", o.first_seed, "the first seed")->capture_default_str();
  app.add_option("--prompt", o.prompt, "what each model continues at the end")->capture_default_str();
  app.add_option("--out", o.out, "folder for the figures")->capture_default_str();
  app.add_option("--device", o.device, device_help)->capture_default_str();
  app.add_option("--json", o.json, "write every number into this file; -: to standard output")->excludes("--redraw");
  return run_program(app, argc, argv, [&] {
    if (!redraw.empty()) {
      require_writable_folder(o.out);
      with_written_json(redraw, [&](const Json& numbers) { check_comparison(numbers), draw(numbers, o.out); });
      std::printf("figures in %s\n", o.out.c_str());
      return;
    }
    require(!o.text.empty(), "--text is required");
    compare(o);
  });
}
