"""Mistakes in what a layer finds where it reads another layer's values."""
import torch

from mistakes import mistake
from mistakes import mixes
from mistakes import reuses
from mistakes import shares_values
from model import Model


def reads_values(m):
    return not m.mla and (shares_values(m) or mixes(m))


class OfOthers(Model):
    """`shared(l, cache, reader)`: all value heads (B, S, heads, d_h) of layer `l` as layer `reader` finds them."""

    def read(self, cache, name, l, g, reader):
        own = name == "k" or l == reader
        return super().read(cache, name, l, g, reader) if own else self.shared(l, cache, reader)[:, :, g]

    def mix_with(self, l, cache):
        return self.shared(0, cache, l)

    def keep(self, kept, l, x, cache):
        """Appends `x`, of layer `l`'s new positions, to `kept`, unless a new sequence starts."""
        kept[l] = torch.cat((kept[l], x), 1) if cache[l].get("length", 0) else x

    def __init__(self, *args):
        super().__init__(*args)
        self.kept = {}


@mistake("shared_of_this_input", "shared values are their layer's v_proj of the reading layer's input", reads_values)
class _(OfOthers):
    def own(self, l, x, positions, cache):
        self.keep(self.kept, l, x, cache)
        return super().own(l, x, positions, cache)

    def shared(self, l, cache, reader):
        return self.project_values(l, self.kept[reader])


@mistake("shared_late", "shared values are one position late", reads_values)
class _(OfOthers):
    def shared(self, l, cache, reader):
        v = cache[l]["v"]
        return torch.cat((torch.zeros_like(v[:, :1]), v[:, :-1]), 1)


@mistake("shared_of_attention", "a layer hands on its attention's output, before o_proj, instead of its values", reads_values)
class _(OfOthers):
    def attention(self, l, x, positions, cache):
        self.layer, self.starts = l, not cache[l]
        return super().attention(l, x, positions, cache)

    def attend(self, q, k, v):
        o = super().attend(q, k, v)
        first = o[:, :, ::self.H // self.H_kv]  # of each group
        self.kept[self.layer] = first if self.starts else torch.cat((self.kept[self.layer], first), 1)
        return o

    def shared(self, l, cache, reader):
        return self.kept[l]


@mistake("shared_after_output", "shared values have gone through their layer's o_proj",
         lambda m: reads_values(m) and m.hidden == m.H * m.d_h)
class _(OfOthers):
    def shared(self, l, cache, reader):
        repeated = cache[l]["v"].repeat_interleave(self.H // self.H_kv, 2)
        return self.split_heads(self.linear(self.merge_heads(repeated), f"model.layers.{l}.self_attn.o_proj"), self.d_h)


@mistake("source_of_layer_1", "layer 1 is the source of all shared values, its heads repeated where it owns fewer",
         lambda m: reuses(m) and m.L > 2 and m.source != 1 and m.own_heads() > 0)
class _(Model):
    def read(self, cache, name, l, g, reader):
        if name == "k" or l == reader or reader < 2:
            return super().read(cache, name, l, g, reader)
        return super().read(cache, name, 1, g % cache[1]["v"].shape[2], reader)
