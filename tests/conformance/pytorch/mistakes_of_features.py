"""Mistakes in what only some models have: biases, norms of queries and keys, a width of heads of its own, kinds of frequencies."""
import math

import torch

from mistakes import MISTAKES
from mistakes import llama
from mistakes import mistake
from mistakes import mlp_bias
from mistakes import o_bias
from mistakes import own_head_dim
from mistakes import qk_norm
from mistakes import qkv_bias
from mistakes import rope_kind
from mistakes import several_pairs
from model import Model


def with_keys_bias(m):
    """Without rotation a key's bias adds the same to all scores of a query, which softmax does not see."""
    return llama(m) and qkv_bias(m)


def shares_keys(m):
    return m.variant in ("yoco", "skipv1_yoco", "cla", "skipkv1")


# ---------------------------------------------------------------------- biases
def bias_left_out(name, words, projection, applies):
    @mistake(name, words, applies)
    class _(Model):
        def bias(self, name):
            return None if name.endswith(projection) else super().bias(name)


bias_left_out("bias_of_queries_left_out", "queries have no bias", "q_proj", qkv_bias)
bias_left_out("bias_of_keys_left_out", "keys have no bias", "k_proj", with_keys_bias)
bias_left_out("bias_of_values_left_out", "values have no bias", "v_proj", qkv_bias)
bias_left_out("bias_of_output_left_out", "attention's output has no bias", "o_proj", o_bias)
bias_left_out("bias_of_gate_left_out", "gate_proj has no bias", "gate_proj", lambda m: llama(m) and mlp_bias(m))
bias_left_out("bias_of_up_left_out", "up_proj has no bias", "up_proj", mlp_bias)
bias_left_out("bias_of_down_left_out", "down_proj has no bias", "down_proj", mlp_bias)


@mistake("bias_after_rotation", "the biases of queries and keys are added after the rotation", with_keys_bias)
class _(Model):
    def bias(self, name):
        return None if name.endswith(("q_proj", "k_proj")) else super().bias(name)

    def project(self, l, x, name, width):
        self.layer = l
        return super().project(l, x, name, width)

    def add(self, x, name):
        return x + self.w[f"model.layers.{self.layer}.self_attn.{name}_proj.bias"].view(-1, self.d_h)

    def rotate_queries(self, q, positions):
        self.layer_of_queries = self.layer
        return self.add(super().rotate_queries(q, positions), "q")

    def rotate_keys(self, k, positions):
        return self.add(super().rotate_keys(k, positions), "k")


# ---------------------------------------------------------------------- norms of queries and keys
@mistake("qk_norm_left_out", "queries and keys do not go through their norms", qk_norm)
class _(Model):
    def norm_heads(self, l, x, name):
        return x


@mistake("qk_norm_of_queries_left_out", "queries do not go through their norm", qk_norm)
class _(Model):
    def norm_heads(self, l, x, name):
        return x if name == "q" else super().norm_heads(l, x, name)


@mistake("qk_norm_of_keys_left_out", "keys do not go through their norm", qk_norm)
class _(Model):
    def norm_heads(self, l, x, name):
        return x if name == "k" else super().norm_heads(l, x, name)


@mistake("qk_norm_of_all_heads", "one norm runs over all heads' dimensions at once", lambda m: qk_norm(m) and m.H > 1)
class _(Model):
    def norm_heads(self, l, x, name):
        if name == "v":
            return x
        wide = x.to(self.wide)
        weight = self.norm_weight(f"model.layers.{l}.self_attn.{name}_norm")
        return (wide * torch.rsqrt(wide.pow(2).mean((-2, -1), keepdim=True) + self.eps)).to(self.dtype) * weight


@mistake("qk_norm_by_length", "heads are divided by their length instead of the root of their mean square", qk_norm)
class _(Model):
    def norm_heads(self, l, x, name):
        if name == "v":
            return x
        length = x.to(self.wide).norm(dim=-1, keepdim=True)
        return (x / length).to(self.dtype) * self.norm_weight(f"model.layers.{l}.self_attn.{name}_norm")


@mistake("qk_norm_centred", "the norms of queries and keys subtract the mean", qk_norm)
class _(Model):
    def norm_heads(self, l, x, name):
        return x if name == "v" else super().norm_heads(l, x - x.mean(-1, keepdim=True), name)


@mistake("qk_norm_weight_left_out", "the norms of queries and keys do not multiply by their weights", qk_norm)
class _(Model):
    def norm_weight(self, name):
        weight = super().norm_weight(name)
        return torch.ones_like(weight) if name.endswith(("q_norm", "k_norm")) else weight


@mistake("qk_norm_weights_swapped", "queries are multiplied by the weight of the keys' norm and keys by that of the queries'", qk_norm)
class _(Model):
    def norm_weight(self, name):
        other = name.replace("q_norm", "k_norm") if name.endswith("q_norm") else name.replace("k_norm", "q_norm")
        return super().norm_weight(other if other + ".weight" in self.w else name)


@mistake("qk_norm_after_rotation", "queries and keys are normed after their rotation", qk_norm)
class _(Model):
    def project(self, l, x, name, width):
        self.layer = l
        return super().project(l, x, name, width)

    def norm_heads(self, l, x, name):
        return x

    def rotate_queries(self, q, positions):
        return super().norm_heads(self.layer, super().rotate_queries(q, positions), "q")

    def rotate_keys(self, k, positions):
        return super().norm_heads(self.layer, super().rotate_keys(k, positions), "k")


@mistake("qk_norm_of_values", "values go through the norm of the keys, too", qk_norm)
class _(Model):
    def project_values(self, l, x):
        v, name = super().project_values(l, x), f"model.layers.{l}.self_attn.k_norm"
        return v if v is None or name + ".weight" not in self.w else self.norm(v, name)


