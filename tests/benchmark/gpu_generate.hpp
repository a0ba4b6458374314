// Whole decoding steps on a card, and how many sequences its memory holds. For nvcc alone.
#pragma once

#include <cstddef>
#include <string>

#include "skipv1/model/decoder.cuh"
#include "skipv1/model/generate.hpp"
#include "tests/benchmark/gpu_step.hpp"

namespace skipv1::benchmark {

/// The shape of the paper's LLaMA-1B (feed-forward layers of 5464 for 5461: rows of whole 16 bytes).
inline Config llama_1b(const char* variant, std::size_t context) {
  Config c;
  c.vocab_size = 32000, c.hidden_size = 2048, c.intermediate_size = 5464, c.num_hidden_layers = 24;
  c.num_attention_heads = c.num_key_value_heads = 32, c.max_position_embeddings = context, c.tie_word_embeddings = false;
  c.attention.variant = variant;
  return c;
}

/// Device memory taken so that so many GiB are left; none for 0. Throws if there are fewer.
inline Tensor<std::byte, Device> all_but(double gib) {
  const auto bytes = static_cast<std::size_t>(gib * 0x1p30);
  const std::size_t free = free_memory();
  require(bytes <= free, "--memory: ", bytes, " bytes, ", free, " are free");
  return bytes == 0 ? Tensor<std::byte, Device>() : Tensor<std::byte, Device>({free - bytes});
}

/// Does `work`; returns false if device memory did not suffice. What `work` had taken is then free again.
template <class Work>
bool fits_memory(const Work& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    const std::string why = error.what();
    for (const char* refusal : {"bytes do not fit", "out of memory", "ALLOC_FAILED"})
      if (why.find(refusal) != std::string::npos) return false;
    throw;
  }
}

/// A model in bfloat16 whose weights are drawn on the device, and what a step of its decoding needs.
class DecodingModel {
 public:
  explicit DecodingModel(const Config& config) : before_(free_memory()), parameters_(config), decoder_(config, parameters_) {
    draw(parameters_.flat(), 0.02f);
  }
  const Decoder<bfloat16, Device>& decoder() const { return decoder_; }
  /// Bytes of device memory taken since just before this model: weights, cache, activations, the step's graph.
  std::size_t taken() const { return before_ - free_memory(); }
  /// Bytes of the weights that a step multiplies by: all but tables of which it reads one row per sequence.
  std::size_t weight_bytes() const {
    const Config& c = decoder_.config();
    const std::size_t tables = c.gpt2() ? c.max_position_embeddings : c.tie_word_embeddings ? 0 : c.vocab_size;
    return 2 * (parameters_.layout().count() - tables * c.hidden_size);
  }
  /// Bytes that a position of a sequence takes in the cache; and that a step reads of it: every layer each pair of heads that it
  /// reads once, a pair of another layer's too, which between layers no cache of the card keeps.
  std::size_t cached_bytes() const { return 2 * cache_elements_per_token(decoder_.routing()); }
  std::size_t read_bytes() const {
    const Routing& r = decoder_.routing();
    std::size_t pairs = 0;
    for (std::size_t l = 0; l < r.layers; ++l)
      for (std::size_t h = 0; h < r.heads; ++h) {
        bool seen = false;
        for (std::size_t g = 0; g < h && !seen; ++g) seen = r.key(l, g) == r.key(l, h) && r.value(l, g) == r.value(l, h);
        pairs += !seen;
      }
    return 2 * pairs * (r.key_width + r.value_width);
  }
  /// At least as many sequences of `context` positions as fit: free memory over a sequence's cache, stream, feed-forward row and
  /// logits.
  std::size_t most_sequences(std::size_t context) const {
    const Config& c = decoder_.config();
    return free_memory() / (context * cached_bytes() + 2 * (8 * c.hidden_size + 2 * c.intermediate_size + c.vocab_size));
  }

 private:
  std::size_t before_;
  Parameters<bfloat16, Device> parameters_;
  Decoder<bfloat16, Device> decoder_;
};

