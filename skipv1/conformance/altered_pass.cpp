#include "skipv1/conformance/altered_rows.hpp"

namespace skipv1::conformance {

namespace {

using X = Tensor<double>;

/// Heads of one layer: entry (n, h, i) of (N, heads, width).
struct Owned {
  X rows;
  std::size_t width = 1;
  std::size_t heads() const { return rows.empty() ? 0 : rows.width() / width; }
  double* at(std::size_t n, std::size_t h) { return &rows(n, h * width); }
};

/// What the query heads of a layer read.
struct Read {
  Read() = default;
  Read(std::size_t rows, std::size_t keys, std::size_t values) : k({rows, keys}), v({rows, values}) {}
  X k, v;  ///< (N, H * width), (N, H * d_h)
};

class Pass : AlteredRows {
 public:
  Pass(const Config& config, const Parameters<double>& weights, const Routing& routing, View<const std::int32_t> tokens,
       const Rules& rules, const GivenRows* rows)
      : AlteredRows(config, weights, tokens, rules, rows), routing_(routing), B_(tokens.extent(0)), H_(c_.num_attention_heads) {}

  X run() {
    X x = embed();
    std::vector<X> outputs;  // X_0 … of DenseFormer
    outputs.push_back(copied(x));
    for (std::size_t l = 0; l < c_.num_hidden_layers; ++l) {
      x = block(l, x);
      outputs.push_back(copied(x));
      average(l, x, outputs);
    }
    for (std::size_t i = 0; i < x.size() && !r_.final_embedding; ++i) x.data()[i] -= outputs[0].data()[i];
    const X normed = r_.final_norm ? norm("model.norm", x) : copied(x);
    const bool tied = c_.tie_word_embeddings || r_.tied_head;
    const View<double> head = w_[tied ? "model.embed_tokens.weight" : "lm_head.weight"];
    X logits({B_, T_, c_.vocab_size});
    linear_forward<double>(View<double>(logits.data(), {N_, c_.vocab_size}), normed,
                           r_.reshaped_head ? reshaped(head) : copied(head), View<double>());
    for (std::size_t i = 0; i < logits.size(); ++i) logits.data()[i] *= r_.logits_scale;
    return logits;
  }

