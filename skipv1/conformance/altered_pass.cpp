#include "skipv1/conformance/altered_pass.hpp"

#include <cmath>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/ops/linear.hpp"

namespace skipv1::conformance {

namespace {

using X = Tensor<double>;

double rounded(bool narrow, double x) { return narrow ? static_cast<double>(bfloat16(x)) : x; }

/// Heads of one layer: entry (n, h, i) of (N, heads, width).
struct Owned {
  X rows;
  std::size_t width = 1;
  std::size_t heads() const { return rows.empty() ? 0 : rows.width() / width; }
  double* at(std::size_t n, std::size_t h) { return &rows(n, h * width); }
};

class Pass {
 public:
  Pass(const Config& config, const Parameters<double>& weights, const Routing& routing, View<const std::int32_t> tokens,
       const Rules& rules, const GivenRows* rows)
      : c_(config),
        w_(weights),
        routing_(routing),
        tokens_(tokens),
        r_(rules),
        rows_(rows),
        B_(tokens.extent(0)),
        T_(tokens.extent(1)),
        N_(B_ * T_),
        H_(c_.num_attention_heads),
        d_h_(c_.head_width()) {
    rotary_ = c_.latent() ? c_.attention.rotary_size : d_h_;
  }

  X run() {
    X x = embed();
    std::vector<X> outputs;  // X_0 … of DenseFormer
    outputs.push_back(copied(x));
    for (std::size_t l = 0; l < c_.num_hidden_layers; ++l) {
      x = block(l, x);
      outputs.push_back(copied(x));
      average(l, x, outputs);
    }
    const X normed = r_.final_norm ? norm("model.norm", x) : copied(x);
    const bool tied = c_.tie_word_embeddings || r_.tied_head;
    const View<double> head = w_[tied ? "model.embed_tokens.weight" : "lm_head.weight"];
    X logits({B_, T_, c_.vocab_size});
    linear_forward<double>(View<double>(logits.data(), {N_, c_.vocab_size}), normed, head, View<double>());
    for (std::size_t i = 0; i < logits.size(); ++i) logits.data()[i] *= r_.logits_scale;
    return logits;
  }

 private:
  static X copied(View<const double> x) {
    X y(x.shape());
    std::copy_n(x.data(), x.size(), y.data());
    return y;
  }
  static void add(X& x, const X& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += y.data()[i];
  }
  std::string layer(std::size_t l, const char* part) const { return "model.layers." + std::to_string(l) + "." + part; }
  std::size_t position(std::size_t n) const { return rows_ ? rows_->positions[n] : n % T_; }

  X linear(const std::string& name, const X& x) const {
    const View<double> w = w_[name + ".weight"];
    if (w.empty()) return X({N_, 0});
    X y({N_, w.extent(0)});
    linear_forward<double>(y, x, w, w_[name + ".bias"]);
    return y;
  }

  /// Each head of x (N, columns) through the RMSNorm called `name`, if there is one and it is wanted.
  X normed_heads(bool wanted, const std::string& name, X x) const {
    if (!wanted) return x;
    const View<double> weight = w_[name + ".weight"];
    for (std::size_t at = 0; at < x.size() && !weight.empty(); at += weight.size()) {
      double *head = x.data() + at, square = 0;
      for (std::size_t i = 0; i < weight.size(); ++i) square += head[i] * head[i] / static_cast<double>(weight.size());
      for (std::size_t i = 0; i < weight.size(); ++i) head[i] *= weight(i) / std::sqrt(square + c_.norm_epsilon);
    }
    return x;
  }

  X embed() const {
    X x({N_, c_.hidden_size});
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t i = 0; i < c_.hidden_size; ++i) {
        x(n, i) = w_["model.embed_tokens.weight"](static_cast<std::size_t>(tokens_.data()[n]), i) * r_.embedding_scale;
        if (c_.gpt2() && r_.positions) x(n, i) += w_["model.embed_positions.weight"](position(n) % c_.max_position_embeddings, i);
      }
    return x;
  }

