// The parts of an altered pass that see each row alone: projections, norms, feed-forward and rotation, with rules that can be
// changed.
#pragma once

#include <cmath>
#include <limits>

#include "skipv1/conformance/altered_pass.hpp"
#include "skipv1/conformance/altered_ramp.hpp"
#include "skipv1/core/bfloat16.hpp"
#include "skipv1/ops/linear.hpp"

namespace skipv1::conformance {

/// Row n of every matrix is one token at its position.
class AlteredRows {
 public:
  using X = Tensor<double>;

 protected:
  AlteredRows(const Config& config, const Parameters<double>& weights, View<const std::int32_t> tokens, const Rules& rules,
              const GivenRows* rows)
      : c_(config),
        w_(weights),
        tokens_(tokens),
        r_(rules),
        rows_(rows),
        T_(tokens.extent(1)),
        N_(tokens.extent(0) * T_),
        d_h_(c_.head_width()),
        rotary_(c_.latent() ? c_.attention.rotary_size : d_h_) {}

  /// What is left of numbers that a cache of 16 bits keeps.
  void store(X& rows) const {
    for (std::size_t i = 0; i < rows.size() && r_.cached != Rules::Cached::exact; ++i) {
      double& x = rows.data()[i];
      x = r_.cached == Rules::Cached::bfloat16 ? rounded(true, x) : half_rounded(x);
    }
  }
  /// To float16: 11 bits from 2^-14 on, below it multiples of 2^-24, ties to even; infinite from 65520 on.
  static double half_rounded(double wide) {
    const double x = static_cast<float>(wide);  // as a cast of a float does
    int exponent = 0;
    std::frexp(x, &exponent);
    const int shift = std::min(11 - exponent, 24);
    const double y = std::ldexp(std::nearbyint(std::ldexp(x, shift)), -shift);
    return std::abs(y) < 65536 ? y : std::copysign(std::numeric_limits<double>::infinity(), x);
  }
  static double rounded(bool narrow, double x) { return narrow ? static_cast<double>(bfloat16(x)) : x; }
  static X copied(View<const double> x) {
    X y(x.shape());
    std::copy_n(x.data(), x.size(), y.data());
    return y;
  }
  /// The numbers of `head` (V, d) as (d, V), transposed.
  static X reshaped(const View<double>& head) {
    X y(head.shape());
    for (std::size_t v = 0; v < y.extent(0); ++v)
      for (std::size_t i = 0; i < y.width(); ++i) y(v, i) = head.data()[i * y.extent(0) + v];
    return y;
  }
  static void add(X& x, const X& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += y.data()[i];
  }
  static double dot(const double* x, const double* y, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += x[i] * y[i];
    return sum;
  }
  static void add_scaled(double* y, double p, const double* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] += p * x[i];
  }
  std::string layer(std::size_t l, const char* part) const { return "model.layers." + std::to_string(l) + "." + part; }
  std::size_t position(std::size_t n) const { return rows_ ? rows_->positions[n] : n % T_; }

