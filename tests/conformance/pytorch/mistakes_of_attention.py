"""Mistakes in attention, feed-forward, output head and loss."""
import math

import torch

from mistakes import gpt2
from mistakes import grouped
from mistakes import llama
from mistakes import mistake
from mistakes import qkv_bias
from mistakes import shares_values
from mistakes import tied
from mistakes import wider
from model import Model


# ---------------------------------------------------------------------- attention
@mistake("scale_left_out", "scores are not scaled", lambda m: m.mla or m.d_h > 1)
class _(Model):
    def scale(self, width):
        return 1


@mistake("scale_hidden", "scores are scaled by 1/sqrt(d) instead of 1/sqrt(d_h)", lambda m: m.H > 1 and m.hidden != m.d_h)
class _(Model):
    def scale(self, width):
        return 1 / math.sqrt(self.hidden)


@mistake("scale_twice", "queries and scores are both scaled", lambda m: m.mla or m.d_h > 1)
class _(Model):
    def scale(self, width):
        return 1 / width


@mistake("scale_by_layer", "scores of layer l are divided by l + 1, too")
class _(Model):
    def queries(self, l, x, positions):
        self.layer = l
        return super().queries(l, x, positions)

    def scale(self, width):
        return super().scale(width) / (self.layer + 1)


@mistake("mask_strict", "a query does not see its own key (the first sees only that)")
class _(Model):
    def visible(self, T, S):
        t = torch.arange(S - T, S)[:, None]
        return (torch.arange(S) < t) | ((t == 0) & (torch.arange(S) == 0))


@mistake("mask_next", "a query sees the next key")
class _(Model):
    def visible(self, T, S):
        return torch.arange(S) <= torch.arange(S - T, S)[:, None] + 1


@mistake("mask_left_out", "a query sees all keys")
class _(Model):
    def visible(self, T, S):
        return torch.ones(T, S, dtype=torch.bool)


@mistake("mask_window", "a sliding window: a query sees the last 3 keys alone, its own among them")
class _(Model):
    def visible(self, T, S):
        t, s = torch.arange(S - T, S)[:, None], torch.arange(S)
        return (s <= t) & (s > t - 3)


def window_in(name, words, layers, applies):
    """`layers(l)`: whether layer l has a window."""

    @mistake(name, words, applies)
    class _(Model):
        def queries(self, l, x, positions):
            self.windowed = layers(l)
            return super().queries(l, x, positions)

        def visible(self, T, S):
            t, s = torch.arange(S - T, S)[:, None], torch.arange(S)
            return (s <= t) & (s > t - 3) if self.windowed else super().visible(T, S)


window_in("mask_window_of_one", "a sliding window: a query sees the last 3 keys alone, its own among them, in layer 1 alone",
          lambda l: l == 1, lambda m: m.L > 1)
window_in("mask_window_of_even", "a sliding window: a query sees the last 3 keys alone, its own among them, in even layers alone",
          lambda l: l % 2 == 0, lambda m: m.L > 2)


@mistake("mask_unaligned", "with more keys than queries the causal mask is aligned top-left")
class _(Model):
    def visible(self, T, S):
        return torch.arange(S) <= torch.arange(T)[:, None]


def soft_mask(name, words, hide):
    """`hide(scores, hidden)`: the scores, where some are to be hidden."""

    @mistake(name, words)
    class _(Model):
        def attend(self, q, k, v):
            scores = torch.einsum("bthd,bshd->bhts", q, k) * self.scale(q.shape[-1])
            scores = hide(scores, ~self.visible(q.shape[1], k.shape[1]))
            return torch.einsum("bhts,bshd->bthd", self.softmax(scores), v)


soft_mask("mask_zero", "what the causal mask hides has score 0 instead of -inf", lambda x, hidden: x.masked_fill(hidden, 0))
soft_mask("mask_minus_ten", "what the causal mask hides has score -10 instead of -inf", lambda x, hidden: x.masked_fill(hidden, -10))
soft_mask("mask_adds_minus_ten", "the causal mask adds -10 to scores instead of -inf", lambda x, hidden: x - 10 * hidden.to(x.dtype))