/// `batch` sequences of `context` positions, whose last is computed over and over.
class Decoding {
 public:
  /// Throws where memory does not suffice.
  Decoding(const DecodingModel& model, std::size_t batch, std::size_t context)
      : context_(context),
        tokens_(drawn_tokens(model.decoder().config(), batch, 1)),
        cache_(model.decoder().routing(), batch, context),
        step_(model.decoder(), cache_) {
    tokens_.resize(batch);
    cache_.grow(std::vector<std::size_t>(batch, context - 1));
    step();
    step();  // is recorded
    for (std::size_t l = 0; l < model.decoder().config().num_hidden_layers; ++l) draw(cache_.keys(l)), draw(cache_.values(l));
  }
  void step() {
    step_(tokens_);
    synchronize();
    for (std::size_t b = 0; b < cache_.batch(); ++b) cache_.truncate(b, context_ - 1);
  }
  /// Of steps as a program makes them, by the host's clock: tokens up, one graph, logits there; the next tokens' choice apart.
  Time timed(std::size_t repeats) {
    step();
    return timed_by_host(repeats, [&] { step(); });
  }

 private:
  std::size_t context_;
  std::vector<std::int32_t> tokens_;
  Cache<bfloat16, Device> cache_;
  DecodingStep<bfloat16, Device> step_;
};

/// The largest difference over the largest entry (docs/spec/formats.md, eq. (1)); NaN where one is there.
template <class Got, class Want>
double logits_error(const Got& got, const Want& want) {
  double difference = 0, most = 1e-12;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double w = static_cast<double>(want.data()[i]), d = std::abs(static_cast<double>(got.data()[i]) - w);
    difference = d <= difference ? difference : d;
    most = std::max(most, std::abs(w));
  }
  return difference / most;
}

/// A small model of a configuration's architecture and variant, on the CPU in double and on the card, with the same (rounded)
/// weights.
struct SmallModel {
  Config config;
  Parameters<double> exact;
  Parameters<bfloat16, Device> rounded;
  Decoder<double> cpu;
  Decoder<bfloat16, Device> device;

  SmallModel(Config like, std::size_t positions)
      : config(small(std::move(like), positions)), exact(config), rounded(config), cpu(config, exact), device(config, rounded) {
    initialize(exact, config, 1);
    Random random(2);
    Tensor<bfloat16> values(exact.flat().shape());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values.data()[i] = static_cast<bfloat16>(exact.flat().data()[i] + 0.05 * random.normal());
      exact.flat().data()[i] = static_cast<double>(values.data()[i]);
    }
    copy(rounded.flat(), values);
  }

 private:
  static Config small(Config c, std::size_t positions) {
    c.hidden_size = 256, c.intermediate_size = 512, c.num_hidden_layers = 4, c.vocab_size = 512;
    c.num_attention_heads = c.num_key_value_heads = 4, c.max_position_embeddings = positions;
    return c;
  }
};

/// The largest error of five steps' logits behind prompts of different lengths, of a `SmallModel`.
inline double decoding_error(const Config& like) {
  const SmallModel model(like, 128);
  const std::vector<std::int32_t> tokens = drawn_tokens(model.config, 1, 113);
  const Batch prompts{tokens, {70, 3, 41}};
  Cache<double> cpu_cache(model.cpu.routing(), 3, 75);
  Cache<bfloat16, Device> cache(model.device.routing(), 3, 75);
  Activations<double> a;
  Activations<bfloat16, Device> prefill;
  model.cpu.forward(prompts, cpu_cache, a);
  model.device.forward(prompts, cache, prefill);
  DecodingStep<double, Cpu> cpu_step(model.cpu, cpu_cache);
  DecodingStep<bfloat16, Device> step(model.device, cache);
  double worst = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::vector<std::int32_t> next{tokens[i], tokens[i + 30], tokens[i + 60]};
    const View<double> want = cpu_step(next);
    const double error = logits_error(to_host<bfloat16>(step(next)), want);
    worst = error <= worst ? worst : error;
  }
  return worst;
}

}  // namespace skipv1::benchmark
