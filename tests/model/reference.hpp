// A second implementation of the forward pass, written from docs/spec/models.md alone and deliberately naive: float64, plain
// loops, one sequence at a time, every query head's keys and values spelt out in every layer. No routing table, no cache, no
// BLAS. Tests hold the decoder against it; with a `Mistake` it errs as implementers do, which is where the negative conformance
// cases come from.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "skipv1/model/parameters.hpp"

namespace skipv1::reference {

enum class Mistake {
  none,
  wrong_half,          ///< the skipped slots read layer 0's first heads instead of its last
  wrong_source,        ///< skipped slots (or a decoder's second half) read the layer before the right one
  counted_from_one,    ///< the injection counts layers from 1, as the paper does
  interleaved_groups,  ///< query head h reads group h mod H_kv instead of floor(h H_kv / H)
  interleaved_reuse,   ///< the same among the skipped heads alone: group order lost where another layer's values are repeated
  rotated_twice,       ///< a layer that reads another layer's keys rotates them again
  wrong_scale,         ///< 1 / sqrt(d) instead of 1 / sqrt(d_h); MLA: 1 / sqrt(d_h) instead of 1 / sqrt(d_h + d_r)
  unaligned_mask,      ///< two chunks, the second one's causal mask aligned top-left: its row i sees keys 0 … i
  bias_left_out,       ///< layer 0's values are handed on before their bias is added
  mix_swapped,         ///< (1 - lambda) V_l + lambda V_0
  averaged_averages    ///< DenseFormer's average runs over Y_j instead of X_j
};

using Row = std::vector<double>;
using Rows = std::vector<Row>;    // one row per position
using Heads = std::vector<Rows>;  // [head][position][entry]

/// What a layer does to one sequence: keys and values as each query head reads them, attention before o_proj, the block's output.
struct Layer {
  Heads keys, values, attention;
  Rows output;
};

class Model {
 public:
  Model(const Config& config, const Parameters<double>& weights, Mistake mistake = Mistake::none)
      : c_(config), w_(weights), mistake_(mistake), H_(c_.num_attention_heads), d_h_(c_.head_width()) {
    const std::string& v = c_.attention.variant;
    mla_ = v == "mla" || v == "skipv1_mla";
    d_r_ = mla_ ? c_.attention.rotary_size : d_h_;
    skip_ =
        static_cast<std::size_t>(std::ceil(c_.attention.skip_ratio * static_cast<double>(c_.num_key_value_heads) - 0.5 - 1e-9));
  }

  /// Logits (T, V) of one sequence; its layers go to `layers`.
  Rows forward(const std::vector<std::int32_t>& tokens, std::vector<Layer>& layers) {
    Rows x;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      x.push_back(row(w_["model.embed_tokens.weight"], static_cast<std::size_t>(tokens[t])));
      if (gpt2()) x.back() = sum(x.back(), row(w_["model.embed_positions.weight"], t));
    }
    keys_.clear(), values_.clear(), bare_values_.clear(), latent_.clear(), layers.clear();
    std::vector<Rows> averaged_over{x};
    for (std::size_t l = 0; l < c_.num_hidden_layers; ++l) {
      layers.push_back({});
      x = layers[l].output = block(l, x, layers[l]);
      if (c_.attention.variant != "denseformer") continue;
      averaged_over.push_back(x);
      const View<double> a = w_["model.depth_weights." + std::to_string(l)];
      for (std::size_t t = 0; t < x.size(); ++t)
        for (std::size_t i = 0; i < x[t].size(); ++i) {
          x[t][i] = 0;
          for (std::size_t j = 0; j < l + 2; ++j) x[t][i] += a(j) * averaged_over[j][t][i];
        }
      if (mistake_ == Mistake::averaged_averages) averaged_over.back() = x;
    }
    Rows logits;
    for (const Row& r : x)
      logits.push_back(product(c_.tie_word_embeddings ? "model.embed_tokens" : "lm_head", norm("model.norm", r)));
    return logits;
  }

 private:
  bool gpt2() const { return c_.architecture == Architecture::gpt2; }
  bool skips() const { return c_.attention.variant.starts_with("skip") && !mla_; }