@mistake("softmax_over_heads", "the softmax runs over heads instead of keys", lambda m: m.H > 1)
class _(Model):
    def softmax(self, scores):
        finite = scores.to(self.wide).clamp(min=-1e30)  # of a masked key, of which all heads have the same, 1 / H
        return torch.softmax(finite, 1).to(self.dtype)


@mistake("softmax_over_queries", "the softmax runs over queries instead of keys")
class _(Model):
    def softmax(self, scores):
        return torch.softmax(scores.to(self.wide), -2).to(self.dtype)


@mistake("softmax_plus_one", "the softmax's denominator has one more, as with a sink")
class _(Model):
    def softmax(self, scores):
        zero = scores.new_zeros(*scores.shape[:-1], 1)
        return super().softmax(torch.cat((scores, zero), -1))[..., :-1]


@mistake("softmax_bf16", "probabilities are rounded to bfloat16", dtypes=wider)
class _(Model):
    def softmax(self, scores):
        return super().softmax(scores).bfloat16().to(self.dtype)


@mistake("groups_in_turn", "query head h reads group h mod H_kv (repeat for repeat_interleave)", grouped)
class _(Model):
    def group(self, h):
        return h % self.H_kv


class Strided(Model):
    """While `strided`, the width of heads side by side is split as (d_h, H)."""
    strided = False

    def split_heads(self, x, width):
        if not self.strided:
            return super().split_heads(x, width)
        return x.reshape(*x.shape[:2], width, -1).transpose(-1, -2)


@mistake("queries_strided", "the queries' width is split as (d_h, H) instead of (H, d_h)",
         lambda m: m.H > 1 and (m.mla or m.d_h > 1))
class _(Strided):
    def queries(self, l, x, positions):
        self.strided = True
        q = super().queries(l, x, positions)
        self.strided = False
        return q


def several_heads(m):
    return not m.mla and m.H > 1 and m.d_h > 1


@mistake("heads_strided", "queries, keys and values are split as (d_h, H) instead of (H, d_h)", several_heads)
class _(Strided):
    strided = True


def strided(name, words, projections):
    @mistake(name, words, lambda m: several_heads(m) and m.H_kv > 1)
    class _(Strided):
        def project(self, l, x, name, width):
            self.strided = name in projections
            heads = super().project(l, x, name, width)
            self.strided = False
            return heads


strided("keys_and_values_strided", "keys and values are split as (d_h, H) instead of (H, d_h)", "kv")
strided("keys_strided", "keys are split as (d_h, H) instead of (H, d_h)", "k")
strided("values_strided", "values are split as (d_h, H) instead of (H, d_h)", "v")


@mistake("values_unnormed", "values are computed from the norm's input instead of its output", lambda m: not m.mla)
class _(Model):
    def block(self, l, x, positions, cache):
        self.unnormed = x
        return super().block(l, x, positions, cache)

    def project_values(self, l, x):
        return super().project_values(l, self.unnormed)


@mistake("heads_not_transposed", "(B, H, T, d_h) is merged to (B, T, H d_h) without transposing", lambda m: m.H > 1)
class _(Model):
    def merge_heads(self, x):
        return x.transpose(1, 2).reshape(*x.shape[:2], -1)


@mistake("bias_of_shared_left_out", "shared values are handed on before their bias is added",
         lambda m: qkv_bias(m) and shares_values(m))
class _(Model):
    def read(self, cache, name, l, g, reader):
        x = super().read(cache, name, l, g, reader)
        if name == "k" or l == reader:
            return x
        return x - self.w[f"model.layers.{l}.self_attn.v_proj.bias"].view(-1, self.d_h)[g]


# ---------------------------------------------------------------------- feed-forward, output head, loss
@mistake("gelu_erf", "GELU by erf instead of tanh", gpt2)
class _(Model):
    def gelu(self, x):
        return torch.nn.functional.gelu(x)


