// From a trained model with full or grouped heads to SkipV1Former: its starting point for uptraining (docs/spec/models.md,
// "Uptraining").
//
// With `H_kv < H` everything runs over the `H_kv` groups: a group's value head with the `n = H / H_kv` column blocks of W_O that
// belong to its query heads, so that a value head and the blocks that read it move together.
#pragma once

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "skipv1/core/linear_algebra.hpp"
#include "skipv1/core/blas.hpp"
#include "skipv1/model/parameters.hpp"

namespace skipv1 {

/// How the value heads of a layer become half as many.
enum class Strategy { mean_v, mean_vo, top_v, top_vo, svd };
inline constexpr Strategy strategies[] = {Strategy::mean_v, Strategy::mean_vo, Strategy::top_v, Strategy::top_vo, Strategy::svd};

inline const char* to_string(Strategy strategy) {
  constexpr const char* names[] = {"mean_v", "mean_vo", "top_v", "top_vo", "svd"};
  return names[static_cast<std::size_t>(strategy)];
}
/// The strategy called `name`; throws if there is none.
inline Strategy parse_strategy(const std::string& name) {
  for (const Strategy strategy : strategies)
    if (name == to_string(strategy)) return strategy;
  fail("strategy \"", name, "\" is unknown; known are mean_v, mean_vo, top_v, top_vo, svd");
}

/// The SkipV1Former (ratio 1/2, source layer 0) that a model of `config` becomes. Throws unless that is `mha` or `gqa` with two
/// layers at least and an even number of key/value heads: pairs of them become one.
inline Config converted_config(Config config) {
  validate(config);
  const std::string& variant = config.attention.variant;
  require(variant == "mha" || variant == "gqa", "conversion to skipv1: variant is ", variant, ": must be mha or gqa");
  require(config.num_hidden_layers >= 2,
          "conversion to skipv1: num_hidden_layers is 1: must be at least 2, only the layers after the "
          "first read its values");
  require(config.num_key_value_heads % 2 == 0, "conversion to skipv1: num_key_value_heads is ", config.num_key_value_heads,
          ": must be even, half of the value heads are skipped");
  config.attention = {};
  config.attention.variant = "skipv1";
  return config;
}

namespace detail {

/// The conversion of one layer's values and output projection. G groups, each `w` columns of W_O wide.
template <class T>
class LayerConversion {
 public:
  LayerConversion(const Config& config, const Parameters<T>& from, const Parameters<T>& to, std::size_t layer)
      : groups_(config.num_key_value_heads), queries_(config.num_attention_heads / groups_), head_(config.head_width()) {
    const std::string attention = "model.layers." + std::to_string(layer) + ".self_attn.";
    value_ = from[attention + "v_proj.weight"], bias_ = from[attention + "v_proj.bias"],
    output_ = from[attention + "o_proj.weight"];
    new_value_ = to[attention + "v_proj.weight"], new_bias_ = to[attention + "v_proj.bias"],
    new_output_ = to[attention + "o_proj.weight"];
  }

  void run(Strategy strategy) const {
    switch (strategy) {
      case Strategy::mean_v:
        return mean_values();
      case Strategy::mean_vo:
        return mean_values(), mean_outputs();
      case Strategy::top_v:
        return pick_values();
      case Strategy::top_vo:
        return pick_values(), pick_outputs();
      case Strategy::svd:
        return factorize();
    }
  }

 private:
  std::size_t own() const { return groups_ / 2; }
  std::size_t block() const { return queries_ * head_; }  ///< columns of W_O that read one value head
  /// Rows of value head g in x (G d_h, …), as one row: a weight's or a bias's.
  static View<T> rows_of(View<T> x, std::size_t g, std::size_t heads) { return x.reshape({heads, x.size() / heads}).slice(g, 1); }
  T& output(View<T> x, std::size_t row, std::size_t g, std::size_t i) const { return x(row, g * block() + i); }

  void mean_values() const {
    for (const auto& [to, from] : {std::pair{new_value_, value_}, std::pair{new_bias_, bias_}}) {
      if (from.empty()) continue;
      for (std::size_t j = 0; j < own(); ++j) {
        const View<T> mean = rows_of(to, j, own()), a = rows_of(from, 2 * j, groups_), b = rows_of(from, 2 * j + 1, groups_);
        for (std::size_t i = 0; i < mean.size(); ++i) mean.data()[i] = (a.data()[i] + b.data()[i]) / T(2);
      }
    }
  }
  void mean_outputs() const {
    zero(new_output_);
    for (std::size_t row = 0; row < output_.extent(0); ++row)
      for (std::size_t j = 0; j < own(); ++j)
        for (std::size_t i = 0; i < block(); ++i)
          output(new_output_, row, j, i) = (output(output_, row, 2 * j, i) + output(output_, row, 2 * j + 1, i)) / T(2);
  }

  /// The groups of the `own()` largest norms, of equal ones the first, in their old order.
  std::vector<std::size_t> largest(const std::vector<double>& squares) const {
    std::vector<std::size_t> order(groups_);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return squares[a] > squares[b]; });
    order.resize(own());
    std::sort(order.begin(), order.end());
    return order;
  }
  static double square(T x) { return static_cast<double>(x) * static_cast<double>(x); }