 private:
  X block(std::size_t l, const X& x) {
    const std::string first = layer(l, "input_layernorm"), second = layer(l, "post_attention_layernorm");
    if (r_.norms == Rules::Order::after) {
      X y = attention(l, x, x);
      add(y, x);
      y = norm(first, y);
      X z = feed_forward(l, y);
      add(z, y);
      return norm(second, z);
    }
    const X normed = norm(first, x);
    X y = attention(l, normed, x);
    add(y, r_.norms == Rules::Order::normed_residual ? normed : x);
    X z = feed_forward(
        l, r_.norms == Rules::Order::parallel_of_one ? normed : norm(second, r_.norms == Rules::Order::parallel ? x : y));
    add(z, y);
    return z;
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

  /// Queries or keys of layer l, as a head of them is scored; `part` is "q" or "k".
  X scored_heads(std::size_t l, const char* part, const X& x) const {
    const bool query = *part == 'q';
    const std::string name = layer(l, "self_attn.") + part;
    const std::size_t width = query ? c_.query_width() : d_h_;
    X y = linear(name + "_proj", x, r_.biased_after_rotation ? Bias::left_out : Bias::added);
    if (query ? r_.strided_queries : r_.strided_keys) stride(y, width);
    const bool wanted = query ? r_.norms_queries : r_.norms_keys, late = r_.head_norms == Rules::HeadNorms::after_rotation;
    if (wanted && !late) y = norm_heads(name + "_norm", std::move(y));
    rotate_as(*part, y, width);
    if (wanted && late) y = norm_heads(name + "_norm", std::move(y));
    const View<double> bias = w_[name + "_proj.bias"];
    for (std::size_t i = 0; i < y.size() && r_.biased_after_rotation && !bias.empty(); ++i) y.data()[i] += bias(i % y.width());
    return y;
  }
  /// Rotates queries ("q") or keys ("k") as often as the rules say.
  void rotate_as(char part, X& rows, std::size_t width) const {
    const bool query = part == 'q';
    if (!(query ? r_.rotates_queries : r_.rotates_keys)) return;
    for (int times = (query ? r_.rotates_queries_twice : r_.rotates_keys_twice) ? 2 : 1; times > 0; --times)
      rotate(rows, width, query ? magnitude() : keys_magnitude(), query ? r_.neighbours_of_queries : r_.neighbours_of_keys);
  }
  double keys_magnitude() const { return r_.magnifies_keys ? magnitude() : 1; }

  /// Attention of layer l, which reads x; `unnormed` is what its norm read.
  X attention(std::size_t l, const X& x, const X& unnormed) {
    layer_ = l;
    const X q = scored_heads(l, "q", x);
    X o({N_, H_ * d_h_});
    Read read(N_, H_ * c_.query_width(), H_ * d_h_), other;
    if (c_.latent()) {
      own_latent(l, x);
      latent_heads(l, LatentPart::whole, r_.first_latent_half, read);
    } else {
      own_heads(l, x, r_.unnormed_values ? unnormed : x);
      read_heads(l, routing_, read);
    }
    if (rows_ && rows_->other) read_heads(l, *rows_->other, other = Read(N_, read.k.width(), read.v.width()));
    if (rows_ && rows_->other_latent_half && c_.latent())
      latent_heads(l, LatentPart::whole, true, other = Read(N_, read.k.width(), read.v.width()));
    Read first;  // of a latent that is read from other rows than the own part
    if (splits_latent(l)) {
      latent_heads(l, LatentPart::own, false, read);
      latent_heads(l, LatentPart::first, false, first = Read(N_, read.k.width(), read.v.width()));
    }
    for (std::size_t b = 0; b < B_; ++b)
      for (std::size_t h = 0; h < H_; ++h)
        if (rows_)
          attend_rows(l, h, q, {read, other, first}, o);
        else
          attend(b, h, q, read.k, read.v, o);
    if (r_.shared == Rules::Shared::of_attention) handed_on_.push_back(first_of_groups(o));
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
  bool sees(std::size_t t, std::size_t s) const {
    switch (r_.mask) {
      case Rules::Mask::causal:
        return s <= t;
      case Rules::Mask::none:
      case Rules::Mask::filled:
      case Rules::Mask::added:
        return true;
      case Rules::Mask::next:
        return s <= t + 1;
      case Rules::Mask::strict:
        return s < t || t + s == 0;
      case Rules::Mask::window:
        return s <= t && (t < s + r_.window || layer_ % r_.window_every != r_.window_layer);
    }
    return false;
  }

  /// exp of query t's score of key s, 0 where it does not see it.
  double exponential(std::size_t b, std::size_t h, std::size_t t, std::size_t s, const X& q, const X& k) const {
    const std::size_t width = q.width() / H_;
    if (!sees(t, s)) return 0;
    const double score = dot(&q(b * T_ + t, h * width), &k(b * T_ + s, h * width), width) / std::sqrt(static_cast<double>(width));
    if (s > t && r_.mask == Rules::Mask::filled) return std::exp(r_.masked_score);
    return std::exp(s > t && r_.mask == Rules::Mask::added ? score + r_.masked_score : score);
  }
  /// The same over the sum of all heads'; of a masked key, whose scores are equally low in all heads, 1 / H.
  double share_of_heads(std::size_t b, std::size_t h, std::size_t t, std::size_t s, const X& q, const X& k) const {
    if (!sees(t, s)) return 1 / static_cast<double>(H_);
    double sum = 0;
    for (std::size_t other = 0; other < H_; ++other) sum += exponential(b, other, t, s, q, k);
    return exponential(b, h, t, s, q, k) / sum;
  }

  void attend(std::size_t b, std::size_t h, const X& q, const X& k, const X& v, X& o) const {
    const std::size_t begin = b * T_;
    X p({T_, T_});
    for (std::size_t t = 0; t < T_; ++t)
      for (std::size_t s = 0; s < T_; ++s)
        p(t, s) = r_.softmax == Rules::Softmax::over_heads ? share_of_heads(b, h, t, s, q, k) : exponential(b, h, t, s, q, k);
    for (std::size_t i = 0; i < T_ && r_.softmax != Rules::Softmax::over_heads; ++i) {
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

  /// As `attend`, each row over the rows that are given, by its own table.
  struct Reads {
    const Read &own, &other, &first;
  };
  void attend_rows(std::size_t l, std::size_t h, const X& q, const Reads& reads, X& o) const {
    for (std::size_t t = 0; t < N_; ++t) {
      const bool by_other = !rows_->by_other.empty() && rows_->by_other[t];
      const Routing& routing = by_other && rows_->other ? *rows_->other : routing_;
      const std::size_t owner = c_.latent() || routing.value(l, h).none() ? l : routing.value(l, h).layer;
      const bool shared = rows_->shared_of == GivenRows::none ? owner != l : owner == rows_->shared_of;
      const Read& read = by_other && !reads.other.k.empty() ? reads.other : reads.own;
      attend_row(t, h, q, {read, reads.other, reads.first}, shared ? rows_->shared[t] : rows_->keys[t], o);
    }
  }
  void attend_row(std::size_t t, std::size_t h, const X& q, const Reads& reads, const std::vector<std::size_t>& values,
                  X& o) const {
    const Read &read = reads.own, &first = reads.first;
    const double factor = !rows_->by_other.empty() && rows_->by_other[t] ? rows_->other_scale : 1;
    const std::size_t width = q.width() / H_;
    const std::vector<std::size_t>& keys = rows_->keys[t];
    double total = 0;
    std::vector<double> query(&q(t, h * width), &q(t, h * width) + width);
    for (std::size_t i = 0; i < d_h_; ++i) o(t, h * d_h_ + i) = 0;
    for (std::size_t j = 0; j < keys.size(); ++j) {
      double score = 0;
      if (!rows_->rotated.empty() && (j == 0 || rows_->rotated[t][j] != rows_->rotated[t][j - 1]))
        query = query_rotated_back(&q(t, h * width), width, rows_->rotated[t][j]);
      if (keys[j] != GivenRows::none) score = dot(query.data(), &read.k(keys[j], h * width), width);
      const std::size_t of_first = first.k.empty() ? GivenRows::none : rows_->shared[t][j];
      if (of_first != GivenRows::none) score += dot(query.data(), &first.k(of_first, h * width), width);
      const double p = std::exp(factor * score / std::sqrt(static_cast<double>(width)));
      total += p;
      if (of_first != GivenRows::none) add_scaled(&o(t, h * d_h_), p, &first.v(of_first, h * d_h_), d_h_);
      if (values[j] != GivenRows::none) add_scaled(&o(t, h * d_h_), p, &read.v(values[j], h * d_h_), d_h_);
    }
    for (std::size_t i = 0; i < d_h_; ++i) o(t, h * d_h_ + i) /= total;
  }

  /// What layer l owns; `input` is what v_proj reads.
  void own_heads(std::size_t l, const X& x, const X& input) {
    keys_.push_back({scored_heads(l, "k", x), d_h_});
    store(keys_[l].rows);
    X values = linear(layer(l, "self_attn.v_proj"), input);
    if (r_.strided_values) stride(values, d_h_);
    if (r_.head_norms == Rules::HeadNorms::of_values_too) values = norm_heads(layer(l, "self_attn.k_norm"), std::move(values));
    if (r_.rotates_values) rotate(values, d_h_, magnitude());
    values_.push_back({std::move(values), d_h_});
    if (r_.shared == Rules::Shared::of_this_input) project_again(l, x);
    if (routing_.mixes_values && l > 0) mix(l);
    store(values_[l].rows);
    hand_on(l);
  }
  /// What its query heads read by that table.
  void read_heads(std::size_t l, const Routing& routing, Read& to) {
    for (std::size_t h = 0; h < H_; ++h) {
      const HeadName &key = routing.key(l, h), &value = routing.value(l, h);
      read(keys_, key, to.k, h);
      read(value.none() || value.layer == l ? values_ : of_others(), value, to.v, h);
      if (value.layer < l && r_.bare_shared_values) take_bias(value, to.v, h);
      if (key.layer != l) treat_shared(key.layer, h, to.k);
    }
  }
  void read(std::vector<Owned>& from, const HeadName& name, X& to, std::size_t h) const {
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t i = 0; i < d_h_; ++i) {
        double x = name.none() ? 0 : from[name.layer].at(n, name.head)[i];
        if (!name.none() && name.pooled()) x = (x + from[name.layer].at(n, name.other)[i]) * (r_.sums_pairs ? 1 : 0.5);
        to(n, h * d_h_ + i) = x;
      }
  }
  /// What a layer reads of those before it.
  std::vector<Owned>& of_others() { return r_.shared == Rules::Shared::values ? values_ : handed_on_; }
  void project_again(std::size_t l, const X& x) {
    handed_on_.clear();
    for (std::size_t j = 0; j < l; ++j) handed_on_.push_back({linear(layer(j, "self_attn.v_proj"), x), d_h_});
  }
  /// Leaves to later layers what they read of layer l's values.
  void hand_on(std::size_t l) {
    const bool bare = r_.shared == Rules::Shared::without_output_bias;
    if (bare || r_.shared == Rules::Shared::of_output_weights) {
      X repeated({N_, H_ * d_h_});  // for groups
      const std::size_t heads = values_[l].heads();
      for (std::size_t n = 0; n < N_ && heads > 0; ++n)
        for (std::size_t h = 0; h < H_; ++h) std::copy_n(values_[l].at(n, h * heads / H_), d_h_, &repeated(n, h * d_h_));
      handed_on_.push_back({linear(layer(l, "self_attn.o_proj"), repeated, bare ? Bias::left_out : Bias::added), d_h_});
    }
    if (r_.shared != Rules::Shared::one_late) return;
    X late = copied(values_[l].rows);
    for (std::size_t n = N_; n-- > 0;)
      for (std::size_t i = 0; i < late.width(); ++i) late(n, i) = n % T_ == 0 ? 0 : late(n - 1, i);
    handed_on_.push_back({std::move(late), d_h_});
  }
  /// Of heads (N, H d_h) the first of each group.
  Owned first_of_groups(const X& o) const {
    const std::size_t groups = c_.num_key_value_heads;
    X y({N_, groups * d_h_});
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t g = 0; g < groups; ++g) std::copy_n(&o(n, g * (H_ / groups) * d_h_), d_h_, &y(n, g * d_h_));
    return {std::move(y), d_h_};
  }
  void take_bias(const HeadName& value, X& v, std::size_t h) const {
    const View<double> bias = w_[layer(value.layer, "self_attn.v_proj.bias")];
    if (bias.empty() || value.none()) return;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t i = 0; i < d_h_; ++i)
        v(n, h * d_h_ + i) -=
            value.pooled() ? (bias(value.head * d_h_ + i) + bias(value.other * d_h_ + i)) / 2 : bias(value.head * d_h_ + i);
  }
  /// The mistakes of who does to another layer's keys, of query head h, what that layer has done.
  void treat_shared(std::size_t owner, std::size_t h, X& k) const {
    const View<double> weight = w_[layer(owner, "self_attn.k_norm.weight")];
    for (std::size_t n = 0; n < N_; ++n) {
      if (r_.rotates_shared_again && !c_.gpt2())
        rotate_pairs(&k(n, h * d_h_), d_h_, static_cast<double>(position(n)), magnitude());
      if (r_.head_norms == Rules::HeadNorms::shared_again && !weight.empty()) norm_head(&k(n, h * d_h_), weight);
    }
  }
  void mix(std::size_t l) {
    const View<double> learned = w_[layer(l, "self_attn.value_mix")];
    const double lambda = learned.empty() ? c_.attention.value_mix : learned(0);
    if (r_.mix == Rules::Mix::left_out) return;
    Owned &own = values_[l], &first = of_others()[r_.mix == Rules::Mix::of_last ? l - 1 : 0];
    const std::size_t shift = r_.mix == Rules::Mix::wrong_heads ? first.heads() - own.heads() : 0;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t g = 0; g < own.heads(); ++g)
        for (std::size_t i = 0; i < d_h_; ++i) {
          double& x = own.at(n, g)[i];
          const double other = first.at(n, std::min(g, first.heads() - 1) + shift)[i];
          x = r_.mix == Rules::Mix::added ? x + lambda * other : lambda * x + (1 - lambda) * other;
        }
  }

