#include <cmath>

#include "skipv1/conformance/mistake_lists.hpp"

namespace skipv1::conformance {

namespace {

class List {
 public:
  explicit List(const Config& config) { right_.inner = config.gpt2() ? Rules::Inner::tanh_gelu : Rules::Inner::silu; }
  template <class Change>
  void add(const std::string& words, const Change& change) {
    all_.push_back({words, right_});
    change(all_.back().rules);
  }
  std::vector<RuleMistake> take() { return std::move(all_); }

 private:
  Rules right_;
  std::vector<RuleMistake> all_;
};

/// Rounded to bfloat16 at one place or several.
void add_narrow_rotation(List& list) {
  const auto add = [&](const std::string& words, bool frequencies, bool angles) {
    for (const bool tables : {false, true})
      list.add(words + (tables ? ", and so are cosines and sines" : ""),
               [=](Rules& r) { r.rounds_frequencies = frequencies, r.rounds_angles = angles, r.rounds_tables = tables; });
  };
  add("angles are computed in bfloat16", true, true);
  add("angles are rounded to bfloat16", false, true);
  add("rotary frequencies are rounded to bfloat16", true, false);
  list.add("cosines and sines are kept in bfloat16", [](Rules& r) { r.rounds_tables = true; });
}

void add_rotation(List& list) {
  list.add("keys are not rotated", [](Rules& r) { r.rotates_keys = false; });
  list.add("queries are not rotated", [](Rules& r) { r.rotates_queries = false; });
  list.add("neither queries nor keys are rotated", [](Rules& r) { r.rotates_queries = r.rotates_keys = false; });
  list.add("keys are rotated twice, as where they are cached and again where they are read",
           [](Rules& r) { r.rotates_keys_twice = true; });
  list.add("queries are rotated twice", [](Rules& r) { r.rotates_queries_twice = true; });
  list.add("queries and keys are rotated twice", [](Rules& r) { r.rotates_queries_twice = r.rotates_keys_twice = true; });
  list.add("values are rotated, too", [](Rules& r) { r.rotates_values = true; });
  list.add("a reading layer rotates shared keys again", [](Rules& r) { r.rotates_shared_again = true; });
  list.add("the rotation runs backwards: by -p", [](Rules& r) { r.position_sign = -1; });
  list.add("frequencies are theta^(-i / w) instead of theta^(-2i / w)", [](Rules& r) { r.exponent = 1; });
  list.add("the slowest rotary pair comes first", [](Rules& r) { r.reversed_frequencies = true; });
  list.add("the rotation runs over all heads' dimensions at once", [](Rules& r) { r.whole_width = true; });
  list.add("only the first half of each head is rotated", [](Rules& r) { r.half_width = true; });
  list.add("rotary pairs are neighbours (2i, 2i+1) instead of halves (i, i + d/2)",
           [](Rules& r) { r.neighbours_of_queries = r.neighbours_of_keys = true; });
  list.add("rotary pairs of queries alone are neighbours (2i, 2i+1) instead of halves (i, i + d/2)",
           [](Rules& r) { r.neighbours_of_queries = true; });
  list.add("rotary pairs of keys alone are neighbours (2i, 2i+1) instead of halves (i, i + d/2)",
           [](Rules& r) { r.neighbours_of_keys = true; });
  add_narrow_rotation(list);
  list.add("position embeddings are left out", [](Rules& r) { r.positions = false; });
}

/// In all layers, in one alone, and in every other one.
void add_windows(List& list, const std::vector<std::size_t>& windows, std::size_t layers) {
  for (const std::size_t window : windows) {
    const auto add = [&](const std::string& where, std::size_t layer, std::size_t every) {
      list.add(words_of_window(window) + where, [=](Rules& r) {
        r.mask = Rules::Mask::window, r.window = window, r.window_layer = layer, r.window_every = every;
      });
    };
    add("", 0, 1);
    for (std::size_t l = 0; l < layers && layers > 1; ++l) add(", in layer " + std::to_string(l) + " alone", l, layers);
    if (layers > 2) add(", in even layers alone", 0, 2);
    if (layers > 3) add(", in odd layers alone", 1, 2);
  }
}

/// Masks that leave a little of what they should hide; of -100 nothing is left.
void add_soft_masks(List& list) {
  list.add("what the causal mask hides has score 0 instead of -inf", [](Rules& r) { r.mask = Rules::Mask::filled; });
  for (const int score : {-1, -10, -20}) {
    list.add("what the causal mask hides has score " + std::to_string(score) + " instead of -inf",
             [=](Rules& r) { r.mask = Rules::Mask::filled, r.masked_score = score; });
    list.add("the causal mask adds " + std::to_string(score) + " to scores instead of -inf",
             [=](Rules& r) { r.mask = Rules::Mask::added, r.masked_score = score; });
  }
}

void add_attention(List& list) {
  list.add("there is no causal mask: every query sees all keys", [](Rules& r) { r.mask = Rules::Mask::none; });
  list.add("a query sees the next key, too", [](Rules& r) { r.mask = Rules::Mask::next; });
  list.add("a query does not see its own key", [](Rules& r) { r.mask = Rules::Mask::strict; });
  add_soft_masks(list);
  list.add("the softmax runs over heads instead of keys", [](Rules& r) { r.softmax = Rules::Softmax::over_heads; });
  list.add("the softmax runs over queries instead of keys", [](Rules& r) { r.softmax = Rules::Softmax::over_queries; });
  list.add("the softmax's denominator has one more, as with a sink", [](Rules& r) { r.softmax = Rules::Softmax::with_one_more; });
  list.add("probabilities are rounded to bfloat16", [](Rules& r) { r.rounds_probabilities = true; });
  list.add("queries are split as (d_h, H) instead of (H, d_h)", [](Rules& r) { r.strided_queries = true; });
  list.add("queries, keys and values are split as (d_h, H) instead of (H, d_h)",
           [](Rules& r) { r.strided_queries = r.strided_keys = r.strided_values = true; });
  list.add("keys and values are split as (d_h, H) instead of (H, d_h)",
           [](Rules& r) { r.strided_keys = r.strided_values = true; });
  list.add("keys are split as (d_h, H) instead of (H, d_h)", [](Rules& r) { r.strided_keys = true; });
  list.add("values are split as (d_h, H) instead of (H, d_h)", [](Rules& r) { r.strided_values = true; });
  list.add("values are computed from the norm's input instead of its output", [](Rules& r) { r.unnormed_values = true; });
  list.add("attention's heads (B, H, T, d_h) are merged to (B, T, H d_h) without transposing",
           [](Rules& r) { r.untransposed_heads = true; });
  list.add("shared values are handed on before their bias is added", [](Rules& r) { r.bare_shared_values = true; });
  list.add("pooled heads are added instead of averaged", [](Rules& r) { r.sums_pairs = true; });
  list.add("own values are not mixed with the first layer's", [](Rules& r) { r.mix = Rules::Mix::left_out; });
  list.add("the first layer's values are added: V + lambda V_0", [](Rules& r) { r.mix = Rules::Mix::added; });
  list.add("values are mixed with those of the layer before instead of the first's",
           [](Rules& r) { r.mix = Rules::Mix::of_last; });
  list.add("own values are mixed with layer 0's last heads", [](Rules& r) { r.mix = Rules::Mix::wrong_heads; });
}

/// What layers find in the place of another layer's values.
void add_shared(List& list, const Config& config) {
  using Shared = Rules::Shared;
  const auto add = [&](const char* words, Shared shared) { list.add(words, [=](Rules& r) { r.shared = shared; }); };
  add("shared values are their layer's v_proj of the reading layer's input", Shared::of_this_input);
  add("shared values are one position late", Shared::one_late);
  add("a layer hands on its attention's output, before o_proj, instead of its values", Shared::of_attention);
  if (config.hidden_size != config.num_attention_heads * config.head_width()) return;
  const bool biased = config.gpt2() || config.o_bias;
  add("shared values have gone through their layer's o_proj", Shared::of_output_weights);
  if (biased) add("shared values have gone through their layer's o_proj, without its bias", Shared::without_output_bias);
}

void add_head_norms(List& list) {
  using Norms = Rules::HeadNorms;
  list.add("queries and keys do not go through their norms", [](Rules& r) { r.norms_queries = r.norms_keys = false; });
  list.add("queries do not go through their norm", [](Rules& r) { r.norms_queries = false; });
  list.add("keys do not go through their norm", [](Rules& r) { r.norms_keys = false; });
  list.add("one norm of queries, and one of keys, runs over all heads' dimensions at once",
           [](Rules& r) { r.head_norms = Norms::of_all_heads; });
  list.add("queries and keys are divided by their length instead of the root of their mean square",
           [](Rules& r) { r.head_norms = Norms::by_length; });
  list.add("the norms of queries and keys subtract the mean", [](Rules& r) { r.head_norms = Norms::centred; });
  list.add("queries and keys are normed after their rotation", [](Rules& r) { r.head_norms = Norms::after_rotation; });
  list.add("values go through the norm of the keys, too", [](Rules& r) { r.head_norms = Norms::of_values_too; });
  list.add("a reading layer norms shared keys again", [](Rules& r) { r.head_norms = Norms::shared_again; });
}

/// The ends of yarn's ramp, and the shares of both kinds that have one.
void add_ramps(List& list, RopeKind kind) {
  using Ramp = Rules::Ramp;
  const auto add = [&](const char* words, Ramp ramp) { list.add(words, [=](Rules& r) { r.ramp = ramp; }); };
  add("shares of the ramp of frequencies are not raised to 0", Ramp::not_raised_to_0);
  add("shares of the ramp of frequencies are not lowered to 1", Ramp::not_lowered_to_1);
  if (kind != RopeKind::yarn) return;
  add("the start of yarn's ramp is not raised to 0", Ramp::start_not_raised);
  add("the end of yarn's ramp is not lowered to w - 1", Ramp::end_not_lowered);
  add("the end of yarn's ramp is lowered to w / 2 - 1 instead of w - 1", Ramp::end_of_pairs);
  add("both ends of yarn's ramp are raised to 0 and lowered to w - 1", Ramp::both_clamped);
  add("the ends of yarn's ramp are rounded to the nearest integers", Ramp::nearest);
}

void add_rope_kinds(List& list, RopeKind kind) {
  using Blend = Rules::Blend;
  if (kind == RopeKind::linear)
    list.add("positions are divided by the factor and rounded down", [](Rules& r) { r.floored_positions = true; });
  if (kind == RopeKind::linear) return;
  list.add("all frequencies are divided by the factor, as with kind linear", [](Rules& r) { r.blend = Blend::all_divided; });
  list.add("the fast frequencies are divided by the factor instead of the slow ones", [](Rules& r) { r.blend = Blend::swapped; });
  list.add("wavelengths are blended instead of frequencies", [](Rules& r) { r.blend = Blend::of_wavelengths; });
  add_ramps(list, kind);
  list.add("there is no ramp: each frequency is kept or divided", [](Rules& r) { r.blend = Blend::stepped; });
  if (kind == RopeKind::llama3)
    list.add("turns within the original context are n f instead of n f / 2 pi",
             [](Rules& r) { r.blend = Blend::without_two_pi; });
  if (kind == RopeKind::yarn)
    list.add("queries alone are multiplied by yarn's attention_factor", [](Rules& r) { r.magnifies_keys = false; });
}

void add_latent(List& list) {
  list.add("a query head and its key are laid out [rotary, content]", [](Rules& r) { r.rotary_first = true; });
  list.add("keys are laid out [rotary, content], queries [content, rotary]", [](Rules& r) { r.reversed_keys = true; });
  list.add("the latent is normalised", [](Rules& r) { r.normed_latent = true; });
  list.add("all layers read layer 0's rotary key", [](Rules& r) { r.rotary_key_of_first = true; });
  list.add("the first half of layer 0's latent is reused instead of the second", [](Rules& r) { r.first_latent_half = true; });
  list.add("the reused half of the latent stands before the own half", [](Rules& r) { r.latent_reversed = true; });
  list.add("the latent of the layer before is reused instead of layer 0's", [](Rules& r) { r.latent_of_last = true; });
}

void add_norms(List& list) {
  list.add("epsilon is added to the root instead of under it", [](Rules& r) { r.epsilon_outside = true; });
  list.add("the variance is divided by d - 1", [](Rules& r) { r.unbiased = true; });
  list.add("norms divide by the root of the sum of squares instead of their mean", [](Rules& r) { r.sums_squares = true; });
  list.add("LayerNorm does not subtract the mean, or RMSNorm does", [](Rules& r) { r.flipped_mean = true; });
  list.add("what the final norm reads lacks the embedding", [](Rules& r) { r.final_embedding = false; });
  list.add("a block's two norms are swapped", [](Rules& r) { r.swapped_norms = true; });
  list.add("there is no norm before the output head", [](Rules& r) { r.final_norm = false; });
  list.add("norms follow the residual addition instead of preceding attention and feed-forward",
           [](Rules& r) { r.norms = Rules::Order::after; });
  list.add("the feed-forward reads the block's input instead of what attention left",
           [](Rules& r) { r.norms = Rules::Order::parallel; });
  list.add("the feed-forward reads what attention reads: the block's input through the first norm",
           [](Rules& r) { r.norms = Rules::Order::parallel_of_one; });
  list.add("the residual is the norm's output instead of its input", [](Rules& r) { r.norms = Rules::Order::normed_residual; });
}

void add_rest(List& list, const Config& config) {
  const double root = std::sqrt(static_cast<double>(config.hidden_size));
  list.add("the feed-forward's function is GELU by erf", [](Rules& r) { r.inner = Rules::Inner::erf_gelu; });
  list.add("the feed-forward's function is GELU by tanh", [](Rules& r) { r.inner = Rules::Inner::tanh_gelu; });
  list.add("the feed-forward's function is GELU by tanh with x^2 in the place of x^3",
           [](Rules& r) { r.inner = Rules::Inner::squared_gelu; });
  list.add("the feed-forward's function is x sigmoid(1.702 x)", [](Rules& r) { r.inner = Rules::Inner::quick_gelu; });
  list.add("the feed-forward's function is the sigmoid", [](Rules& r) { r.inner = Rules::Inner::sigmoid; });
  list.add("the feed-forward's function is silu", [](Rules& r) { r.inner = Rules::Inner::silu; });
  list.add("the feed-forward's function is relu", [](Rules& r) { r.inner = Rules::Inner::relu; });
  list.add("embeddings are multiplied by sqrt(d)", [&](Rules& r) { r.embedding_scale = root; });
  list.add("logits are divided by sqrt(d)", [&](Rules& r) { r.logits_scale = 1 / root; });
  list.add("the output head's matrix (V, d) is reshaped to (d, V) instead of transposed",
           [](Rules& r) { r.reshaped_head = true; });
  list.add("the embedding is the output head though the configuration has another", [](Rules& r) { r.tied_head = true; });
  list.add("a row of depth weights is read backwards", [](Rules& r) { r.depth = Rules::Depth::reversed; });
  list.add("the average over depth runs over averages instead of raw block outputs",
           [](Rules& r) { r.depth = Rules::Depth::of_averages; });
  list.add("the final norm reads the last block's output instead of the average",
           [](Rules& r) { r.depth = Rules::Depth::last_left_out; });
  list.add("the average over depth is added to the block's output", [](Rules& r) { r.depth = Rules::Depth::added; });
  list.add("the average over depth leaves the embedding out", [](Rules& r) { r.depth = Rules::Depth::without_embedding; });
}

}  // namespace

std::string words_of_window(std::size_t keys) {
  const std::string seen =
      keys == 1 ? "its own key alone" : "the last " + std::to_string(keys) + " keys alone, its own among them";
  return "a sliding window: a query sees " + seen;
}

std::vector<std::size_t> windows_up_to(std::size_t first) {
  std::vector<std::size_t> windows;
  for (std::size_t window = first; window > 0 && windows.size() < 4; --window) windows.push_back(window);
  return windows;
}

std::vector<RuleMistake> rule_mistakes(const Config& config, const std::vector<std::size_t>& windows) {
  List list(config);
  add_rotation(list);
  add_attention(list);
  add_windows(list, windows, config.num_hidden_layers);
  if (config.latent())
    add_latent(list);
  else
    add_shared(list, config);
  if (config.qk_norm) add_head_norms(list);
  list.add("keys and values are rounded to bfloat16 as they are cached", [](Rules& r) { r.cached = Rules::Cached::bfloat16; });
  list.add("keys and values are rounded to float16 as they are cached", [](Rules& r) { r.cached = Rules::Cached::float16; });
  if (config.rope_frequencies.kind != RopeKind::plain) add_rope_kinds(list, config.rope_frequencies.kind);
  if (config.qkv_bias)
    list.add("the biases of queries and keys are added after the rotation", [](Rules& r) { r.biased_after_rotation = true; });
  if (config.head_dim && !config.latent())
    list.add("frequencies are those of the width hidden_size / num_attention_heads instead of head_dim",
             [](Rules& r) { r.frequencies_of_hidden = true; });
  add_norms(list);
  add_rest(list, config);
  return list.take();
}

}  // namespace skipv1::conformance