  X norm(std::string name, const X& x) const {
    if (r_.swapped_norms) {
      const std::size_t first = name.find("input_layernorm"), second = name.find("post_attention_layernorm");
      if (first != name.npos) name.replace(first, name.npos, "post_attention_layernorm");
      if (second != name.npos) name.replace(second, name.npos, "input_layernorm");
    }
    const View<double> weight = w_[name + ".weight"], bias = w_[name + ".bias"];
    const std::size_t d = x.width();
    const bool centred = c_.gpt2() != r_.flipped_mean;
    const double count = static_cast<double>(r_.unbiased ? d - 1 : d);
    X y(x.shape());
    for (std::size_t n = 0; n < N_; ++n) {
      double mean = 0, square = 0;
      for (std::size_t i = 0; centred && i < d; ++i) mean += x(n, i) / static_cast<double>(d);
      for (std::size_t i = 0; i < d; ++i) square += (x(n, i) - mean) * (x(n, i) - mean) / count;
      const double root = r_.epsilon_outside ? std::sqrt(square) + c_.norm_epsilon : std::sqrt(square + c_.norm_epsilon);
      for (std::size_t i = 0; i < d; ++i) {
        y(n, i) = (x(n, i) - mean) / root * (weight.empty() ? 1 : weight(i));
        if (!bias.empty()) y(n, i) += bias(i);
      }
    }
    return y;
  }

  X block(std::size_t l, const X& x) {
    const std::string first = layer(l, "input_layernorm"), second = layer(l, "post_attention_layernorm");
    if (r_.norms == Rules::Order::after) {
      X y = attention(l, x);
      add(y, x);
      y = norm(first, y);
      X z = feed_forward(l, y);
      add(z, y);
      return norm(second, z);
    }
    const X normed = norm(first, x);
    X y = attention(l, normed);
    add(y, r_.norms == Rules::Order::normed_residual ? normed : x);
    X z = feed_forward(l, norm(second, r_.norms == Rules::Order::parallel ? x : y));
    add(z, y);
    return z;
  }

  X feed_forward(std::size_t l, const X& x) const {
    X up = linear(layer(l, "mlp.up_proj"), x);
    if (c_.gpt2()) {
      for (std::size_t i = 0; i < up.size(); ++i) up.data()[i] = inner_function(r_.inner, up.data()[i]);
    } else {
      const X gate = linear(layer(l, "mlp.gate_proj"), x);
      for (std::size_t i = 0; i < up.size(); ++i) up.data()[i] *= inner_function(r_.inner, gate.data()[i]);
    }
    return linear(layer(l, "mlp.down_proj"), up);
  }

  /// DenseFormer: `x`, the block's output, becomes Y_{l+1}.
  void average(std::size_t l, X& x, std::vector<X>& outputs) const {
    const View<double> a = w_["model.depth_weights." + std::to_string(l)];
    if (a.empty() || (r_.depth == Rules::Depth::last_left_out && l + 1 == c_.num_hidden_layers)) return;
    for (std::size_t i = 0; i < x.size(); ++i) {
      double sum = r_.depth == Rules::Depth::added ? x.data()[i] : 0;
      for (std::size_t j = r_.depth == Rules::Depth::without_embedding ? 1 : 0; j < l + 2; ++j)
        sum += a(r_.depth == Rules::Depth::reversed ? l + 1 - j : j) * outputs[j].data()[i];
      x.data()[i] = sum;
    }
    if (r_.depth == Rules::Depth::of_averages) outputs.back() = copied(x);
  }

