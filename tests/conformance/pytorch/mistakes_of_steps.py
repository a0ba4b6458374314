"""Mistakes that a decoder makes behind a cache alone: another routing than the whole pass's, keys and values of new positions that are not
what they should be, sequences of a batch that are mixed up."""
import numpy as np
import torch

import mistakes_of_attention  # noqa: F401: registers mistakes
import mistakes_of_variants  # noqa: F401
from decoding import Sequences
from mistakes import MISTAKES
from mistakes import llama
from mistakes import shares_values
from mistakes_of_decoding import mistake
from model import Model
from run import to_numpy


def behind(tokens, cache):
    return bool(cache[0].get("length", 0))


# ---------------------------------------------------------------------- a mistake of the whole pass, in some steps alone
def in_steps(of, suffix, words, where, when):
    """Registers mistake `of` of the whole pass where `when(tokens, cache)`."""
    wrong = MISTAKES[of]

    class Switched(Model):
        def forward(self, tokens, cache, trace=None):
            if when(tokens, cache):
                self.__class__ = wrong
            try:
                return self.forward(tokens, cache, trace) if self.__class__ is wrong else super().forward(tokens, cache, trace)
            finally:
                self.__class__ = Switched

    mistake(f"{of}_{suffix}", f"{words}, {where}", wrong.applies)(Switched)


WORDS = {"wrong_half": "the wrong half is reused: the source layer's first heads instead of its last",
         "skipped_in_turn": "reused heads are repeated in turn instead of group by group (repeat for repeat_interleave)",
         "groups_in_turn": "query head h reads group h mod H_kv instead of floor(h H_kv / H)",
         "pool_neighbours": "heads 2j and 2j + 1 are pooled instead of j and H_own + j"}
for of, words in WORDS.items():
    in_steps(of, "in_steps", words, "in every step of decoding", lambda tokens, cache: True)
    in_steps(of, "behind", words, "behind a cache alone", behind)
in_steps("wrong_half", "of_one_token", WORDS["wrong_half"], "where a sequence has one new token alone",
         lambda tokens, cache: tokens.shape[1] == 1)


# ---------------------------------------------------------------------- new keys and values
class Behind(Model):
    """`old`: how many positions the cache holds; `count`: how many are new."""

    def forward(self, tokens, cache, trace=None):
        self.old, self.count = cache[0].get("length", 0), tokens.shape[1]
        return super().forward(tokens, cache, trace)


class OtherKeys(Behind):
    """`new_keys(k, positions)` in the place of rotated keys, behind a cache."""

    def rotate_keys(self, k, positions):
        return self.new_keys(k, positions) if self.old else super().rotate_keys(k, positions)

    def rotate_latent_key(self, k, positions):
        return self.new_keys(k, positions) if self.old else super().rotate_latent_key(k, positions)


@mistake("keys_late", "behind a cache keys are rotated as one position later, queries are not", llama)
class _(OtherKeys):
    def new_keys(self, k, positions):
        return self.rotate(k, positions + 1)


@mistake("keys_unrotated", "behind a cache new keys are cached without rotation", llama)
class _(OtherKeys):
    def new_keys(self, k, positions):
        return k


@mistake("newest_key_unrotated", "behind a cache each chunk's newest key is cached without rotation", llama)
class _(OtherKeys):
    def new_keys(self, k, positions):
        return torch.cat((self.rotate(k, positions)[:, :-1], k[:, -1:]), 1)


@mistake("queries_late", "behind a cache queries are rotated as one position later, keys are not", llama)
class _(Behind):
    def queries(self, l, x, positions):
        return super().queries(l, x, positions + bool(self.old))


class OtherShared(Behind):
    """`shared(x)` in the place of another layer's values x (B, S, d_h), behind a cache."""

    def read(self, cache, name, l, g, reader):
        x = super().read(cache, name, l, g, reader)
        return self.shared(x.clone()) if name == "v" and l != reader and self.old else x


@mistake("source_late", "behind a cache layers read another layer's values of the chunk before, as many positions back, in the place of "
         "the new ones", shares_values)
class _(OtherShared):
    def shared(self, x):
        places = torch.arange(x.shape[1])
        places[self.old:] = (places[self.old:] - self.count).clamp(min=0)
        return x[:, places]


@mistake("source_not_yet", "behind a cache layers read zeros in the place of another layer's new values", shares_values)
class _(OtherShared):
    def shared(self, x):
        x[:, self.old:] = 0
        return x


# ---------------------------------------------------------------------- a cache that grows twice, sequences that are mixed up
@mistake("cache_grows_twice", "each chunk's keys and values are appended to the cache twice", lambda m: m.llama)
class _(Sequences):
    def truncate(self, b, keep):
        if keep != getattr(self, "lengths", {}).get(b, 0):
            super().truncate(b, keep)
            for layer in self.caches[b]:
                layer["length"] = keep

    def run(self, steps):
        self.lengths, own = {}, self.model.forward

        def forward(tokens, cache, trace=None):
            logits, b, count = own(tokens, cache, trace), self.model.sequence, tokens.shape[1]
            for layer in cache:
                for name, x in layer.items():
                    layer[name] = x if name == "length" else torch.cat((x, x[:, -count:]), 1)
            self.lengths[b] = cache[0]["length"]
            return logits

        self.model.forward = forward
        return super().run(steps)

    def elements(self):
        return sum(self.model.cache_elements(cache) * self.lengths.get(b, 0) for b, cache in enumerate(self.caches) if cache[0])


@mistake("logits_exchanged", "the logits of sequences 0 and 1 are exchanged")
class _(Sequences):
    def run(self, steps):
        for step, (logits, elements) in zip(steps, super().run(steps)):
            first, second = (len(tokens) for tokens in step["tokens"][:2])
            if first == second:
                logits = np.concatenate((logits[first:2 * first], logits[:first], logits[2 * first:]))
            yield logits, elements


@mistake("caches_exchanged", "the caches of sequences 0 and 1 are exchanged")
class _(Sequences):
    """Each reads the other's keys and values before its own new ones."""

    def run(self, steps):
        for step in steps:
            for b, keep in enumerate(step["keep"]):
                self.truncate(b, keep)
            held = [[dict(layer) for layer in cache] for cache in self.caches]
            lengths = [cache[0].get("length", 0) for cache in held]
            rows = []
            for b, tokens in enumerate(step["tokens"]):
                if not tokens:
                    continue
                other = held[1 - b if b < 2 and all(lengths[:2]) else b]
                seen = [{**layer, "length": lengths[b]} if layer else {} for layer in other]
                with torch.no_grad():
                    rows.append(self.model.forward(torch.tensor([tokens]), seen)[0])
                for old, new, layer in zip(held[b], seen, self.caches[b]):
                    fresh = {name: x[:, -len(tokens):] for name, x in new.items() if name != "length"}
                    layer |= {name: torch.cat((old[name], x), 1) if name in old else x for name, x in fresh.items()}
                    layer["length"] = new["length"]
            yield to_numpy(torch.cat(rows)), self.elements()
