// The page's second part: a small trained model continues a text, byte by byte; where each head looks, and how its cache grows.
#pragma once

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "skipv1/io/checkpoint.hpp"
#include "skipv1/model/generate.hpp"
#include "skipv1/training/tokenizer.hpp"
#include "routing_part.hpp"

namespace playground {

/// A model of bytes, and the text it has read.
class Continuation {
 public:
  explicit Continuation(const std::filesystem::path& folder)
      : model_(read_checkpoint<float>(folder)), decoder_(model_.config, model_.parameters) {
    require(model_.config.vocab_size == ByteTokenizer().vocab_size(), folder.string(), ": a vocabulary of ",
            model_.config.vocab_size, ": must be the bytes");
  }

  Json about() const {
    const Config& c = model_.config;
    const Routing& table = decoder_.routing();
    return {{"config", parse_json(config_text(c))},
            {"values", rows_of(table.values, table.heads)},
            {"parameters", model_.parameters.layout().count()},
            {"bytes_per_token", cache_elements_per_token(table) * sizeof(float)},
            {"mha_bytes_per_token", mha_elements(c) * sizeof(float)}};
  }

  /// Reads a prompt anew. "prompt": its bytes; "temperature", "top_p" and "seed" as skipv1-generate has them.
  Json start(const Json& request) {
    JsonFields fields(request);
    std::size_t seed = 1;
    Sampling sampling;
    fields.read("temperature", sampling.temperature), fields.read("top_p", sampling.top_p);
    fields.read("seed", seed, Presence::required, "an integer, not negative");
    const Json& bytes = *fields.find("prompt");
    fields.finish();
    validate(sampling);
    std::vector<std::int32_t> prompt;
    for (const Json& byte : bytes) {
      require(byte.is_number_unsigned() && byte <= 255, "\"prompt\": expected bytes, found ", detail::brief(byte));
      prompt.push_back(byte.get<std::int32_t>());
    }
    const std::size_t most = model_.config.max_position_embeddings;
    require(!prompt.empty(), "an empty prompt: there is nothing to continue");
    require(prompt.size() <= most, "a prompt of ", prompt.size(), " bytes: the model reads at most ", most);
    sampling_ = sampling, random_ = Random(seed).split(0);
    cache_ = std::make_unique<Cache<float>>(decoder_.routing(), 1, most);
    return read(prompt);
  }
  /// Draws the next byte from the last logits, and reads it: the step of `generate` (skipv1/model/generate.hpp).
  Json next() {
    require(cache_ != nullptr, "no prompt has been read");
    require(cache_->lengths()[0] < cache_->capacity(), "the model reads at most ", cache_->capacity(), " bytes");
    const std::int32_t token = sample<float>(View<const float>(logits_), sampling_, random_);
    Json reply = read({token});
    reply["byte"] = token;
    return reply;
  }

 private:
  /// Reads tokens behind what the cache holds. Every head's probabilities are those of the last token.
  Json read(const std::vector<std::int32_t>& tokens) {
    const std::vector<std::size_t> counts{tokens.size()};
    Json heads = Json::array();
    decoder_.place({tokens, counts}, *cache_, activations_, Keep::nothing, Logits::last);
    const View<float> logits = decoder_.run(*cache_, activations_, [&](std::size_t l) { heads.push_back(attention(l)); });
    cache_->grow(counts);
    logits_ = Tensor<float>({logits.size()});
    copy(View<float>(logits_), View<const float>(logits.data(), {logits.size()}));
    const std::size_t length = cache_->lengths()[0];
    return {{"length", length},
            {"cache_bytes", length * cache_->bytes_per_token()},
            {"mha_cache_bytes", length * mha_elements(model_.config) * sizeof(float)},
            {"likeliest", likeliest(8)},
            {"attention", heads}};
  }
  /// Layer l's softmax, [head][position], from queries, keys and the log-sum-exp that attention keeps; in millionths.
  Json attention(std::size_t l) {
    const LayerActivations<float>& a = activations_.layer(l);
    const RoutedHeads<float> heads = decoder_.heads(activations_, l);
    const std::size_t row = activations_.rows - 1, keys = cache_->lengths()[0] + activations_.rows;
    const std::size_t width = decoder_.routing().key_width;
    Json all = Json::array();
    for (std::size_t h = 0; h < heads.size(); ++h) {
      all.push_back(Json::array());
      for (std::size_t s = 0; s < keys; ++s) {
        const float* key = heads(h).key.at(0, s);
        double score = 0;
        for (std::size_t i = 0; i < width; ++i) score += static_cast<double>(a.query(row, h, i)) * static_cast<double>(key[i]);
        const double p = std::exp(decoder_.scale() * score - static_cast<double>(a.lse(row, h)));
        all.back().push_back(static_cast<std::int32_t>(std::lround(1e6 * p)));
      }
    }
    return all;
  }
  /// The likeliest next bytes and their probabilities.
  Json likeliest(std::size_t count) const {
    std::vector<std::size_t> order(logits_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto at = [&](std::size_t v) { return static_cast<double>(logits_.data()[v]); };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return at(a) > at(b); });
    double sum = 0;
    for (const std::size_t v : order) sum += std::exp(at(v) - at(order[0]));
    Json list = Json::array();
    for (std::size_t i = 0; i < count; ++i) list.push_back({order[i], std::exp(at(order[i]) - at(order[0])) / sum});
    return list;
  }

  Checkpoint<float> model_;
  Decoder<float> decoder_;
  std::unique_ptr<Cache<float>> cache_;
  Activations<float> activations_;
  Tensor<float> logits_;
  Sampling sampling_;
  Random random_{1};
};

}  // namespace playground
