"""What people get wrong when they decode through a cache: the model, or what keeps the caches, with one method replaced."""
import torch

from decoding import Sequences
from mistakes import by_place
from mistakes import llama
from mistakes import shares_values
from model import Model

DECODING_MISTAKES = {}  # name -> class


def mistake(name, words, applies=lambda m: True):
    """Registers a class; one derived of Sequences replaces that, another the model. `applies(m)`: whether it changes results of the
    unmistaken model `m`."""

    def add(kind):
        assert name not in DECODING_MISTAKES
        kind.name, kind.words, kind.applies = name, words, staticmethod(applies)
        kind.model, kind.sequences = (Model, kind) if issubclass(kind, Sequences) else (kind, getattr(kind, "held_by", Sequences))
        DECODING_MISTAKES[name] = kind
        return kind

    return add


def longest(model):
    return max(cache[0].get("length", 0) for cache in model.caches)


def within(model, start, count):
    """`count` positions from `start` on, as late as the model has some."""
    start = min(start, model.config["max_position_embeddings"] - count)
    return torch.arange(start, start + count)


# ---------------------------------------------------------------------- mask and positions
@mistake("mask_unaligned", "with more keys than queries the causal mask is aligned top-left instead of bottom-right")
class _(Model):
    def visible(self, T, S):
        return torch.arange(S) <= torch.arange(T)[:, None]


@mistake("mask_of_chunk_left_out", "a chunk behind a cache has no causal mask")
class _(Model):
    def visible(self, T, S):
        return super().visible(T, S) if T == S else torch.ones(T, S, dtype=torch.bool)


@mistake("mask_window", "a sliding window: a query sees the last 3 keys alone, its own among them")
class _(Model):
    def visible(self, T, S):
        return super().visible(T, S) & (torch.arange(S) > torch.arange(S - T, S)[:, None] - 3)


@mistake("positions_restart", "each chunk's positions start at 0")
class _(Model):
    def positions(self, start, count):
        return torch.arange(count)


@mistake("positions_off_by_one", "behind a cache positions are one too late")
class _(Model):
    def positions(self, start, count):
        return within(self, start + (start > 0), count)


@mistake("positions_of_longest", "all sequences go on from the position of the longest")
class _(Model):
    def positions(self, start, count):
        return within(self, longest(self), count)


@mistake("padding_seen", "lengths are ignored: shorter sequences see the zeros behind them")
class _(Model):
    def attend(self, q, k, v):
        self.padding = max(longest(self) - k.shape[1], 0)
        k, v = (torch.cat((x, x.new_zeros(1, self.padding, *x.shape[2:])), 1) for x in (k, v))
        return super().attend(q, k, v)

    def visible(self, T, S):
        real = super().visible(T, S - self.padding)
        return torch.cat((real, torch.ones(T, self.padding, dtype=torch.bool)), 1)


@mistake("keys_rotated_again", "cached keys are rotated again with each chunk", llama)
class _(Model):
    def store(self, layer, new, count):
        if layer.get("length", 0):
            if "k" in layer:
                layer["k"] = self.rotate(layer["k"], torch.full((layer["k"].shape[1],), count))
            if "k_r" in layer:
                k = layer["k_r"][:, :, None]
                layer["k_r"] = self.rotate(k, torch.full((k.shape[1],), count))[:, :, 0]
        super().store(layer, new, count)


@mistake("keys_rotated_when_read", "keys are cached rotated, and rotated again when they are read from the cache", llama)
class _(Model):
    def attend(self, q, k, v):
        old, width = k.shape[1] - q.shape[1], self.d_r if self.mla else self.d_h
        k = k.clone()
        k[:, :old, :, -width:] = self.rotate(k[:, :old, :, -width:], torch.arange(old))
        return super().attend(q, k, v)


@mistake("queries_restart", "queries are rotated by their place in the chunk, keys by their position", llama)
class _(Model):
    def queries(self, l, x, positions):
        return super().queries(l, x, torch.arange(len(positions)))


# ---------------------------------------------------------------------- what the cache holds
@mistake("cache_forgets", "a chunk replaces the cache instead of being appended")
class _(Model):
    def store(self, layer, new, count):
        layer.update(new, length=layer.get("length", 0) + count)


@mistake("shared_cached_per_layer", "each layer caches the shared heads that it reads: V_0's half once a layer", shares_values)
class _(Model):
    def cache_elements(self, cache):
        return self.L * (self.H_kv * self.d_h * 2)


@mistake("source_of_chunk", "layers read another layer's values of the new chunk alone; before it, zeros", by_place)
class _(Model):
    def forward(self, tokens, cache, trace=None):
        self.new = tokens.shape[1]
        return super().forward(tokens, cache, trace)

    def skipped_head(self, l, g, cache):
        x = super().skipped_head(l, g, cache).clone()
        x[:, :-self.new] = 0
        return x


@mistake("wrong_sequence", "another layer's values are read from the next sequence's cache", shares_values)
class _(Model):
    def read(self, cache, name, l, g, reader):
        x = super().read(cache, name, l, g, reader)
        other = self.caches[(self.sequence + 1) % len(self.caches)][l].get(name)
        if l == reader or name == "k" or other is None:
            return x
        y, n = torch.zeros_like(x), min(other.shape[1], x.shape[1])
        y[:, :n] = other[:, :n, g]
        return y


# ---------------------------------------------------------------------- a cache that is cut and continued
def with_room(model):
    """Positions beyond the last are embedded as something."""
    weight = model.w.get("model.embed_positions.weight")
    if weight is not None:
        model.w = {**model.w, "model.embed_positions.weight": torch.cat([weight] * 4)}


@mistake("cut_ignored", "the cache is not cut: a stale tail stays in it")
class _(Sequences):
    def truncate(self, b, keep):
        pass

    def run(self, steps):
        with_room(self.model)
        return super().run(steps)


@mistake("cut_at_front", "a cut drops the oldest positions instead of the newest")
class _(Sequences):
    def truncate(self, b, keep):
        for layer in self.caches[b]:
            for name in layer:
                layer[name] = keep if name == "length" else layer[name][:, layer[name].shape[1] - keep:]


@mistake("positions_not_cut", "after a cut positions go on from where they were before it")
class _(Sequences):
    def truncate(self, b, keep):
        self.before = getattr(self, "before", {})
        self.before[b] = self.before.get(b, 0) + self.length(b) - keep
        super().truncate(b, keep)
        self.model.positions = lambda start, count: within(self.model, start + self.before.get(self.model.sequence, 0), count)


class Stale(Model):
    """Reads the first positions of values that are longer than the sequence."""

    def read(self, cache, name, l, g, reader):
        return super().read(cache, name, l, g, reader)[:, :cache[l]["length"]]

    def mix_with(self, l, cache):
        return cache[0]["v"][:, :cache[0]["length"]]


@mistake("source_not_cut", "the source layer's values keep what a cut should drop: later ones are appended behind it", by_place)
class _(Sequences):
    def truncate(self, b, keep):
        stale = self.caches[b][self.model.source].get("v")
        super().truncate(b, keep)
        if stale is not None and keep < stale.shape[1]:
            self.caches[b][self.model.source]["v"] = stale
            self.model.__class__ = Stale


import mistakes_of_slots  # noqa: E402, F401: registers more
import mistakes_of_steps  # noqa: E402, F401