  enum class Bias { added, left_out };
  X linear(const std::string& name, const X& x, Bias bias = Bias::added) const {
    const View<double> w = w_[name + ".weight"];
    if (w.empty()) return X({N_, 0});
    X y({N_, w.extent(0)});
    linear_forward<double>(y, x, w, bias == Bias::added ? w_[name + ".bias"] : View<double>());
    return y;
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

  /// The norm of x (d) into `y`, which may be x.
  void norm_vector(const double* x, double* y, std::size_t d, View<const double> weight, View<const double> bias,
                   bool centred) const {
    const double width = static_cast<double>(d), count = r_.sums_squares ? 1 : r_.unbiased ? width - 1 : width;
    double mean = 0, square = 0;
    for (std::size_t i = 0; centred && i < d; ++i) mean += x[i] / width;
    for (std::size_t i = 0; i < d; ++i) square += (x[i] - mean) * (x[i] - mean) / count;
    const double root = r_.epsilon_outside ? std::sqrt(square) + c_.norm_epsilon : std::sqrt(square + c_.norm_epsilon);
    for (std::size_t i = 0; i < d; ++i)
      y[i] = (x[i] - mean) / root * (weight.empty() ? 1 : weight(i)) + (bias.empty() ? 0 : bias(i));
  }

  X norm(std::string name, const X& x) const {
    if (r_.swapped_norms) {
      const std::size_t first = name.find("input_layernorm"), second = name.find("post_attention_layernorm");
      if (first != name.npos) name.replace(first, name.npos, "post_attention_layernorm");
      if (second != name.npos) name.replace(second, name.npos, "input_layernorm");
    }
    X y(x.shape());
    for (std::size_t n = 0; n < N_; ++n)
      norm_vector(&x(n, 0), &y(n, 0), x.width(), w_[name + ".weight"], w_[name + ".bias"], c_.gpt2() != r_.flipped_mean);
    return y;
  }

  /// RMSNorm without weights.
  X rms(const X& x) const {
    X y(x.shape());
    for (std::size_t n = 0; n < N_; ++n) {
      double square = 0;
      for (std::size_t i = 0; i < x.width(); ++i) square += x(n, i) * x(n, i) / static_cast<double>(x.width());
      for (std::size_t i = 0; i < x.width(); ++i) y(n, i) = x(n, i) / std::sqrt(square + c_.norm_epsilon);
    }
    return y;
  }

  /// Each head of x (N, columns) through the norm called `name`, if there is one.
  X norm_heads(const std::string& name, X x) const {
    const View<double> weight = w_[name + ".weight"];
    if (weight.empty() || x.width() == 0) return x;
    if (r_.head_norms == Rules::HeadNorms::of_all_heads) {
      x = rms(x);
      for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] *= weight(i % weight.size());
      return x;
    }
    for (std::size_t at = 0; at < x.size(); at += weight.size()) norm_head(x.data() + at, weight);
    return x;
  }
  void norm_head(double* head, View<const double> weight) const {
    const std::size_t d = weight.size();
    if (r_.head_norms != Rules::HeadNorms::by_length) {
      norm_vector(head, head, d, weight, {}, r_.flipped_mean || r_.head_norms == Rules::HeadNorms::centred);
      return;
    }
    double square = 0;
    for (std::size_t i = 0; i < d; ++i) square += head[i] * head[i];
    for (std::size_t i = 0; i < d; ++i) head[i] *= weight(i) / std::sqrt(square);
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

  /// Angle per position of pair k of a head's `width` rotated entries.
  double frequency(std::size_t k, std::size_t width) const {
    const std::size_t base = r_.frequencies_of_hidden ? c_.hidden_size / c_.num_attention_heads : width;
    const double plain = std::pow(c_.rope_theta, -r_.exponent * static_cast<double>(k) / static_cast<double>(base));
    if (r_.floored_positions) return plain;
    const RopeScaling& s = c_.rope_frequencies;
    const auto scaled = [&](double f) { return scaled_frequency(s, f, c_.rope_theta, k, width); };
    const bool right = r_.blend == Rules::Blend::right && r_.ramp == Rules::Ramp::right;
    if (s.kind == RopeKind::plain || s.factor == 1 || right) return scaled(plain);
    const double slow = 1 / s.factor;
    const auto kept = [&](double f) { return (scaled(f) / f - slow) / (1 - slow); };  // the share that is not divided
    const auto blended = [&](double share) { return (1 - share) * plain * slow + share * plain; };
    if (r_.ramp != Rules::Ramp::right) return blended(altered_share(s, r_.ramp, plain, c_.rope_theta, k, width));
    switch (r_.blend) {
      case Rules::Blend::all_divided:
        return plain * slow;
      case Rules::Blend::swapped:
        return blended(1 - kept(plain));
      case Rules::Blend::of_wavelengths:
        return plain / ((1 - kept(plain)) * s.factor + kept(plain));
      case Rules::Blend::stepped:
        return kept(plain) > 0.5 - 1e-9 ? plain : plain * slow;
      default:
        return blended(kept(2 * std::acos(-1.0) * plain));
    }
  }

  /// Rotates every head's last (with `rotary_first` first) entries, at the positions of their rows.
  void rotate(X& rows, std::size_t width, double magnitude, bool neighbours = false) const {
    if (c_.gpt2() || rows.width() == 0) return;  // a layer may own no head
    std::size_t part = std::min(rotary_, width), begin = r_.rotary_first && c_.latent() ? 0 : width - part;
    if (r_.whole_width && !c_.latent()) width = part = rows.width();
    if (r_.half_width) part = part / 4 * 2;
    for (std::size_t n = 0; n < N_; ++n)
      for (std::size_t at = begin; at + part <= rows.width(); at += width)
        rotate_pairs(&rows(n, at), part, static_cast<double>(position(n)), magnitude, neighbours);
  }
  double magnitude() const { return c_.rope_frequencies.attention_factor; }
  /// `p` times the frequencies; cosines and sines are multiplied by `magnitude`. Pairs are halves, or `neighbours`.
  void rotate_pairs(double* x, std::size_t width, double position, double magnitude, bool neighbours = false) const {
    const std::size_t half = width / 2;
    for (std::size_t i = 0; i < half; ++i) {
      double p = r_.position_sign * (position + r_.first_position);
      if (r_.floored_positions) p = std::floor(p / c_.rope_frequencies.factor);
      const double f = rounded(r_.rounds_frequencies, frequency(r_.reversed_frequencies ? half - 1 - i : i, width));
      p = rounded(r_.rounds_angles, rounded(r_.rounds_angles, p) * f);
      const std::size_t first = neighbours ? 2 * i : i, second = neighbours ? 2 * i + 1 : half + i;
      const double a = x[first], b = x[second], cos = rounded(r_.rounds_tables, magnitude * std::cos(p)),
                   sin = rounded(r_.rounds_tables, magnitude * std::sin(p));
      x[first] = a * cos - b * sin;
      x[second] = b * cos + a * sin;
    }
  }

  /// A key that is rotated further scores as the query rotated back does.
  std::vector<double> query_rotated_back(const double* q, std::size_t width, const GivenRows::Rotation& rotation) const {
    std::vector<double> query(q, q + width);
    if ((rotation.by == 0 && rotation.times == 0) || c_.gpt2()) return query;
    double* part = query.data() + width - rotary_;
    rotate_pairs(part, rotary_, -static_cast<double>(rotation.by), std::pow(magnitude(), static_cast<double>(rotation.times)));
    return query;
  }
  /// Takes rows that are heads of `width` for (width, heads).
  void stride(X& rows, std::size_t width) const {
    const std::size_t heads = rows.width() / width;
    for (std::size_t n = 0; n < N_ && heads > 0; ++n) {
      const std::vector<double> row(&rows(n, 0), &rows(n, 0) + rows.width());
      for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t i = 0; i < width; ++i) rows(n, h * width + i) = row[i * heads + h];
    }
  }

  const Config& c_;
  const Parameters<double>& w_;
  View<const std::int32_t> tokens_;
  const Rules& r_;
  const GivenRows* rows_;
  std::size_t T_, N_, d_h_, rotary_;
};

}  // namespace skipv1::conformance