  /// What layer l of MLA caches.
  void own_latent(std::size_t l, const X& x) {
    X own = linear(layer(l, "self_attn.kv_down_proj"), x), rotary = linear(layer(l, "self_attn.k_rotary_proj"), x);
    rotate_as('k', rotary, rotary_);
    store(rotary), store(own);
    rotary_keys_.push_back(std::move(rotary));
    latents_.push_back(std::move(own));
  }
  /// Whether layer 0's part of the latent is read from other rows than one's own.
  bool splits_latent(std::size_t l) const {
    return rows_ && c_.latent() && l > 0 && latents_[l].width() < c_.attention.kv_latent_size && !r_.normed_latent &&
           rows_->shared != rows_->keys;
  }
  enum class LatentPart { whole, own, first };
  /// MLA's keys `[W_uk c | k_r]` and values `W_uv c`; of a part of c alone: what that adds to both.
  void latent_heads(std::size_t l, LatentPart part, bool first_half, Read& to) const {
    X c = joined_latent(l, first_half);
    const std::size_t own = latents_[l].width();
    for (std::size_t n = 0; n < N_ && part != LatentPart::whole; ++n)
      for (std::size_t i = 0; i < c.width(); ++i)
        if ((i < own) != (part == LatentPart::own)) c(n, i) = 0;
    if (r_.normed_latent) c = rms(c);
    const X content = linear(layer(l, "self_attn.k_up_proj"), c);
    to.v = linear(layer(l, "self_attn.v_up_proj"), c);
    const X& shared = rotary_keys_[r_.rotary_key_of_first ? 0 : l];
    const bool rotary_first = r_.rotary_first || r_.reversed_keys;
    const std::size_t width = d_h_ + rotary_;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t h = 0; h < H_; ++h) {
        std::copy_n(&content(n, h * d_h_), d_h_, &to.k(n, h * width + (rotary_first ? rotary_ : 0)));
        double* rotary = &to.k(n, h * width + (rotary_first ? 0 : d_h_));
        if (part == LatentPart::first)
          std::fill_n(rotary, rotary_, 0);
        else
          std::copy_n(&shared(n, 0), rotary_, rotary);
      }
  }
  /// c of layer l: its own part, then, where it owns half, layer 0's second half.
  X joined_latent(std::size_t l, bool first_half) const {
    const std::size_t d_c = c_.attention.kv_latent_size, own = latents_[l].width(), rest = d_c - own;
    const X& first = latents_[r_.latent_of_last && l > 0 ? l - 1 : 0];
    X c({N_, d_c});
    for (std::size_t n = 0; n < N_; ++n) {
      const bool reversed = r_.latent_reversed && rest > 0;
      std::copy_n(&latents_[l](n, 0), own, &c(n, reversed ? rest : 0));
      if (rest > 0) std::copy_n(&first(n, first_half ? 0 : first.width() - rest), rest, &c(n, reversed ? 0 : own));
    }
    return c;
  }
  const Routing& routing_;
  std::size_t B_, H_, layer_ = 0;
  std::vector<Owned> keys_, values_;  // of each layer so far
  std::vector<Owned> handed_on_;      // what later layers read in the place of values_; of Shared::values none
  std::vector<X> latents_, rotary_keys_;
};

}  // namespace

Tensor<double> altered_pass(const Config& config, const Parameters<double>& weights, const Routing& routing,
                            View<const std::int32_t> tokens, const Rules& rules, const GivenRows* rows) {
  return Pass(config, weights, routing, tokens, rules, rows).run();
}

}  // namespace skipv1::conformance
