// A forward pass whose rules can be changed one by one: what a decoder computes whose author got one of them wrong.
#pragma once

#include <cmath>

#include "skipv1/conformance/case.hpp"

namespace skipv1::conformance {

/// The rules of a pass; as they stand here they are those of docs/spec/models.md.
struct Rules {
  /// filled: what is masked has `masked_score`; added: that is added to its score.
  enum class Mask { causal, none, next, strict, filled, added, window } mask = Mask::causal;
  double masked_score = 0;
  std::size_t window = 0;                          ///< the newest keys that a query sees, its own among them …
  std::size_t window_layer = 0, window_every = 1;  ///< … in the layers l with l mod window_every = window_layer
  enum class Softmax { over_keys, over_queries, over_heads, with_one_more } softmax = Softmax::over_keys;
  enum class Order { before, after, parallel, parallel_of_one, normed_residual } norms = Order::before;
  enum class Inner {
    tanh_gelu,
    squared_gelu,  ///< x^2 in the place of tanh_gelu's x^3
    erf_gelu,
    quick_gelu,
    sigmoid,
    silu,
    relu
  } inner = Inner::tanh_gelu;  ///< llama starts from silu
  enum class Mix { right, left_out, added, of_last, wrong_heads } mix = Mix::right;
  /// What layers that read another's values find there.
  enum class Shared {
    values,
    of_this_input,        ///< that layer's v_proj, applied to the reading layer's input
    of_output_weights,    ///< its values behind its o_proj
    without_output_bias,  ///< the same without o_proj's bias
    of_attention,         ///< its attention before o_proj
    one_late              ///< its values one position earlier, zeros at the first
  } shared = Shared::values;
  enum class Depth { right, reversed, of_averages, last_left_out, added, without_embedding } depth = Depth::right;
  // Rotation.
  bool rotates_queries = true, rotates_keys = true, rotates_values = false, rotates_shared_again = false;
  bool rotates_queries_twice = false, rotates_keys_twice = false;
  bool reversed_frequencies = false, whole_width = false, half_width = false, frequencies_of_hidden = false;
  bool neighbours_of_queries = false, neighbours_of_keys = false;  ///< rotary pairs are (2i, 2i + 1)
  bool floored_positions = false;  ///< linear: positions are divided by the factor and rounded down
  bool magnifies_keys = true;      ///< yarn: by attention_factor
  /// The ramp of yarn, and the shares of yarn's and llama3's.
  enum class Ramp {
    right,
    start_not_raised,
    end_not_lowered,
    end_of_pairs,
    both_clamped,
    nearest,
    not_raised_to_0,
    not_lowered_to_1
  } ramp = Ramp::right;
  enum class Blend { right, all_divided, swapped, of_wavelengths, stepped, without_two_pi } blend = Blend::right;
  double position_sign = 1, exponent = 2, first_position = 0;
  bool positions = true;  ///< whether gpt2's are embedded
  // Norms.
  bool epsilon_outside = false, unbiased = false, sums_squares = false;
  bool flipped_mean = false;    ///< LayerNorm without the mean, RMSNorm with it
  bool final_embedding = true;  ///< whether the embedding is in what the final norm reads
  bool swapped_norms = false, final_norm = true, norms_queries = true, norms_keys = true;
  enum class HeadNorms {
    right,
    of_all_heads,
    by_length,
    centred,
    after_rotation,
    of_values_too,
    shared_again
  } head_norms = HeadNorms::right;  ///< of queries and keys
  // Elsewhere.
  double embedding_scale = 1, logits_scale = 1;
  bool sums_pairs = false;                                                     ///< pooled heads are added instead of averaged
  bool strided_queries = false, strided_keys = false, strided_values = false;  ///< heads are split as (d_h, H)
  bool unnormed_values = false;                                                ///< values are computed from the norm's input
  bool untransposed_heads = false;                                             ///< (B, H, T, d_h) is taken for (B, T, H d_h)
  bool tied_head = false;           ///< the embedding is the head, whatever the configuration says
  bool reshaped_head = false;       ///< the head (V, d) is reshaped to (d, V) instead of transposed
  bool bare_shared_values = false;  ///< shared values are handed on without their bias
  bool biased_after_rotation = false;
  bool rotary_key_of_first = false, rotary_first = false, reversed_keys = false, normed_latent = false, latent_of_last = false,
       latent_reversed = false, first_latent_half = false;  ///< MLA
  // Rounded to bfloat16.
  enum class Cached { exact, bfloat16, float16 } cached = Cached::exact;  ///< what keys and values are rounded to
  bool rounds_frequencies = false, rounds_angles = false, rounds_tables = false, rounds_probabilities = false;
};

/// The feed-forward's function.
inline double inner_function(Rules::Inner kind, double x) {
  switch (kind) {
    case Rules::Inner::tanh_gelu:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Rules::Inner::squared_gelu:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x)));
    case Rules::Inner::erf_gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Rules::Inner::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Rules::Inner::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Rules::Inner::silu:
      return x / (1 + std::exp(-x));
    case Rules::Inner::relu:
      return std::max(x, 0.0);
  }
  fail("no such function");
}

/// Rows that need not be one sequence: what each has for its position, and which rows it reads. So a decoder's steps are one
/// pass, right or wrong.
struct GivenRows {
  struct Rotation {
    /// Further positions by which a key is rotated, and how often yarn's factor comes with that; negative: less than it is.
    std::ptrdiff_t by = 0;
    int times = 0;
    friend bool operator==(const Rotation&, const Rotation&) = default;
  };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);  ///< zeros: a key whose score is 0, a value that adds nothing
  std::vector<std::size_t> positions;                                ///< (N)
  std::vector<std::vector<std::size_t>> keys;                        ///< (N): the rows whose keys and own layer's values are read
  std::vector<std::vector<std::size_t>> shared;                      ///< (N): beside them, the rows of other layers' values
  std::vector<std::vector<Rotation>> rotated;                        ///< (N), beside `keys`; empty where none is rotated again
  const Routing* other = nullptr;  ///< beside the pass's own table another one, which owns the same heads …
  bool other_latent_half = false;  ///< … or the first half of layer 0's latent …
  double other_scale = 1;          ///< … or scores so many times as large …
  std::vector<bool> by_other;      ///< (N): … and the rows that read by it; empty where none does
  std::size_t shared_of = none;    ///< if it is a layer: the values of that one are read there, by itself, too, and no others
  friend bool operator==(const GivenRows&, const GivenRows&) = default;
};

/// Logits (B, T, V) of the case's tokens, in plain loops and float64. `routing` may read any heads that are owned. With `rows`
/// tokens are (1, N).
Tensor<double> altered_pass(const Config& config, const Parameters<double>& weights, const Routing& routing,
                            View<const std::int32_t> tokens, const Rules& rules, const GivenRows* rows = nullptr);

}  // namespace skipv1::conformance