  /// Turns every head's last (with `rotary_first` first) entries, at the positions of their rows.
  void rotate(X& rows, std::size_t width) const {
    if (c_.gpt2() || rows.width() == 0) return;  // a layer may own no head
    std::size_t part = std::min(rotary_, width), begin = r_.rotary_first && c_.latent() ? 0 : width - part;
    if (r_.whole_width && !c_.latent()) width = part = rows.width();
    if (r_.half_width) part = part / 4 * 2;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t at = begin; at + part <= rows.width(); at += width) rotate_pairs(&rows(n, at), part, position(n));
  }
  void rotate_pairs(double* x, std::size_t width, std::size_t position) const {
    const std::size_t half = width / 2;
    for (std::size_t i = 0; i < half; ++i) {
      const double k = static_cast<double>(r_.reversed_frequencies ? half - 1 - i : i);
      const double frequency =
          scaled_frequency(c_.rope_frequencies, std::pow(c_.rope_theta, -r_.exponent * k / static_cast<double>(width)),
                           c_.rope_theta, static_cast<std::size_t>(k), width);
      double p = r_.position_sign * (static_cast<double>(position) + r_.first_position);
      p = rounded(r_.rounds_angles, rounded(r_.rounds_angles, p) * rounded(r_.rounds_angles, frequency));
      const double m = c_.rope_frequencies.attention_factor, a = x[i], b = x[half + i],
                   cos = rounded(r_.rounds_tables, m * std::cos(p)), sin = rounded(r_.rounds_tables, m * std::sin(p));
      x[i] = a * cos - b * sin;
      x[half + i] = b * cos + a * sin;
    }
  }

  X attention(std::size_t l, const X& x) {
    const std::size_t width = c_.query_width();
    X q = normed_heads(r_.norms_queries, layer(l, "self_attn.q_norm"), linear(layer(l, "self_attn.q_proj"), x)),
      k({N_, H_ * width}), v({N_, H_ * d_h_}), o({N_, H_ * d_h_});
    if (r_.strided_queries) stride(q, width);
    if (r_.rotates_queries) rotate(q, width);
    if (c_.latent())
      latent_heads(l, x, k, v);
    else
      routed_heads(l, x, k, v);
    for (std::size_t b = 0; b < B_; ++b)
      for (std::size_t h = 0; h < H_; ++h)
        if (rows_)
          attend_rows(l, h, q, k, v, o);
        else
          attend(b, h, q, k, v, o);
    if (r_.untransposed_heads) o = untransposed(o);
    return linear(layer(l, "self_attn.o_proj"), o);
  }
  X untransposed(const X& o) const {
    X y(o.shape());
    double* to = y.data();
    for (std::size_t b = 0; b < B_; ++b)
      for (std::size_t h = 0; h < H_; ++h)
        for (std::size_t t = 0; t < T_; ++t) to = std::copy_n(&o(b * T_ + t, h * d_h_), d_h_, to);
    return y;
  }
  void stride(X& q, std::size_t width) const {
    for (std::size_t n = 0; n < N_; ++n) {
      const std::vector<double> row(&q(n, 0), &q(n, 0) + q.width());
      for (std::size_t h = 0; h < H_; ++h)
        for (std::size_t i = 0; i < width; ++i) q(n, h * width + i) = row[i * H_ + h];
    }
  }

  bool sees(std::size_t t, std::size_t s) const {
    switch (r_.mask) {
      case Rules::Mask::causal:
        return s <= t;
      case Rules::Mask::none:
        return true;
      case Rules::Mask::next:
        return s <= t + 1;
      case Rules::Mask::strict:
        return s < t || t + s == 0;
    }
    return false;
  }

  void attend(std::size_t b, std::size_t h, const X& q, const X& k, const X& v, X& o) const {
    const std::size_t width = q.width() / H_, begin = b * T_;
    X p({T_, T_});
    for (std::size_t t = 0; t < T_; ++t)
      for (std::size_t s = 0; s < T_; ++s) {
        double score = 0;
        for (std::size_t i = 0; i < width; ++i) score += q(begin + t, h * width + i) * k(begin + s, h * width + i);
        p(t, s) = sees(t, s) ? std::exp(score / std::sqrt(static_cast<double>(width))) : 0;
      }
    for (std::size_t i = 0; i < T_; ++i) {
      double sum = r_.softmax == Rules::Softmax::with_one_more ? 1 : 0;
      const bool columns = r_.softmax == Rules::Softmax::over_queries;
      for (std::size_t j = 0; j < T_; ++j) sum += columns ? p(j, i) : p(i, j);
      for (std::size_t j = 0; j < T_; ++j) {
        double& probability = columns ? p(j, i) : p(i, j);
        probability = rounded(r_.rounds_probabilities, probability / sum);
      }
    }
    for (std::size_t t = 0; t < T_; ++t)
      for (std::size_t i = 0; i < d_h_; ++i) {
        double sum = 0;
        for (std::size_t s = 0; s < T_; ++s) sum += p(t, s) * v(begin + s, h * d_h_ + i);
        o(begin + t, h * d_h_ + i) = sum;
      }
  }