@mistake("gelu_square", "the feed-forward's function is GELU by tanh with x^2 in the place of x^3", gpt2)
class _(Model):
    def gelu(self, x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**2)))


@mistake("gelu_quick", "GELU as x sigmoid(1.702 x)", gpt2)
class _(Model):
    def gelu(self, x):
        return x * torch.sigmoid(1.702 * x)


@mistake("swiglu_swapped", "silu is taken of up instead of gate", llama)
class _(Model):
    def gate(self, gate, up):
        return super().gate(up, gate)


@mistake("swiglu_gelu", "the gate's function is GELU", llama)
class _(Model):
    def gate(self, gate, up):
        return torch.nn.functional.gelu(gate) * up


@mistake("swiglu_sigmoid", "the gate's function is the sigmoid", llama)
class _(Model):
    def gate(self, gate, up):
        return torch.sigmoid(gate) * up


@mistake("head_not_tied", "the tied head is a copy: its gradient does not reach the embedding", tied)
class _(Model):
    def head_weight(self):
        return super().head_weight().detach()


@mistake("head_tied", "the embedding is the output head though the config has another", lambda m: not tied(m))
class _(Model):
    def head_weight(self):
        return self.w["model.embed_tokens.weight"]


@mistake("head_reshaped", "the output head's matrix (V, d) is reshaped to (d, V) instead of transposed")
class _(Model):
    def output_head(self, x):
        return x @ self.head_weight().reshape(self.hidden, -1)


@mistake("head_scaled", "logits of a tied head are scaled by 1/sqrt(d)", tied)
class _(Model):
    def output_head(self, x):
        return super().output_head(x / math.sqrt(self.hidden))


@mistake("head_counted_twice", "a tied head counts as parameters of its own", tied)
class _(Model):
    def parameters(self):
        return super().parameters() + self.head_weight().numel()


@mistake("loss_shifted", "targets are shifted once more")
class _(Model):
    def loss(self, logits, targets):
        return super().loss(logits[:, :-1], targets[:, 1:])


class WithTokens(Model):
    """Its loss may read the tokens."""

    def forward(self, tokens, *args):
        self.tokens = tokens
        return super().forward(tokens, *args)


@mistake("loss_of_tokens", "the tokens themselves are the targets")
class _(WithTokens):
    def loss(self, logits, targets):
        return super().loss(logits, self.tokens)


@mistake("loss_of_next_tokens", "the next tokens are the targets")
class _(WithTokens):
    def loss(self, logits, targets):
        return super().loss(logits[:, :-1], self.tokens[:, 1:])


@mistake("loss_last_class", "target -1 is taken as the last class")
class _(Model):
    def loss(self, logits, targets):
        return super().loss(logits, targets % logits.shape[-1])


@mistake("loss_smoothed", "the loss has a label smoothing of 0.1")
class _(Model):
    def loss(self, logits, targets):
        flat, t = logits.reshape(-1, logits.shape[-1]).to(self.wide), targets.reshape(-1)
        return torch.nn.functional.cross_entropy(flat, t, ignore_index=-1, label_smoothing=0.1)


@mistake("loss_over_all", "the loss is divided by all targets, ignored ones included")
class _(Model):
    def loss(self, logits, targets):
        return super().loss(logits, targets) * (targets >= 0).to(self.wide).mean()


@mistake("loss_ignores_nothing", "target -1 is taken as class 0")
class _(Model):
    def loss(self, logits, targets):
        return super().loss(logits, targets.clamp(min=0))


@mistake("loss_summed", "the loss is the sum over targets")
class _(Model):
    def loss(self, logits, targets):
        return super().loss(logits, targets) * (targets >= 0).sum()


@mistake("loss_of_sequences", "the loss is the mean of the sequences' means",
         lambda m: len(set((m.case.targets >= 0).sum(1).tolist())) > 1)
class _(Model):
    def loss(self, logits, targets):
        return sum(Model.loss(self, x, t) for x, t in zip(logits, targets)) / len(logits)