  void pick_values() const {
    std::vector<double> squares(groups_, 0);
    for (std::size_t g = 0; g < groups_; ++g) {
      const View<T> head = rows_of(value_, g, groups_);
      for (std::size_t i = 0; i < head.size(); ++i) squares[g] += square(head.data()[i]);
    }
    const std::vector<std::size_t> chosen = largest(squares);
    for (const auto& [to, from] : {std::pair{new_value_, value_}, std::pair{new_bias_, bias_}}) {
      if (from.empty()) continue;
      for (std::size_t j = 0; j < own(); ++j) copy(rows_of(to, j, own()), rows_of(from, chosen[j], groups_));
    }
  }
  void pick_outputs() const {
    std::vector<double> squares(groups_, 0);
    for (std::size_t row = 0; row < output_.extent(0); ++row)
      for (std::size_t g = 0; g < groups_; ++g)
        for (std::size_t i = 0; i < block(); ++i) squares[g] += square(output(output_, row, g, i));
    const std::vector<std::size_t> chosen = largest(squares);
    zero(new_output_);
    for (std::size_t row = 0; row < output_.extent(0); ++row)
      for (std::size_t j = 0; j < own(); ++j)
        for (std::size_t i = 0; i < block(); ++i) output(new_output_, row, j, i) = output(output_, row, chosen[j], i);
  }

  /// W_O (d, G d_h) in double, the blocks that read one value head added up: what they make of it where their attention is equal.
  Tensor<double> folded_output() const {
    Tensor<double> folded = zeros<double>({output_.extent(0), groups_ * head_});
    for (std::size_t row = 0; row < output_.extent(0); ++row)
      for (std::size_t g = 0; g < groups_; ++g)
        for (std::size_t i = 0; i < block(); ++i)
          folded(row, g * head_ + i % head_) += static_cast<double>(output(output_, row, g, i));
    return folded;
  }

  /// `W_O W_V ~ left right` of rank `r = own d_h` by the largest singular values, each factor with their roots; in double. The n
  /// blocks that read one value head share its part of the left factor.
  void factorize() const {
    const std::size_t d = value_.extent(1), rank = own() * head_;
    const Tensor<double> outputs = folded_output();
    const Tensor<double> values = in_double(value_);
    const Tensor<double> product({d, d});
    parallel_gemm(Transpose::no, Transpose::no, d, d, groups_ * head_, 1.0, outputs.data(), groups_ * head_, values.data(), d,
                  0.0, product.data(), d);
    const auto [u_t, s, v_t] = singular_values(product);
    zero(new_output_);
    for (std::size_t k = 0; k < rank; ++k) {
      const double root = std::sqrt(s[k]);
      for (std::size_t i = 0; i < d; ++i) new_value_(k, i) = static_cast<T>(root * v_t(k, i));
      for (std::size_t row = 0; row < d; ++row)
        for (std::size_t q = 0; q < queries_; ++q)
          output(new_output_, row, k / head_, q * head_ + k % head_) =
              static_cast<T>(root * u_t(k, row) / static_cast<double>(queries_));
    }
    if (bias_.empty()) return;
    // pinv(left) = diag(s^-1/2) u^T, without the singular values that are zero but for rounding.
    const double smallest = static_cast<double>(d) * std::numeric_limits<double>::epsilon() * s[0];
    for (std::size_t k = 0; k < rank; ++k) {
      double sum = 0;
      for (std::size_t row = 0; row < d; ++row)
        for (std::size_t i = 0; i < groups_ * head_; ++i) sum += u_t(k, row) * outputs(row, i) * static_cast<double>(bias_(i));
      new_bias_(k) = s[k] > smallest ? static_cast<T>(sum / std::sqrt(s[k])) : T(0);
    }
  }
  static Tensor<double> in_double(View<T> x) {
    Tensor<double> y(x.shape());
    std::copy_n(x.data(), x.size(), y.data());
    return y;
  }

  std::size_t groups_, queries_, head_;
  View<T> value_, bias_, output_, new_value_, new_bias_, new_output_;
};

}  // namespace detail

/// The parameters of `converted_config(config)` made of those of a trained model: layer 0 and everything but `v_proj` and, for
/// some strategies, `o_proj.weight` stay as they are. Throws as `converted_config`, and if `from` is not of `config`.
template <class T>
Parameters<T> convert(const Config& config, const Parameters<T>& from, Strategy strategy) {
  Parameters<T> to(converted_config(config));
  for (const ParameterLayout::Entry& entry : to.layout().entries()) {
    const View<T> old = from[entry.name];
    require(!old.empty(), "conversion to skipv1: tensor \"", entry.name, "\" is missing");
    if (old.shape() == entry.shape) copy(to[entry.name], old);
  }
  require_layout("conversion to skipv1", from.layout(), ParameterLayout(config));
  // Layers, not what is inside them: a decomposition's rounds are too short to wake threads for.
  parallel_for(config.num_hidden_layers - 1,
               [&](std::size_t l) { detail::LayerConversion<T>(config, from, to, l + 1).run(strategy); });
  return to;
}

}  // namespace skipv1

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template Parameters<float> convert(const Config&, const Parameters<float>&, Strategy);
extern template Parameters<double> convert(const Config&, const Parameters<double>&, Strategy);
}  // namespace skipv1
#endif