  /// As `attend`, each row over the rows that are given.
  void attend_rows(std::size_t l, std::size_t h, const X& q, const X& k, const X& v, X& o) const {
    const std::size_t width = q.width() / H_;
    const std::size_t owner = c_.latent() || routing_.value(l, h).none() ? l : routing_.value(l, h).layer;
    const bool shared = rows_->shared_of == GivenRows::none ? owner != l : owner == rows_->shared_of;
    for (std::size_t t = 0; t < N_; ++t) {
      const std::vector<std::size_t>&keys = rows_->keys[t], &values = shared ? rows_->shared[t] : keys;
      double total = 0;
      for (std::size_t i = 0; i < d_h_; ++i) o(t, h * d_h_ + i) = 0;
      for (std::size_t j = 0; j < keys.size(); ++j) {
        double score = 0;
        for (std::size_t i = 0; i < width && keys[j] != GivenRows::none; ++i)
          score += q(t, h * width + i) * k(keys[j], h * width + i);
        const double p = std::exp(score / std::sqrt(static_cast<double>(width)));
        total += p;
        for (std::size_t i = 0; i < d_h_ && values[j] != GivenRows::none; ++i)
          o(t, h * d_h_ + i) += p * v(values[j], h * d_h_ + i);
      }
      for (std::size_t i = 0; i < d_h_; ++i) o(t, h * d_h_ + i) /= total;
    }
  }

