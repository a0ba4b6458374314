"""What people get wrong, each as the model with one method replaced. A mistake names the cases that it applies to: elsewhere it
computes the same numbers."""
import math

import torch

from model import Model

MISTAKES = {}  # name -> class

# What skipv1-check does not name: what the whole pass's logits, loss and counts do not show; arithmetic in bfloat16, whose every
# rounding would have to be the same; and numbers that are not finite.
UNNAMED = {"positions_restart", "mask_unaligned", "cache_forgets", "head_not_tied", "shared_detached", "norm_bf16", "softmax_bf16",
           "yarn_ramp_of_nothing"}


def mistake(name, words, applies=lambda m: True, dtypes=("f64", "f32", "bf16")):
    """Registers a class. `applies(m)`: whether it changes results of the unmistaken model `m`, whose case is `m.case`.
    `dtypes`: where it is a mistake; rounding to bfloat16 is none in bfloat16."""

    def add(kind):
        assert name not in MISTAKES
        kind.name, kind.words, kind.applies, kind.dtypes = name, words, staticmethod(applies), dtypes
        MISTAKES[name] = kind
        return kind

    return add


wider = ("f64", "f32")


# ---------------------------------------------------------------------- facts of a case, for `applies`
def llama(m):
    return m.llama


def gpt2(m):
    return not m.llama


def several_pairs(m):
    """More than one rotary pair: with one, frequencies and layouts coincide."""
    return m.llama and (m.d_r if m.mla else m.d_h) >= 4


def grouped(m):
    return 1 < m.H_kv < m.H and not m.mla


def skipped(m):
    return m.H_kv - m.own_heads() if m.skips else 0


def reuses(m):
    """Own value heads beside heads of the source layer."""
    return m.skips and m.variant != "skipv0" and 0 < skipped(m)


def by_place(m):
    """`reuses`, slot g reading head g."""
    return reuses(m) and m.injection in ("second_half", "resformer")


def mixes(m):
    return m.variant == "resformer" or m.injection == "resformer"


def learned(m):
    return bool(m.config["attention"].get("learn_value_mix"))


def shares_values(m):
    return reuses(m) or m.variant in ("svformer", "yoco", "yoco_v", "cla", "cla_v")


def qkv_bias(m):
    return gpt2(m) or m.config.get("qkv_bias", False)


def o_bias(m):
    return gpt2(m) or m.config.get("o_bias", False)


def mlp_bias(m):
    return gpt2(m) or m.config.get("mlp_bias", False)


def qk_norm(m):
    return m.config.get("qk_norm", False)


def own_head_dim(m):
    return m.hidden // m.H != m.d_h


def rope_kind(*names):
    return lambda m: m.rope["kind"] in names


def tied(m):
    return not m.llama or m.config["tie_word_embeddings"]


def is_variant(*names):
    return lambda m: m.variant in names


def has_injection(name):
    return lambda m: m.injection == name


# ---------------------------------------------------------------------- positions and tokens
@mistake("positions_restart", "each chunk's positions start at 0")
class _(Model):
    def positions(self, start, count):
        return torch.arange(count)


def positions_from(name, words, first):
    @mistake(name, words, gpt2)
    class _(Model):
        def positions(self, start, count):
            return torch.arange(start + first, start + count + first)


positions_from("positions_from_one", "the first position is 1", 1)
positions_from("positions_from_two", "the first position is 2", 2)


@mistake("positions_left_out", "no position embedding", gpt2)
class _(Model):
    def embed(self, tokens, positions):
        return self.embedding(tokens)


def moved_tokens(name, words, move):
    @mistake(name, words)
    class _(Model):
        def forward(self, tokens, *args):
            return super().forward(move(tokens), *args)


moved_tokens("tokens_rolled", "each position reads the token before its own, the first one the last", lambda x: x.roll(1, 1))
moved_tokens("tokens_rolled_back", "each position reads the next token, the last one the first", lambda x: x.roll(-1, 1))
moved_tokens("tokens_shifted", "each position reads the token before its own, the first one token 0",
             lambda x: torch.nn.functional.pad(x[:, :-1], (1, 0)))


@mistake("embedding_scaled", "embeddings are multiplied by sqrt(d)")
class _(Model):
    def embedding(self, tokens):
        return super().embedding(tokens) * math.sqrt(self.hidden)


# ---------------------------------------------------------------------- norms and the residual stream
@mistake("eps_1e-6", "the norms' epsilon is 1e-6, whatever the config says")
class _(Model):
    def __init__(self, *args):
        super().__init__(*args)
        self.eps = 1e-6


