"""Mistakes of the usual engine: one batch over slots that are never cleared. All sequences pass a layer before any passes the next, so that
a slot holds what was written last, of whatever sequence and however long ago."""
import math

import numpy as np
import torch

from decoding import Sequences
from mistakes import shares_values
from mistakes_of_decoding import mistake
from mistakes_of_steps import WORDS
from model import Model
from run import to_numpy


def plain(m):
    return m.variant not in ("denseformer", "resformer") and m.injection != "resformer"


def by_latent(m):
    return m.variant == "skipv1_mla"


class Batch(Sequences):
    """`model` is an `Engine`."""

    def __init__(self, model, batch):
        super().__init__(model, batch)
        model.memory, model.batch = [{} for _ in range(model.L)], batch

    def run(self, steps):
        for step in steps:
            counts = [len(tokens) for tokens in step["tokens"]]
            with torch.no_grad():
                rows = self.model.step(step["keep"], step["tokens"])
            held = sum(keep + count for keep, count in zip(step["keep"], counts))
            widths = sum(math.prod(x.shape[2:]) for layer in self.model.memory for x in layer.values())
            yield to_numpy(torch.cat([x for x in rows if len(x)])), held * widths


class Engine(Model):
    held_by = Batch

    # ------------------------------------------------------------------ what mistakes replace
    def positions_from(self, b):
        """Of the first new token of sequence b, of which `self.keep[b]` positions are kept."""
        return self.keep[b]

    def slot_from(self, b):
        return self.keep[b]

    def sees(self, b):
        """(T, S): which slots each new token sees."""
        return torch.arange(self.room) <= self.keep[b] + torch.arange(self.counts[b])[:, None]

    def ordered(self, rows):
        return rows

    def stored(self, x):
        return x

    def source_rows(self, x, b):
        """What layers read of another layer's memory x (B, S, …) for sequence b."""
        return x[b:b + 1]

    # ------------------------------------------------------------------ a step of the batch
    def step(self, keep, tokens):
        self.keep, self.counts = keep, [len(x) for x in tokens]
        self.room, self.trace = 4 * self.config["max_position_embeddings"], {}
        self.begin()
        active = [b for b in range(self.batch) if self.counts[b]]
        last = self.config["max_position_embeddings"]
        starts = {b: min(self.positions_from(b), last - self.counts[b]) for b in active}
        positions = {b: torch.arange(starts[b], starts[b] + self.counts[b]) for b in active}
        x = {b: self.embed(torch.tensor([tokens[b]]), positions[b]) for b in active}
        for l in range(self.L):
            layer = f"model.layers.{l}."
            normed = {b: self.norm(x[b], layer + "input_layernorm") for b in active}
            for b in active:
                self.write(l, b, normed[b], positions[b])
            for b in active:
                y = x[b] + self.attention_of(l, b, normed[b], positions[b])
                x[b] = y + self.feed_forward(l, self.norm(y, layer + "post_attention_layernorm"))
        logits = [self.output_head(self.final_norm(x[b]))[0] if b in x else torch.zeros(0) for b in range(self.batch)]
        return self.ordered(logits)

    def begin(self):
        pass

    def write(self, l, b, x, positions):
        new, slot = self.latents(l, x, positions, None) if self.mla else self.own(l, x, positions, None), self.slot_from(b)
        for name, y in new.items():
            memory = self.memory[l].setdefault(name, y.new_zeros(self.batch, self.room, *y.shape[2:]))
            memory[b, slot:slot + y.shape[1]] = self.stored(y[0])

    def attention_of(self, l, b, x, positions):
        self.sequence, q = b, self.queries(l, x, positions)
        cache = [{name: y[b:b + 1] for name, y in layer.items()} for layer in self.memory]
        k, v = self.latent_heads(l, cache) if self.mla else self.read_heads(l, cache)
        return self.linear(self.merge_heads(self.attend(q, k, v)), f"model.layers.{l}.self_attn.o_proj")

    def visible(self, T, S):
        return self.sees(self.sequence)

    def read(self, cache, name, l, g, reader):
        x = super().read(cache, name, l, g, reader)
        return self.source_rows(self.memory[l][name], self.sequence)[:, :, g] if name == "v" and l != reader else x

    def first_latent(self, cache):
        return self.source_rows(self.memory[0]["c"], self.sequence)[..., self.d_c // 2:]


def causal(engine, first, count):
    return torch.arange(engine.room) <= first + torch.arange(count)[:, None]


# ---------------------------------------------------------------------- another routing in steps of one token each
def in_steps_of_one(name, kind, words, applies):
    class Switched(Engine):
        def step(self, keep, tokens):
            self.alone = all(len(x) <= 1 for x in tokens)
            return super().step(keep, tokens)

    wrong = type("_", (kind, Switched), {})
    mistake(f"slots_{name}_of_one", words + ", in steps of one token each alone", lambda m: plain(m) and applies(m))(wrong)


class WrongHalf:
    def skip_head(self, l, g):
        return g - self.own_heads() if self.alone else super().skip_head(l, g)


class GroupsInTurn:
    def group(self, h):
        return h % self.H_kv if self.alone else super().group(h)


class WrongLatentHalf:
    def first_latent(self, cache):
        return cache[0]["c"][..., :self.d_c // 2] if self.alone else super().first_latent(cache)


class WrongScale:
    def scale(self, width):
        return 1 / math.sqrt(self.d_h) if self.alone else super().scale(width)


in_steps_of_one("wrong_half", WrongHalf, WORDS["wrong_half"],
                lambda m: m.variant == "skipv1" and m.injection == "second_half" and 0 < m.own_heads() < m.H_kv)
in_steps_of_one("groups_in_turn", GroupsInTurn, WORDS["groups_in_turn"], lambda m: 1 < m.H_kv < m.H and not m.heads)
in_steps_of_one("wrong_latent_half", WrongLatentHalf, "the first half of layer 0's latent is reused instead of the second", by_latent)
in_steps_of_one("wrong_scale", WrongScale, "scores are scaled by 1 / sqrt(d_h) instead of 1 / sqrt(d_h + d_r)", lambda m: m.mla)


# ---------------------------------------------------------------------- positions, masks and slots
def slots(name, words, applies=lambda m: True):
    return mistake("slots_" + name, words, lambda m: plain(m) and applies(m))


@slots("tail_seen", "lengths are ignored: shorter sequences see what stands behind them in the cache, stale rows or zeros")
class _(Engine):
    def sees(self, b):
        end, longest = self.keep[b] + self.counts[b], max(k + n for k, n in zip(self.keep, self.counts))
        places = torch.arange(self.room)
        return causal(self, self.keep[b], self.counts[b]) | (places >= end) & (places < longest)


@slots("one_mask", "lengths are ignored: shorter sequences see what stands behind them in the cache, stale rows or zeros")
class _(Engine):
    def sees(self, b):
        return causal(self, max(self.keep), self.counts[b])


@slots("positions_of_longest", "all sequences go on from the position of the longest before the step")
class _(Engine):
    def positions_from(self, b):
        return max(self.keep)


@slots("slots_of_longest", "all sequences go on from the position and the slot of the longest, and see what stands before it")
class _(Engine):
    def positions_from(self, b):
        return max(self.keep)

    slot_from = positions_from

    def sees(self, b):
        return causal(self, max(self.keep), self.counts[b])


@slots("unmasked", "there is no causal mask: a query sees its whole chunk")
class _(Engine):
    def sees(self, b):
        return causal(self, self.keep[b] + self.counts[b] - 1, 1).expand(self.counts[b], -1)


@slots("late", "behind a cache new rows are written one slot too late")
class _(Engine):
    def slot_from(self, b):
        return self.keep[b] + (self.keep[b] > 0)


@slots("early", "behind a cache new rows are written one slot too early")
class _(Engine):
    def slot_from(self, b):
        return self.keep[b] - (self.keep[b] > 0)


class Ends(Engine):
    """`ends[b]`: behind the last slot that was ever written."""

    def begin(self):
        self.before = getattr(self, "ends", [0] * self.batch)
        self.ends = [max(x, self.slot_from(b) + self.counts[b]) for b, x in enumerate(self.before)]


@slots("stale_tail", "a cut sequence's stale rows are seen behind its new ones")
class _(Ends):
    def sees(self, b):
        places = torch.arange(self.room)
        stale = (places >= self.keep[b] + self.counts[b]) & (places < self.ends[b])
        return causal(self, self.keep[b], self.counts[b]) | stale


@slots("not_cut", "a cut sets positions back, but not slots: new rows are written behind the stale ones")
class _(Ends):
    def slot_from(self, b):
        return max(self.keep[b], self.before[b])

    def sees(self, b):
        return causal(self, self.slot_from(b), self.counts[b])


@slots("sorted", "sequences are sorted by length, and their logits are not put back")
class _(Engine):
    def ordered(self, rows):
        return [rows[b] for b in np.argsort([-n for n in self.counts], kind="stable")]


# ---------------------------------------------------------------------- what is cached, and what layers read of another
@slots("bfloat16", "keys and values are rounded to bfloat16 as they are cached, in every step of decoding")
class _(Engine):
    def stored(self, x):
        return x.to(torch.bfloat16).to(x.dtype)


@slots("float16", "keys and values are rounded to float16 as they are cached, in every step of decoding")
class _(Engine):
    def stored(self, x):
        return x.to(torch.float16).to(x.dtype)


class NextSequence(Engine):
    def source_rows(self, x, b):
        return x[(b + 1) % self.batch][None]


@slots("wrong_sequence", "another layer's values are read from the next sequence's cache", shares_values)
class _(NextSequence):
    pass


@slots("wrong_latent", "another layer's latents are read from the next sequence's cache", by_latent)
class _(NextSequence):
    pass


@slots("without_newest", "layers read zeros in the place of another layer's newest values, in a sequence's first chunk alone", shares_values)
class _(Engine):
    def source_rows(self, x, b):
        x = x[b:b + 1].clone()
        if not self.keep[b]:
            x[:, self.counts[b] - 1] = 0
        return x