@mistake("qk_norm_shared_again", "a reading layer norms shared keys again", lambda m: qk_norm(m) and shares_keys(m))
class _(Model):
    def read(self, cache, name, l, g, reader):
        x = super().read(cache, name, l, g, reader)
        return self.norm(x, f"model.layers.{l}.self_attn.k_norm") if name == "k" and l != reader else x


# ---------------------------------------------------------------------- head_dim
@mistake("head_dim_scale", "scores are scaled by the width hidden_size / num_attention_heads instead of head_dim", own_head_dim)
class _(Model):
    def scale(self, width):
        return 1 / math.sqrt(width - self.d_h + self.hidden // self.H)


@mistake("head_dim_frequencies", "frequencies are those of the width hidden_size / num_attention_heads instead of head_dim",
         lambda m: own_head_dim(m) and not m.mla and several_pairs(m))
class _(Model):
    def plain_frequencies(self, width):
        return self.theta ** (-2 * torch.arange(width // 2, dtype=self.wide) / (self.hidden // self.H))


# ---------------------------------------------------------------------- kinds of frequencies
def of_angles(name, words, applies):
    """A mistake that changes frequencies or their magnitude alone: it applies where these are not the same in spite of it, as at some
    ends of yarn's ramp."""

    def changes(m):
        other, width = MISTAKES[name](m.config, m.w), m.d_r if m.mla else m.d_h
        same = torch.allclose(other.frequencies(width), m.frequencies(width), rtol=1e-9, atol=0)
        return not same or abs(other.magnitude() - m.magnitude()) > 1e-9

    return mistake(name, words, lambda m: applies(m) and changes(m))


def with_rope(name, words, change, applies):
    """A mistake that reads other numbers of rope_frequencies. `change(rope, model)`: those numbers."""

    @of_angles(name, words, applies)
    class _(Model):
        def __init__(self, config, weights):
            super().__init__(config, weights)
            self.rope = {**self.rope, **change(self.rope, self)}


scaled, blended = rope_kind("linear", "llama3", "yarn"), rope_kind("llama3", "yarn")
yarn, llama3 = rope_kind("yarn"), rope_kind("llama3")

with_rope("rope_kind_left_out", "rope_frequencies is not read: frequencies are plain", lambda rope, m: {"kind": "plain"}, scaled)
with_rope("rope_factor_reciprocal", "frequencies are multiplied by the factor instead of divided",
          lambda rope, m: {"factor": 1 / rope["factor"], "attention_factor": rope.get("attention_factor", 1)}, scaled)
with_rope("rope_original_is_longest", "max_position_embeddings is taken for original_max_position_embeddings",
          lambda rope, m: {"original_max_position_embeddings": m.config["max_position_embeddings"]},
          blended)
with_rope("llama3_standard", "low_freq_factor and high_freq_factor are 1 and 4, whatever the config says",
          lambda rope, m: {"low_freq_factor": 1, "high_freq_factor": 4},
          llama3)
with_rope("yarn_standard", "beta_fast and beta_slow are 32 and 1, whatever the config says",
          lambda rope, m: {"beta_fast": 32, "beta_slow": 1}, yarn)
with_rope("yarn_truncate", "the ends of yarn's ramp are rounded where they should not be, or not where they should",
          lambda rope, m: {"truncate": not rope.get("truncate", True)}, yarn)
with_rope("yarn_attention_factor_left_out", "cosines and sines are not multiplied by attention_factor",
          lambda rope, m: {"attention_factor": 1}, yarn)
with_rope("yarn_attention_factor_standard", "attention_factor is 0.1 ln(factor) + 1, whatever the config says",
          lambda rope, m: {"attention_factor": m.default_magnitude(rope["factor"])},
          yarn)


@mistake("yarn_attention_factor_of_queries", "queries alone are multiplied by attention_factor", lambda m: yarn(m) and m.magnitude() != 1)
class _(Model):
    def plain_rotation(self, k, positions):
        self.bare = True
        k = self.rotate(k, positions)
        self.bare = False
        return k

    rotate_keys = rotate_latent_key = plain_rotation
    bare = False

    def magnitude(self):
        return 1.0 if self.bare else super().magnitude()


@of_angles("rope_factor_of_all", "all frequencies are divided by the factor, as with kind linear", blended)
class _(Model):
    def blend(self, plain, kept):
        return plain / self.rope["factor"]


@of_angles("rope_blend_swapped", "the fast frequencies are divided by the factor instead of the slow ones", blended)
class _(Model):
    def blend(self, plain, kept):
        return super().blend(plain, 1 - kept)


@of_angles("rope_blend_of_wavelengths", "wavelengths are blended instead of frequencies", blended)
class _(Model):
    def blend(self, plain, kept):
        return plain / ((1 - kept) * self.rope["factor"] + kept)


@of_angles("rope_no_ramp", "there is no ramp: a frequency is kept where its share is a half or more, else divided", blended)
class _(Model):
    def blend(self, plain, kept):
        return super().blend(plain, (kept >= 0.5).to(plain.dtype))


@mistake("llama3_without_2pi", "turns within the original context are n f instead of n f / 2 pi", llama3)
class _(Model):
    def kept_llama3(self, plain, width):
        return super().kept_llama3(2 * math.pi * plain, width)


@mistake("rope_positions_rounded", "positions are divided by the factor and rounded down", rope_kind("linear"))
class _(Model):
    def angles(self, positions, width):
        return (positions / self.rope["factor"]).floor().to(self.wide)[:, None] * self.plain_frequencies(width)