@mistake("eps_1e-5", "the norms' epsilon is 1e-5, whatever the config says", lambda m: m.eps != 1e-5)
class _(Model):
    def __init__(self, *args):
        super().__init__(*args)
        self.eps = 1e-5


@mistake("eps_outside", "epsilon is added to the root instead of under it")
class _(Model):
    def inverse_deviation(self, x):
        return 1 / (x.pow(2).mean(-1, keepdim=True).sqrt() + self.eps)


@mistake("norm_unbiased", "the variance is divided by d - 1", gpt2)
class _(Model):
    def inverse_deviation(self, x):
        return torch.rsqrt(x.pow(2).sum(-1, keepdim=True) / (x.shape[-1] - 1) + self.eps)


@mistake("norm_sum", "norms divide by the root of the sum of squares instead of their mean")
class _(Model):
    def inverse_deviation(self, x):
        return torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + self.eps)


@mistake("norm_bias_left_out", "the norms' biases are left out", gpt2)
class _(Model):
    def norm(self, x, name):
        x = x.to(self.wide)
        x = x - x.mean(-1, keepdim=True)
        return (x * self.inverse_deviation(x)).to(self.dtype) * self.norm_weight(name)


@mistake("norm_uncentred", "LayerNorm does not subtract the mean", gpt2)
class _(Model):
    def norm(self, x, name):
        x = x.to(self.wide)
        return (x * self.inverse_deviation(x)).to(self.dtype) * self.norm_weight(name) + self.w[name + ".bias"]


@mistake("norm_centred", "RMSNorm subtracts the mean", llama)
class _(Model):
    def norm(self, x, name):
        return super().norm(x - x.mean(-1, keepdim=True), name)


@mistake("norm_weight_plus_one", "norms multiply by 1 + weight")
class _(Model):
    def norm_weight(self, name):
        return 1 + super().norm_weight(name)


def norm_weight_left_out(name, words, part):
    @mistake(name, words)
    class _(Model):
        def norm_weight(self, name):
            weight = super().norm_weight(name)
            return torch.ones_like(weight) if name.endswith(part) else weight


norm_weight_left_out("norm_weight_left_out", "norms do not multiply by their weight", "norm")
norm_weight_left_out("norm_weight_of_last_left_out", "the final norm does not multiply by its weight", "model.norm")
norm_weight_left_out("norm_weight_of_first_left_out", "a block's first norm does not multiply by its weight", "input_layernorm")
norm_weight_left_out("norm_weight_of_second_left_out", "a block's second norm does not multiply by its weight",
                     "post_attention_layernorm")


@mistake("norm_bf16", "norms are computed in bfloat16", dtypes=wider)
class _(Model):
    def norm(self, x, name):
        return super().norm(x.bfloat16(), name)


@mistake("norm_final_left_out", "no norm before the output head")
class _(Model):
    def final_norm(self, x):
        return x


@mistake("residual_without_embedding", "what the final norm reads lacks the embedding")
class _(Model):
    def embed(self, tokens, positions):
        self.embedded = super().embed(tokens, positions)
        return self.embedded

    def final_norm(self, x):
        return super().final_norm(x - self.embedded)


@mistake("norms_swapped", "a block's two norms are swapped")
class _(Model):
    def norm(self, x, name):
        if name.endswith("layernorm"):
            layer = name.rsplit(".", 1)[0]
            name = layer + (".post_attention_layernorm" if name.endswith("input_layernorm") else ".input_layernorm")
        return super().norm(x, name)


@mistake("norm_after", "norms follow the residual addition instead of preceding attention and feed-forward")
class _(Model):
    def block(self, l, x, positions, cache):
        x = self.norm(x + self.attention(l, x, positions, cache), f"model.layers.{l}.input_layernorm")
        return self.norm(x + self.feed_forward(l, x), f"model.layers.{l}.post_attention_layernorm")


@mistake("block_parallel", "the feed-forward reads the block's input instead of what attention left")
class _(Model):
    def block(self, l, x, positions, cache):
        a = self.attention(l, self.norm(x, f"model.layers.{l}.input_layernorm"), positions, cache)
        return x + a + self.feed_forward(l, self.norm(x, f"model.layers.{l}.post_attention_layernorm"))


@mistake("residual_normed", "the residual is the norm's output instead of its input")
class _(Model):
    def block(self, l, x, positions, cache):
        y = self.norm(x, f"model.layers.{l}.input_layernorm")
        x = y + self.attention(l, y, positions, cache)
        return x + self.feed_forward(l, self.norm(x, f"model.layers.{l}.post_attention_layernorm"))
