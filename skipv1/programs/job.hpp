// What skipv1-train and skipv1-uptrain share: a run's settings, which run.json in its checkpoints holds.
#pragma once

#include <cstdio>

#include "skipv1/io/config.hpp"
#include "skipv1/io/place.hpp"
#include "skipv1/training/run.hpp"
#include "skipv1/programs/option_names.hpp"

namespace skipv1 {

/// A run as it was asked for. Zeros stand for what follows from other settings.
struct Job {
  std::string text, valid, tokens, valid_tokens, tokenizer, config, from, strategy;
  double valid_share = 0.1;
  std::size_t vocab = 256;

  std::string architecture = "llama", variant = "skipv1", injection = "second_half";
  std::size_t width = 128, layers = 6, heads = 8, kv_heads = 0, ffn = 0, context = 0, source_layer = 0, kv_latent = 0, rotary = 0;
  double skip_ratio = 0.5, value_mix = 0.5, rope_theta = 10000, norm_epsilon = 1e-5;
  bool learn_value_mix = false, untied = false;

  RunOptions run;
  std::string dtype = "f32";

  // Where and how, which no number depends on.
  std::string out, device = "cpu", json;
  int threads = 0;
  bool resume = false;
};

/// What a setting is about: the model's are fixed where the model is given.
enum class About { data, model, training };

/// Calls `visit(about, name, value, help)` for each setting that numbers depend on.
template <class Visit>
void each_setting(Job& j, const Visit& visit) {
  visit(About::data, "text", j.text, "UTF-8 text to learn");
  visit(About::data, "valid", j.valid, "held-out text; else the last part of --text");
  visit(About::data, "tokens", j.tokens, "token ids to learn instead of --text: a .npy of integers, one axis");
  visit(About::data, "valid-tokens", j.valid_tokens, "held-out token ids; else the last part of --tokens");
  visit(About::data, "valid-share", j.valid_share, "how much of --text or --tokens is held out");
  visit(About::data, "tokenizer", j.tokenizer,
        "vocabulary: a SentencePiece model, llama2.c's .bin, or a tokenizer.json of byte-level BPE");
  visit(About::data, "from", j.from, "trained model to start from: a checkpoint, a run, or anything that can be imported");

  visit(About::model, "config", j.config, "config.json of the model; instead of the options below");
  visit(About::model, "vocab", j.vocab, "size of the vocabulary: trained on --text, 256: bytes; with --tokens the number of ids");
  visit(About::model, "architecture", j.architecture, "llama or gpt2");
  static const std::string named = variant_names() + ", or the file of a routing table, which ends in .json";
  visit(About::model, "variant", j.variant, named.c_str());
  visit(About::model, "width", j.width, "hidden size");
  visit(About::model, "layers", j.layers, "layers");
  visit(About::model, "heads", j.heads, "query heads");
  visit(About::model, "kv-heads", j.kv_heads, "key/value heads; 0: as many as --heads");
  visit(About::model, "ffn", j.ffn, "width of the feed-forward layers; 0: 8/3 of --width for llama, 4 times --width for gpt2");
  visit(About::model, "context", j.context, "most positions of a sequence; 0: --length");
  visit(About::model, "untied", j.untied, "an output head apart from the token embedding");
  visit(About::model, "skip-ratio", j.skip_ratio, "share of value heads that a layer reads from the source layer");
  visit(About::model, "source-layer", j.source_layer, "layer whose values the others read");
  visit(About::model, "injection", j.injection, "second_half, pooling, dynamic, odd_even or resformer");
  visit(About::model, "value-mix", j.value_mix, "lambda of resformer");
  visit(About::model, "learn-value-mix", j.learn_value_mix, "a learned lambda for each layer");
  visit(About::model, "kv-latent", j.kv_latent, "MLA: width of the cached latent");
  visit(About::model, "rotary", j.rotary, "MLA: width of the rotary key");
  visit(About::model, "rope-theta", j.rope_theta, "base of the rotary positions");
  visit(About::model, "norm-epsilon", j.norm_epsilon, "epsilon of the norms");

  TrainingOptions& t = j.run.training;
  visit(About::training, "steps", t.schedule.steps, "training steps");
  visit(About::training, "batch", t.batch, "sequences per step");
  visit(About::training, "length", t.length, "tokens of a sequence; if not given at most the model's context");
  visit(About::training, "peak", t.schedule.peak, "peak learning rate");
  visit(About::training, "warm-up", t.schedule.warm_up, "share of the steps until the peak");
  visit(About::training, "floor", t.schedule.floor, "last learning rate, as a share of the peak");
  visit(About::training, "weight-decay", t.adamw.weight_decay, "weight decay of matrices");
  visit(About::training, "beta1", t.adamw.beta1, "AdamW: decay of the first moment");
  visit(About::training, "beta2", t.adamw.beta2, "AdamW: decay of the second moment");
  visit(About::training, "epsilon", t.adamw.epsilon, "AdamW: added to the root of the second moment");
  visit(About::training, "clip", t.clip, "largest norm of the gradient, to which it is clipped; 0: no clipping");
  visit(About::training, "seed", j.run.seed, "seed of the initial weights and of the windows");
  visit(About::training, "log-every", j.run.log_every, "steps from one row of the log to the next");
  visit(About::training, "evaluate-every", j.run.evaluate_every, "steps from one evaluation to the next; 0: after the last only");
  visit(About::training, "evaluate-windows", j.run.evaluate_windows,
        "windows of --length tokens for each held-out loss of the log, the last too; 0: all; result.json: all in any case");
  visit(About::training, "checkpoint-every", j.run.checkpoint_every,
        "steps from one checkpoint to the next; 0: at the start and the end only");
  visit(About::training, "dtype", j.dtype, "f32, f64 or, on the device, bf16 (weights and moments in f32)");
}

/// The fields of a training that errors begin with.
inline constexpr std::initializer_list<const char*> training_fields = {
    "steps", "batch", "length", "peak", "warm_up", "floor", "weight_decay", "beta1", "beta2", "epsilon", "clip"};

/// A setting's key in run.json: "kv_heads" for --kv-heads.
inline std::string setting_key(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
/// All settings; places so that they are found from anywhere.
inline Json settings_of(Job job) {
  for (std::string* place : {&job.text, &job.valid, &job.tokens, &job.valid_tokens, &job.tokenizer, &job.config, &job.from})
    if (!place->empty()) *place = place_text(std::filesystem::absolute(*place));
  Json settings = {{"strategy", job.strategy}};
  each_setting(job, [&](About, const char* name, auto& value, const char*) { settings[setting_key(name)] = value; });
  return settings;
}

/// The keys that a run's result has (result.json, `--json`) and no other program's has all of.
inline std::vector<std::string> result_keys() {
  return {"variant", "seed", "steps", "final_nats_per_token", "cache_bytes_per_token"};
}

/// 64 bits that tell texts apart (FNV-1a), in hexadecimal.
inline std::string fingerprint(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}
/// The same of a model's weights, in the scalar that they have here.
template <class T>
std::string weights_fingerprint(const Parameters<T>& parameters) {
  const View<T> weights = parameters.flat();
  return fingerprint({reinterpret_cast<const char*>(weights.data()), weights.size() * sizeof(T)});
}

/// `line` with the options that set a configuration's keys in place of the keys.
inline std::string in_options(const std::string& line, const Job& j) {
  return in_words(line, {{"\"architecture\"", "--architecture"},
                         {"vocab_size", j.tokenizer.empty() ? "--vocab" : "the vocabulary's size"},
                         {"hidden_size", "--width"},
                         {"intermediate_size", "--ffn"},
                         {"num_hidden_layers", "--layers"},
                         {"num_attention_heads", "--heads"},
                         {"num_key_value_heads", "--kv-heads"},
                         {"max_position_embeddings", j.context ? "--context" : "--length"},
                         {"norm_epsilon", "--norm-epsilon"},
                         {"rope_theta", "--rope-theta"},
                         {"tie_word_embeddings is false", "--untied"},
                         {"skip_ratio", "--skip-ratio"},
                         {"source_layer", "--source-layer"},
                         {"learn_value_mix", "--learn-value-mix"},
                         {"value_mix", "--value-mix"},
                         {"kv_latent_size", "--kv-latent"},
                         {"rotary_size", "--rotary"}});
}

/// A model's configuration from a job's settings, with a vocabulary of `vocab` pieces. Throws if it is not valid; the line names
/// the options.
inline Config config_of(const Job& j, std::size_t vocab) try {
  Config c;
  c.architecture = detail::parse_architecture(j.architecture);
  c.vocab_size = vocab, c.hidden_size = j.width, c.num_hidden_layers = j.layers;
  c.num_attention_heads = j.heads, c.num_key_value_heads = j.kv_heads ? j.kv_heads : j.heads;
  c.intermediate_size = j.ffn ? j.ffn : c.gpt2() ? 4 * j.width : (j.width * 8 / 3 + 7) / 8 * 8;
  c.max_position_embeddings = j.context ? j.context : j.run.training.length;
  c.norm_epsilon = j.norm_epsilon, c.rope_theta = j.rope_theta, c.tie_word_embeddings = !j.untied;
  c.attention = {j.variant,   j.skip_ratio,      j.source_layer, parse_injection(j.injection),
                 j.value_mix, j.learn_value_mix, j.kv_latent,    j.rotary};
  choose_variant(c, j.variant);
  validate(c);
  return c;
} catch (const Error& error) {
  fail(in_options(error.what(), j));
}

/// A job that may go on: what its last checkpoint says, and its folder, which no other job has.
struct PreparedJob {
  Job job;
  RunFolder folder;
  Communicator& world;
  std::optional<Lock> lock = {};  ///< the first process's
  std::optional<std::size_t> last = {};
  std::string text_fingerprint = {}, valid_fingerprint = {};
  std::string from_fingerprint = {};  ///< of the model that the run started from; empty if none, or by an earlier version
  Json config = {};                   ///< that the run has written into its checkpoint's config.json; null by an earlier version
  std::string config_fingerprint = {};  ///< in its place; empty where that is there
  bool from_given = false;              ///< and the command line names one again
  bool length_given = false;            ///< else it is no longer than the model's context
};

/// Runs a job on the CPU, and in `Space`: each is compiled once, in library/ and device/.
void run_float(PreparedJob job);
void run_double(PreparedJob job);
template <class Space>
void run_f32_on(PreparedJob job);
template <class Space>
void run_f64_on(PreparedJob job);
template <class Space>
void run_bf16_on(PreparedJob job);

}  // namespace skipv1
