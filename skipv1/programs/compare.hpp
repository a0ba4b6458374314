// One model of the main job: its training, in either memory space.
#pragma once

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>

#include "skipv1/io/config.hpp"
#include "skipv1/io/place.hpp"
#include "skipv1/model/generate.hpp"
#include "skipv1/routing/variants.hpp"
#include "skipv1/training/tokenizer.hpp"
#include "skipv1/programs/curve.hpp"
#include "skipv1/programs/option_names.hpp"

namespace skipv1 {

/// What is asked for.
struct Comparison {
  std::string text, out = "figures", json, device = "cpu", prompt = "And the";
  std::size_t vocab = 2048, width = 128, layers = 4, heads = 8, length = 128, batch = 16, steps = 200, seeds = 2, evaluations = 6;
  std::uint64_t first_seed = 1;
  double peak = 4e-3;
  std::vector<std::string> variants{"mha", "skipv1"};
};

/// One model's training, as the table and the figures show it.
struct Run {
  std::string variant;
  std::uint64_t seed = 0;
  std::size_t parameters = 0, cache_bytes = 0;
  std::vector<double> tokens, nats;  ///< validation loss `nats[i]` after `tokens[i]` tokens of training
  Evaluation last;
  double tokens_per_second = 0;
  std::string sample;
};

/// What a variant is called where there is little room: a table by its file, without ".json".
inline std::string short_name(const std::string& variant) {
  const std::filesystem::path path = variant;
  return path.extension() == ".json" ? file_name_text(path.stem()) : title_of(variant);
}

/// For each variant a part of a file's name, its own: a table's is its file's, as far as a name may have it.
inline std::vector<std::string> figure_names(const std::vector<std::string>& variants) {
  std::vector<std::string> names;
  for (const std::string& variant : variants) {
    std::string name = std::filesystem::path(variant).extension() == ".json" ? short_name(variant) : variant;
    for (char& c : name)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') c = '_';
    std::string own = name;
    for (std::size_t i = 2; std::find(names.begin(), names.end(), own) != names.end(); ++i) own = name + '-' + std::to_string(i);
    names.push_back(own);
  }
  return names;
}

/// The configuration of one of the models compared. Throws if it is not valid; the line names the options.
inline Config compared_config(const Comparison& o, const std::string& variant, std::size_t vocab) try {
  Config c;
  c.vocab_size = vocab, c.hidden_size = o.width, c.num_hidden_layers = o.layers;
  c.intermediate_size = (o.width * 8 / 3 + 7) / 8 * 8;
  c.num_attention_heads = c.num_key_value_heads = o.heads;
  c.max_position_embeddings = 2 * o.length;
  choose_variant(c, variant);
  validate(c);
  return c;
} catch (const Error& error) {
  fail(in_words(error.what(), {{"vocab_size", "--vocab"},
                               {"hidden_size", "--width"},
                               {"num_hidden_layers", "--layers"},
                               {"num_attention_heads", "--heads"},
                               {"num_key_value_heads", "--heads"},
                               {"max_position_embeddings", "twice --length"}}));
}

/// Trains one model in `Space`, evaluates it on the way and lets it speak at the end.
template <class Space>
Run train_and_evaluate(const Comparison& o, const std::string& variant, std::uint64_t seed, const Tokenizer& tokenizer,
                       const TextData& text, const TextData& held_out) {
  const Config config = compared_config(o, variant, tokenizer.vocab_size());
  TrainingOptions options;
  options.schedule = {o.steps, o.peak};
  options.batch = o.batch, options.length = o.length;
  Trainer<float, Space> trainer(config, options, seed);
  Run run{variant,
          seed,
          trainer.parameters().layout().count(),
          cache_elements_per_token(trainer.decoder().routing()) * sizeof(float),
          {},
          {},
          {},
          0,
          {}};
  const Curve curve =
      train_with_curve(trainer, options, seed, text, held_out, {o.evaluations}, variant + ", seed " + std::to_string(seed));
  run.tokens = curve.tokens, run.nats = curve.valid_nats;
  run.last = curve.last, run.tokens_per_second = curve.tokens_per_second;
  const auto said = generate(trainer.decoder(), {tokenizer.encode(o.prompt)}, o.length / 2, Sampling{0.8, 40, 1.0}, seed);
  run.sample = o.prompt + tokenizer.decode(said[0]);
  return run;
}

// Compiled once: library/cpu.cpp and device/compare.cpp.
#define SKIPV1_EXTERN_RUN(Space)                                                                                        \
  extern template Run train_and_evaluate<Space>(const Comparison&, const std::string&, std::uint64_t, const Tokenizer&, \
                                                const TextData&, const TextData&)
SKIPV1_EXTERN_RUN(Cpu);
SKIPV1_EXTERN_RUN(Cuda);
SKIPV1_EXTERN_RUN(Emulated);
#undef SKIPV1_EXTERN_RUN

}  // namespace skipv1