  static Row row(View<double> matrix, std::size_t i) {
    return Row(matrix.data() + i * matrix.extent(1), matrix.data() + (i + 1) * matrix.extent(1));
  }
  static Row sum(Row a, const Row& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }
  /// `x W^T + b`, with a bias where there is one and it is wanted.
  Row product(const std::string& name, const Row& x, bool with_bias = true) const {
    const View<double> w = w_[name + ".weight"], b = w_[name + ".bias"];
    Row y(w.extent(0), 0.0);
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w(o, i) * x[i];
      if (with_bias && !b.empty()) y[o] += b(o);
    }
    return y;
  }
  Row norm(const std::string& name, Row x) const {
    const double n = static_cast<double>(x.size());
    double mean = 0, square = 0;
    if (gpt2())
      for (double v : x) mean += v / n;
    for (double v : x) square += (v - mean) * (v - mean) / n;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(square + c_.norm_epsilon) * w_[name + ".weight"](i);
      if (gpt2()) x[i] += w_[name + ".bias"](i);
    }
    return x;
  }
  /// Turns the last d_r entries of a head at position t.
  void rotate(Row& head, std::size_t t) const {
    if (gpt2()) return;
    const std::size_t begin = head.size() - d_r_, half = d_r_ / 2;
    for (std::size_t i = 0; i < half; ++i) {
      const double p = static_cast<double>(t) * frequency(static_cast<double>(i)), m = c_.rope_frequencies.attention_factor;
      const double a = head[begin + i], b = head[begin + half + i];
      head[begin + i] = m * (a * std::cos(p) - b * std::sin(p));
      head[begin + half + i] = m * (b * std::cos(p) + a * std::sin(p));
    }
  }
  /// The angle of pair i per position, case by case as the specification's table of kinds has it.
  double frequency(double i) const {
    const RopeScaling& s = c_.rope_frequencies;
    const double w = static_cast<double>(d_r_), f = std::pow(c_.rope_theta, -2 * i / w), two_pi = 2 * std::acos(-1.0),
                 n = static_cast<double>(s.original_max_position_embeddings);
    if (s.kind == RopeKind::linear) return f / s.factor;
    if (s.kind == RopeKind::llama3) {
      const double wavelength = two_pi / f;
      if (wavelength < n / s.high_freq_factor) return f;
      if (wavelength > n / s.low_freq_factor) return f / s.factor;
      const double smooth = (n / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
      return (1 - smooth) * f / s.factor + smooth * f;
    }
    if (s.kind != RopeKind::yarn) return f;
    const auto pair = [&](double turns) { return w * std::log(n / (turns * two_pi)) / (2 * std::log(c_.rope_theta)); };
    double low = pair(s.beta_fast), high = pair(s.beta_slow);
    if (s.truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0), high = std::min(high, w - 1);
    if (low == high) high += 0.001;
    const double ramp = std::min(std::max((i - low) / (high - low), 0.0), 1.0);
    return f / s.factor * ramp + f * (1 - ramp);
  }
  /// Every position's row cut into heads of `width`.
  static Heads cut(const Rows& rows, std::size_t width) {
    Heads heads(rows[0].size() / width);
    for (std::size_t h = 0; h < heads.size(); ++h)
      for (const Row& r : rows) heads[h].emplace_back(&r[h * width], &r[h * width] + width);
    return heads;
  }
  Rows project(const std::string& name, const Rows& x, bool with_bias = true) const {
    Rows y;
    if (!w_[name + ".weight"].empty())
      for (const Row& r : x) y.push_back(product(name, r, with_bias));
    return y;
  }
  Heads rotated(Heads heads) const {
    for (Rows& head : heads)
      for (std::size_t t = 0; t < head.size(); ++t) rotate(head[t], t);
    return heads;
  }

  /// Every head at every position through an RMSNorm of its own width, where there is one.
  Heads normed_heads(const std::string& name, Heads heads) const {
    if (w_[name + ".weight"].empty()) return heads;
    for (Rows& head : heads)
      for (Row& x : head) x = norm(name, x);
    return heads;
  }

  /// Block l: `x += Attn(norm1(x))`, then `x += FFN(norm2(x))`.
  Rows block(std::size_t l, Rows x, Layer& layer) {
    const std::string name = "model.layers." + std::to_string(l) + ".", attention = name + "self_attn.";
    Rows normed;
    for (const Row& r : x) normed.push_back(norm(name + "input_layernorm", r));
    const Heads queries =
        rotated(normed_heads(attention + "q_norm", cut(project(attention + "q_proj", normed), d_h_ + (mla_ ? d_r_ : 0))));
    if (mla_)
      latent_heads(l, attention, normed, layer);
    else
      routed_heads(l, attention, normed, layer);
    for (std::size_t h = 0; h < H_; ++h) layer.attention.push_back(attend(queries[h], layer.keys[h], layer.values[h]));
    for (std::size_t t = 0; t < x.size(); ++t) {
      Row joined;
      for (std::size_t h = 0; h < H_; ++h)
        joined.insert(joined.end(), layer.attention[h][t].begin(), layer.attention[h][t].end());
      x[t] = sum(x[t], product(attention + "o_proj", joined));
      const Row n = norm(name + "post_attention_layernorm", x[t]);
      Row up = product(name + "mlp.up_proj", n);
      const Row gate = gpt2() ? Row() : product(name + "mlp.gate_proj", n);
      for (std::size_t i = 0; i < up.size(); ++i)
        up[i] = gpt2()
                    ? up[i] * 0.5 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (up[i] + 0.044715 * up[i] * up[i] * up[i])))
                    : up[i] * gate[i] / (1 + std::exp(-gate[i]));
      x[t] = sum(x[t], product(name + "mlp.down_proj", up));
    }
    return x;
  }

  Rows attend(const Rows& queries, const Rows& keys, const Rows& values) const {
    const std::size_t T = queries.size(), d_k = queries[0].size();
    double scale = 1 / std::sqrt(static_cast<double>(d_k));
    if (mistake_ == Mistake::wrong_scale) scale = 1 / std::sqrt(static_cast<double>(mla_ ? d_h_ : c_.hidden_size));
    Rows out;
    for (std::size_t t = 0; t < T; ++t) {
      const std::size_t seen = mistake_ == Mistake::unaligned_mask && t >= T / 2 ? t - T / 2 + 1 : t + 1;
      Row p(seen, 0.0), o(values[0].size(), 0.0);
      double total = 0;
      for (std::size_t s = 0; s < seen; ++s) {
        for (std::size_t i = 0; i < d_k; ++i) p[s] += scale * queries[t][i] * keys[s][i];
        total += p[s] = std::exp(p[s]);
      }
      for (std::size_t s = 0; s < seen; ++s)
        for (std::size_t i = 0; i < o.size(); ++i) o[i] += p[s] / total * values[s][i];
      out.push_back(o);
    }
    return out;
  }

  /// MLA: keys `[W_uk c | k_r]` and values `W_uv c`.
  void latent_heads(std::size_t l, const std::string& name, const Rows& normed, Layer& layer) {
    Rows latent = project(name + "kv_down_proj", normed);
    if (c_.attention.variant == "skipv1_mla" && l > 0)
      for (std::size_t t = 0; t < latent.size(); ++t)
        latent[t].insert(latent[t].end(), latent_[t].begin() + static_cast<std::ptrdiff_t>(latent_[t].size() / 2),
                         latent_[t].end());
    if (l == 0) latent_ = latent;
    layer.keys = cut(project(name + "k_up_proj", latent), d_h_);
    layer.values = cut(project(name + "v_up_proj", latent), d_h_);
    const Heads shared = rotated({project(name + "k_rotary_proj", normed)});
    for (Rows& head : layer.keys)
      for (std::size_t t = 0; t < head.size(); ++t) head[t].insert(head[t].end(), shared[0][t].begin(), shared[0][t].end());
  }

  void routed_heads(std::size_t l, const std::string& name, const Rows& normed, Layer& layer) {
    const Rows k = project(name + "k_proj", normed), v = project(name + "v_proj", normed),
               bare = project(name + "v_proj", normed, false);
    keys_.push_back(k.empty() ? Heads() : rotated(normed_heads(name + "k_norm", cut(k, d_h_))));
    values_.push_back(v.empty() ? Heads() : cut(v, d_h_));
    if (l == 0) bare_values_ = cut(bare, d_h_);
    if (l > 0 && (c_.attention.variant == "resformer" || c_.attention.injection == Injection::resformer)) mix_values(l, name);
    for (std::size_t h = 0; h < H_; ++h) {
      const bool interleaved = mistake_ == Mistake::interleaved_groups;
      const std::size_t g = interleaved ? h % c_.num_key_value_heads : h * c_.num_key_value_heads / H_;
      layer.keys.push_back(read_key(l, g));
      layer.values.push_back(read_value(l, h, g));
    }
  }

  void mix_values(std::size_t l, const std::string& name) {
    const View<double> learned = w_[name + "value_mix"];
    double lambda = learned.empty() ? c_.attention.value_mix : learned(0u);
    if (mistake_ == Mistake::mix_swapped) lambda = 1 - lambda;
    for (std::size_t g = 0; g < values_[l].size(); ++g)
      for (std::size_t t = 0; t < values_[l][g].size(); ++t)
        for (std::size_t i = 0; i < d_h_; ++i)
          values_[l][g][t][i] = lambda * values_[l][g][t][i] + (1 - lambda) * values_[0][g][t][i];
  }

  /// The layer that YOCO and CLA read in layer l.
  std::size_t shared_layer(std::size_t l, const std::string& variant) const {
    if (variant.starts_with("cla")) return l - l % 2;
    const std::size_t last = c_.num_hidden_layers / 2 - 1;
    return l <= last ? l : last - (mistake_ == Mistake::wrong_source ? 1 : 0);
  }

  Rows read_key(std::size_t l, std::size_t g) const {
    const std::string& v = c_.attention.variant;
    std::size_t layer = l;
    if (v == "yoco" || v == "cla" || v == "skipv1_yoco") layer = shared_layer(l, v == "cla" ? v : "yoco");
    if (v == "skipkv1" && l > 0 && g >= c_.num_key_value_heads - skip_) layer = 0;
    Rows key = keys_[layer][g];
    if (mistake_ == Mistake::rotated_twice && layer != l)
      for (std::size_t t = 0; t < key.size(); ++t) rotate(key[t], t);
    return key;
  }

  Rows read_value(std::size_t l, std::size_t h, std::size_t g) const {
    const std::string& v = c_.attention.variant;
    std::size_t layer = l;
    if (v == "svformer") layer = 0;
    if (v.starts_with("yoco") || v.starts_with("cla")) layer = shared_layer(l, v);
    if (skips()) return skipped_value(l, h, g);
    return layer != l && mistake_ == Mistake::bias_left_out && layer == 0 ? bare_values_[g] : values_[layer][g];
  }

  Rows skipped_value(std::size_t l, std::size_t h, std::size_t g) const {
    const std::size_t H_own = c_.num_key_value_heads - skip_, source = c_.attention.source_layer;
    if (l <= source || g < H_own) return values_[l][g];
    if (c_.attention.variant == "skipv0") return Rows(keys_[l][0].size(), Row(d_h_, 0.0));
    if (mistake_ == Mistake::interleaved_reuse) g = H_own + h % skip_;
    const std::size_t j = g - H_own, counted = l + (mistake_ == Mistake::counted_from_one ? 1 : 0);
    const Heads& from =
        mistake_ == Mistake::bias_left_out ? bare_values_ : values_[source - (mistake_ == Mistake::wrong_source ? 1 : 0)];
    if (mistake_ == Mistake::wrong_half) return from[j];
    if (c_.attention.injection == Injection::dynamic) return from[(counted + j) % H_];
    if (c_.attention.injection == Injection::odd_even) return from[counted % 2 == 0 ? j : g];
    Rows value = from[g];
    if (c_.attention.injection == Injection::pooling)
      for (std::size_t t = 0; t < value.size(); ++t)
        for (std::size_t i = 0; i < d_h_; ++i) value[t][i] = 0.5 * (from[j][t][i] + from[g][t][i]);
    return value;
  }

  const Config& c_;
  const Parameters<double>& w_;
  Mistake mistake_;
  std::size_t H_, d_h_, d_r_ = 0, skip_ = 0;
  bool mla_ = false;
  std::vector<Heads> keys_, values_;  // of each layer so far, what it owns
  Heads bare_values_;                 // layer 0's, without their bias
  Rows latent_;                       // layer 0's
};

}  // namespace skipv1::reference
