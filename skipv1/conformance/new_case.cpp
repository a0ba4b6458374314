#include <algorithm>
#include <map>

#include "skipv1/conformance/new_case.hpp"

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/io/checkpoint.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/io/npy.hpp"
#include "skipv1/conformance/compare.hpp"
#include "skipv1/conformance/decoding.hpp"
#include "skipv1/conformance/draw.hpp"
#include "skipv1/conformance/measure.hpp"
#include "skipv1/model/decoder.hpp"
#include "skipv1/model/memory_need.hpp"

namespace skipv1::conformance {

namespace fs = std::filesystem;

namespace {

void write_json(const fs::path& path, const Json& json) {
  write_whole(path, [&](std::ostream& out) { out << json_text(json, 2) << '\n'; });
}

/// The logits of the decoding's steps, each sequence on its own from an empty cache: no step sees another sequence, a part of a
/// cache or a chunk. Throws unless the steps through one cache give the same.
void fill_decoding(Case& c) {
  const Decoder<double> decoder(c.config, c.weights);
  const std::size_t vocab = c.config.vocab_size;
  Activations<double> a;
  std::vector<std::vector<std::int32_t>> all;  // of each sequence all tokens so far
  for (DecodingStep& step : c.decoding) {
    all.resize(step.tokens.size());
    step.logits = Tensor<double>({step.rows(), vocab});
    double* to = step.logits.data();
    for (std::size_t b = 0; b < all.size(); ++b) {
      all[b].resize(step.keep[b]);
      all[b].insert(all[b].end(), step.tokens[b].begin(), step.tokens[b].end());
      if (step.tokens[b].empty()) continue;
      Cache<double> cache(decoder.routing(), 1, all[b].size());
      const View<double> logits = decoder.forward({all[b], {all[b].size()}}, cache, a);
      to = std::copy_n(&logits(step.keep[b], 0), step.tokens[b].size() * vocab, to);
    }
  }
  const std::vector<Measured::Step> found = measure_f64(c).decoding;
  for (std::size_t n = 0; n < found.size(); ++n) {
    const Comparison x = compare("decoding", step_tensor(n, "logits"), found[n].logits, c.decoding[n].logits, 1e-12);
    require(x.pass, step_tensor(n, "logits"), " disagrees with a whole pass: ", x.note);
  }
}

/// Draws weights (such as `dtype` can store), tokens and targets, and lets the library compute the rest.
Case draw_case(const Config& config, const NewCase& options) {
  Case c(config);
  const std::size_t n = options.batch * options.length;
  draw_weights(c.weights, config, options.seed);
  round_to(c.weights.flat(), options.dtype);
  const auto fill = [&](Tensor<std::int32_t>& x, const std::vector<std::int32_t>& values) {
    x = Tensor<std::int32_t>({options.batch, options.length});
    std::copy(values.begin(), values.end(), x.data());
  };
  fill(c.tokens, draw_tokens(n, config.vocab_size, options.seed));
  fill(c.targets, draw_targets(n, config.vocab_size, options.seed));
  const Measured m = measure_f64(c);
  c.logits = m.logits.front().second;
  for (const auto& [check, logits] : m.logits)
    require(compare(check, "logits", logits, c.logits, 1e-12).pass, check, " disagrees with forward");
  c.loss = *m.loss;
  copy(c.gradients.flat(), m.gradients->flat());
  c.elements = m.elements;
  c.parameters = c.weights.layout().count();
  c.decoding = draw_steps(config, options.seed);
  fill_decoding(c);
  return c;
}

/// What the case is about, in words.
std::string covers(const Config& c, const NewCase& options) {
  std::ostringstream s;
  const AttentionConfig& a = c.attention;
  s << c.attention.variant << " on " << to_string(c.architecture) << ": " << c.num_hidden_layers << " layers, "
    << c.num_attention_heads << " query heads reading " << c.num_key_value_heads << " key and value heads";
  if (a.variant.starts_with("skip")) s << ", skip ratio " << a.skip_ratio;
  if (a.source_layer > 0) s << ", source layer " << a.source_layer;
  if (a.injection != Injection::second_half) s << ", injection " << to_string(a.injection);
  if (c.mixing().values) s << ", lambda " << (a.learn_value_mix ? "learned" : "fixed");
  if (c.latent()) s << ", latent of " << a.kv_latent_size << ", rotary part of " << a.rotary_size;
  s << (c.tie_word_embeddings ? ", tied" : ", untied") << " output head, " << options.dtype << " weights, ignored targets";
  return s.str();
}

/// Bounds for other implementations, before any is measured: tests/conformance/pytorch/bounds.py does that.
Json bounds() {
  const auto of_dtype = [](double logits, double loss, double gradients) {
    return Json{{"logits", logits}, {"loss", loss}, {"trace", logits}, {"gradients", gradients}};
  };
  return {{"f64", of_dtype(1e-12, 1e-12, 1e-11)}, {"f32", of_dtype(1e-5, 5e-6, 1e-4)}, {"bf16", of_dtype(1e-1, 2e-2, 5e-1)}};
}

/// `given`: the text of config.json; empty: every key of the configuration.
void write_case(const Case& c, const NewCase& options, const std::string& given, NewFolder& folder, const fs::path& out) {
  const fs::path& part = folder.path();
  if (options.drawn)
    write_config(part / "config.json", c.config);
  else
    write_checkpoint(part, c.config, c.weights, *find_dtype(options.dtype));
  if (options.as_given) write_whole(part / "config.json", [&](std::ostream& file) { file << given; });
  write_npy<std::int32_t>(part / "tokens.npy", c.tokens);
  write_npy<std::int32_t>(part / "targets.npy", c.targets);
  write_npy<double>(part / "logits.npy", c.logits);
  if (!options.drawn) write_parameters(part / "grads.safetensors", c.gradients);
  const Json expected = {{"loss", c.loss}, {"kv_elements_per_token", c.elements}, {"parameters", c.parameters}};
  write_whole(part / "expected.json", [&](std::ostream& file) { file << json_text(expected) << '\n'; });
  if (!c.decoding.empty()) write_decoding(part, c);
  std::ostringstream command;
  command << "skipv1-make-case config.json --seed " << options.seed << " --batch " << options.batch << " --length "
          << options.length << " --dtype " << options.dtype << (options.drawn ? " --drawn" : "")
          << (options.as_given ? " --as-given" : "") << " --out " << out.filename().string();
  Json manifest = {
      {"covers", covers(c.config, options)}, {"seed", options.seed}, {"command", command.str()}, {"bounds", bounds()}};
  if (options.drawn) manifest["drawn"] = options.dtype;
  write_json(part / "manifest.json", manifest);
  folder.commit();
}

}  // namespace

void make_case(const fs::path& config_file, const NewCase& options, const fs::path& out) {
  std::string given;
  const Config config = read_config_as(config_file, [&](std::string_view text) {  // once: it may be a pipe
    Config parsed = parse_config(text);
    if (options.as_given) given = json_text(parse_json(text), 2) + '\n';
    return parsed;
  });
  require(options.batch > 0 && options.length > 0, "--batch ", options.batch, " --length ", options.length, ": must be positive");
  require(!options.drawn || options.dtype != "F64",
          "--drawn --dtype F64: the last bit of a double is not drawn alike everywhere");
  require(options.length <= config.max_position_embeddings, "--length ", options.length, ": max_position_embeddings is ",
          config.max_position_embeddings);
  const double rows = static_cast<double>(options.batch) * static_cast<double>(options.length);
  // The backward pass needs all layers' activations and two sets of logits; afterwards there are six sets, of five ways through
  // the sequence and the case's own.
  const double pass = std::max(pass_bytes(config, rows, sizeof(double), Keep::for_backward, 2 * rows),
                               pass_bytes(config, rows, sizeof(double), Keep::nothing, 6 * rows));
  const double bytes = parameter_bytes(config, 2, sizeof(double));
  require_memory(config_file.string() + ": a model of " + std::to_string(ParameterLayout(config).count()) + " parameters", bytes);
  require_memory("--batch " + std::to_string(options.batch) + ", --length " + std::to_string(options.length) + ": the case",
                 bytes + pass);
  NewFolder folder(out);  // where nothing can be written, that is said before the work
  write_case(draw_case(config, options), options, given, folder, out);
}

void write_negative(const fs::path& out, const std::map<std::string, Tensor<float>>& tensors, const std::string& words,
                    const std::string& first, const std::string& place) {
  NewFolder folder(out);
  for (const auto& [name, x] : tensors) write_npy<float>(folder.path() / (name + ".npy"), x);
  write_json(folder.path() / "manifest.json", {{"mistake", words}, {"first", first}, {"at", place}});
  folder.commit();
}

}  // namespace skipv1::conformance