  /// What layer l owns, then what its query heads read: k (N, H * width), v (N, H * d_h).
  void routed_heads(std::size_t l, const X& x, X& k, X& v) {
    keys_.push_back({normed_heads(r_.norms_keys, layer(l, "self_attn.k_norm"), linear(layer(l, "self_attn.k_proj"), x)), d_h_});
    values_.push_back({linear(layer(l, "self_attn.v_proj"), x), d_h_});
    if (r_.rotates_keys) rotate(keys_[l].rows, d_h_);
    if (r_.rotates_values) rotate(values_[l].rows, d_h_);
    if (routing_.mixes_values && l > 0) mix(l);
    for (std::size_t h = 0; h < H_; ++h) {
      const HeadName &key = routing_.key(l, h), &value = routing_.value(l, h);
      read(keys_, key, k, h);
      read(values_, value, v, h);
      if (value.layer < l && r_.bare_shared_values) take_bias(value, v, h);
    }
    if (r_.rotates_shared_again) rotate_shared(l, k);
  }
  void read(std::vector<Owned>& from, const HeadName& name, X& to, std::size_t h) const {
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t i = 0; i < d_h_; ++i) {
        double x = name.none() ? 0 : from[name.layer].at(n, name.head)[i];
        if (!name.none() && name.pooled()) x = (x + from[name.layer].at(n, name.other)[i]) * (r_.sums_pairs ? 1 : 0.5);
        to(n, h * d_h_ + i) = x;
      }
  }
  void take_bias(const HeadName& value, X& v, std::size_t h) const {
    const View<double> bias = w_[layer(value.layer, "self_attn.v_proj.bias")];
    if (bias.empty() || value.none()) return;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t i = 0; i < d_h_; ++i)
        v(n, h * d_h_ + i) -=
            value.pooled() ? (bias(value.head * d_h_ + i) + bias(value.other * d_h_ + i)) / 2 : bias(value.head * d_h_ + i);
  }
  void rotate_shared(std::size_t l, X& k) const {
    for (std::size_t h = 0; h < H_; ++h)
      for (std::size_t n = 0; n < N_ && routing_.key(l, h).layer != l && !c_.gpt2(); ++n)
        rotate_pairs(&k(n, h * d_h_), d_h_, position(n));
  }
  void mix(std::size_t l) {
    const View<double> learned = w_[layer(l, "self_attn.value_mix")];
    const double lambda = learned.empty() ? c_.attention.value_mix : learned(0);
    if (r_.mix == Rules::Mix::left_out) return;
    Owned &own = values_[l], &first = values_[r_.mix == Rules::Mix::of_last ? l - 1 : 0];
    const std::size_t shift = r_.mix == Rules::Mix::wrong_heads ? first.heads() - own.heads() : 0;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t g = 0; g < own.heads(); ++g)
        for (std::size_t i = 0; i < d_h_; ++i) {
          double& x = own.at(n, g)[i];
          const double other = first.at(n, std::min(g, first.heads() - 1) + shift)[i];
          x = r_.mix == Rules::Mix::added ? x + lambda * other : lambda * x + (1 - lambda) * other;
        }
  }

  /// MLA's keys `[W_uk c | k_r]` and values `W_uv c`.
  void latent_heads(std::size_t l, const X& x, X& k, X& v) {
    X own = linear(layer(l, "self_attn.kv_down_proj"), x), rotary = linear(layer(l, "self_attn.k_rotary_proj"), x);
    if (r_.rotates_keys) rotate(rotary, rotary_);
    rotary_keys_.push_back(std::move(rotary));
    latents_.push_back(std::move(own));
    X c = joined_latent(l);
    if (r_.normed_latent) c = rms(c);
    const X content = linear(layer(l, "self_attn.k_up_proj"), c);
    v = linear(layer(l, "self_attn.v_up_proj"), c);
    const X& shared = rotary_keys_[r_.rotary_key_of_first ? 0 : l];
    const bool rotary_first = r_.rotary_first || r_.reversed_keys;
    const std::size_t width = d_h_ + rotary_;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t h = 0; h < H_; ++h) {
        std::copy_n(&content(n, h * d_h_), d_h_, &k(n, h * width + (rotary_first ? rotary_ : 0)));
        std::copy_n(&shared(n, 0), rotary_, &k(n, h * width + (rotary_first ? 0 : d_h_)));
      }
  }
  /// c of layer l: its own part, then, where it owns half, layer 0's second half.
  X joined_latent(std::size_t l) const {
    const std::size_t d_c = c_.attention.kv_latent_size, own = latents_[l].width(), rest = d_c - own;
    const X& first = latents_[r_.latent_of_last && l > 0 ? l - 1 : 0];
    X c({N_, d_c});
    for (std::size_t n = 0; n < N_; ++n) {
      const bool reversed = r_.latent_reversed && rest > 0;
      std::copy_n(&latents_[l](n, 0), own, &c(n, reversed ? rest : 0));
      if (rest > 0) std::copy_n(&first(n, r_.first_latent_half ? 0 : first.width() - rest), rest, &c(n, reversed ? 0 : own));
    }
    return c;
  }
  X rms(const X& x) const {
    X y(x.shape());
    for (std::size_t n = 0; n < N_; ++n) {
      double square = 0;
      for (std::size_t i = 0; i < x.width(); ++i) square += x(n, i) * x(n, i) / static_cast<double>(x.width());
      for (std::size_t i = 0; i < x.width(); ++i) y(n, i) = x(n, i) / std::sqrt(square + c_.norm_epsilon);
    }
    return y;
  }

  const Config& c_;
  const Parameters<double>& w_;
  const Routing& routing_;
  View<const std::int32_t> tokens_;
  const Rules& r_;
  const GivenRows* rows_;
  std::size_t B_, T_, N_, H_, d_h_, rotary_ = 0;
  std::vector<Owned> keys_, values_;  // of each layer so far
  std::vector<X> latents_, rotary_keys_;
};

}  // namespace

Tensor<double> altered_pass(const Config& config, const Parameters<double>& weights, const Routing& routing,
                            View<const std::int32_t> tokens, const Rules& rules, const GivenRows* rows) {
  return Pass(config, weights, routing, tokens, rules, rows).run();
}

}  // namespace skipv1::conformance
