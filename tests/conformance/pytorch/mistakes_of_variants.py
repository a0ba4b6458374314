"""Mistakes in what the variants add: sharing, skipping, mixing, latents, the cache."""
import math

import torch

from mistakes import by_place
from mistakes import has_injection
from mistakes import is_variant
from mistakes import learned
from mistakes import mistake
from mistakes import mixes
from mistakes import reuses
from mistakes import shares_values
from mistakes import skipped
from model import Model


# ---------------------------------------------------------------------- heads of other layers
@mistake("shared_detached", "what another layer computed is detached from autograd",
         lambda m: shares_values(m) or mixes(m) or m.variant == "skipv1_mla")
class _(Model):
    def read(self, cache, name, l, g, reader):
        x = super().read(cache, name, l, g, reader)
        return x if l == reader else x.detach()

    def mix_with(self, l, cache):
        return super().mix_with(l, cache).detach()

    def first_latent(self, cache):
        return super().first_latent(cache).detach()


@mistake("wrong_half", "skipped slots read the source layer's first heads instead of its last",
         lambda m: by_place(m) and m.own_heads() > 0)
class _(Model):
    def skip_head(self, l, g):
        return g - self.own_heads()


@mistake("skipped_reversed", "skipped slots read the source layer's heads in reversed order", lambda m: by_place(m) and skipped(m) > 1)
class _(Model):
    def skip_head(self, l, g):
        return self.own_heads() + self.H_kv - 1 - g


@mistake("wrong_half_of_keys", "skipped key slots read layer 0's first heads instead of its last", is_variant("skipkv1"))
class _(Model):
    def key_head(self, l, g, cache):
        reused = l > 0 and g >= self.own_heads()
        return self.read(cache, "k", 0, g - self.own_heads(), l) if reused else super().key_head(l, g, cache)


@mistake("skipped_first", "skipped heads come before own ones instead of after",
         lambda m: reuses(m) and m.injection == "second_half" and m.own_heads() > 0)
class _(Model):
    def value_head(self, l, g, cache):
        if not self.skips or l <= self.source:
            return super().value_head(l, g, cache)
        own, count = self.own_heads(), self.H_kv - self.own_heads()
        if g < count:
            return self.read(cache, "v", self.source, own + g, l)
        return self.read(cache, "v", l, g - count, l)


@mistake("skipped_repeat_own", "skipped slots repeat the layer's own heads", lambda m: reuses(m) and m.own_heads() > 0)
class _(Model):
    def skipped_head(self, l, g, cache):
        return self.read(cache, "v", l, (g - self.own_heads()) % self.own_heads(), l)


@mistake("skipped_zero", "skipped slots are zero, as in SkipV0", reuses)
class _(Model):
    def skipped_head(self, l, g, cache):
        return torch.zeros_like(cache[0]["v"][:, :, g])


@mistake("skipped_reused", "SkipV0 reuses layer 0's heads", is_variant("skipv0"))
class _(Model):
    def skipped_head(self, l, g, cache):
        return self.read(cache, "v", 0, g, l)


@mistake("skipped_in_turn", "skipped heads are repeated in turn instead of group by group",
         lambda m: by_place(m) and m.H_kv < m.H and skipped(m) > 1)
class _(Model):
    def read_heads(self, l, cache):
        k, v = super().read_heads(l, cache)
        own, heads = self.own_heads(), list(v.unbind(2))
        for h in range(self.H):
            if l > self.source and self.group(h) >= own:
                heads[h] = self.read(cache, "v", self.source, own + h % (self.H_kv - own), l)
        return k, torch.stack(heads, 2)


@mistake("ratio_of_query_heads", "the ratio counts query heads, after grouping",
         lambda m: by_place(m) and m.H - math.ceil(m.ratio * m.H - 0.5 - 1e-9) < m.own_heads() * m.H // m.H_kv)
class _(Model):
    def read_heads(self, l, cache):
        k, v = super().read_heads(l, cache)
        heads = list(v.unbind(2))
        for h in range(self.H - math.ceil(self.ratio * self.H - 0.5 - 1e-9), self.H):
            if l > self.source:
                heads[h] = self.read(cache, "v", self.source, self.group(h), l)
        return k, torch.stack(heads, 2)


def half_up(m):
    return m.H_kv - math.floor(m.ratio * m.H_kv + 0.5)


@mistake("ratio_half_up", "an exact half is skipped instead of kept", lambda m: m.skips and half_up(m) != m.own_heads())
class _(Model):
    own_heads = half_up


@mistake("ratio_up", "the number of skipped heads is rounded up", lambda m: m.skips and rounded_up(m) != m.own_heads())
class _(Model):
    def own_heads(self):
        return rounded_up(self)


def rounded_up(m):
    return m.H_kv - math.ceil(m.ratio * m.H_kv)


def of_binary(m):
    return m.H_kv - math.ceil(m.ratio * m.H_kv - 0.5)


@mistake("ratio_binary", "the ratio is taken as the binary number, in which a half may be a little more",
         lambda m: m.skips and of_binary(m) != m.own_heads())
class _(Model):
    own_heads = of_binary


@mistake("pool_half_of_heads", "heads j and j + H // 2 are pooled instead of j and H_own + j",
         lambda m: m.injection == "pooling" and m.H % 2)
class _(Model):
    def pooled(self, g):
        j = g - self.own_heads()
        return j, j + self.H // 2


@mistake("source_ignored", "layer 0 is the source, whatever the config says", lambda m: reuses(m) and m.source > 0)
class _(Model):
    def skip_layer(self, l):
        return 0


@mistake("source_early", "the source is one layer too early", lambda m: reuses(m) and m.source > 0)
class _(Model):
    def skip_layer(self, l):
        return self.source - 1


@mistake("yoco_early", "shared heads are those of layer L/2 - 2",
         lambda m: m.variant in ("yoco", "yoco_v", "skipv1_yoco") and m.L >= 4)
class _(Model):
    def yoco_layer(self, l):
        return l if l < self.L // 2 else self.L // 2 - 2


@mistake("cla_of_first", "all pairs share the first layer's heads", lambda m: m.variant in ("cla", "cla_v") and m.L >= 4)
class _(Model):
    def cla_layer(self, l):
        return l if l % 2 == 0 else 0


@mistake("cla_odd", "with an odd number of layers the last one reads the pair before it",
         lambda m: m.variant in ("cla", "cla_v") and m.L % 2 == 1)
class _(Model):
    def cla_layer(self, l):
        return l - 2 if l == self.L - 1 and self.L % 2 else l - l % 2


@mistake("keys_shared", "keys are shared where only values are",
         lambda m: m.variant in ("svformer", "yoco_v", "cla_v") or m.variant == "skipv1" and by_place(m))
class _(Model):
    def key_head(self, l, g, cache):
        layer = {"svformer": 0, "yoco_v": self.yoco_layer(l), "cla_v": self.cla_layer(l)}.get(self.variant, l)
        if self.variant == "skipv1" and l > self.source and g >= self.own_heads():
            layer = self.source
        return self.read(cache, "k", layer, g, l)


# ---------------------------------------------------------------------- injections and mixing
@mistake("pool_neighbours", "heads 2j and 2j + 1 are pooled instead of j and H_own + j", has_injection("pooling"))
class _(Model):
    def pooled(self, g):
        j = g - self.own_heads()
        return 2 * j, 2 * j + 1


@mistake("pool_sum", "pooled heads are added instead of averaged", has_injection("pooling"))
class _(Model):
    def pool(self, a, b):
        return a + b


@mistake("counted_from_one", "the injection counts layers from 1", lambda m: m.injection in ("dynamic", "odd_even"))
class _(Model):
    def skip_head(self, l, g):
        return super().skip_head(l + 1, g)


@mistake("dynamic_backwards", "heads rotate the other way", has_injection("dynamic"))
class _(Model):
    def skip_head(self, l, g):
        return (g - self.own_heads() - l) % self.H


@mistake("dynamic_from_own", "heads rotate from H_own on instead of from 0", has_injection("dynamic"))
class _(Model):
    def skip_head(self, l, g):
        return (g + l) % self.H


@mistake("mix_swapped", "lambda and 1 - lambda are swapped", lambda m: mixes(m) and (m.mix != 0.5 or learned(m)))
class _(Model):
    def mix_values(self, mix, own, first, own_heads):
        return super().mix_values(1 - mix, own, first, own_heads)


@mistake("mix_left_out", "own values are not mixed", mixes)
class _(Model):
    def mix_values(self, mix, own, first, own_heads):
        return own


@mistake("mix_added", "the first layer's values are added: V + lambda V_0", mixes)
class _(Model):
    def mix_values(self, mix, own, first, own_heads):
        return own + mix * first[:, :, :own_heads]


@mistake("mix_of_half", "lambda is 0.5, whatever the config and the weights say", lambda m: mixes(m) and (m.mix != 0.5 or learned(m)))
class _(Model):
    def value_mix(self, l):
        return 0.5


@mistake("mix_sigmoid", "lambda goes through a sigmoid", mixes)
class _(Model):
    def value_mix(self, l):
        return torch.sigmoid(torch.as_tensor(super().value_mix(l), dtype=self.dtype))


@mistake("mix_of_config", "the learned lambda is left unread", learned)
class _(Model):
    def value_mix(self, l):
        return self.mix


@mistake("mix_of_last", "values are mixed with the layer's before instead of the first's", lambda m: mixes(m) and m.L > 2)
class _(Model):
    def mix_with(self, l, cache):
        return cache[l - 1]["v"]


@mistake("mix_wrong_heads", "own heads are mixed with layer 0's last heads",
         lambda m: m.injection == "resformer" and skipped(m) > 0)
class _(Model):
    def mix_values(self, mix, own, first, own_heads):
        return mix * own + (1 - mix) * first[:, :, -own_heads:]


@mistake("depth_reversed", "a row of depth weights is read backwards", is_variant("denseformer"))
class _(Model):
    def depth_average(self, l, outputs, averages):
        return super().depth_average(l, outputs[:l + 2][::-1], averages)


@mistake("depth_of_averages", "the average over depth runs over averages instead of raw block outputs", is_variant("denseformer"))
class _(Model):
    def depth_average(self, l, outputs, averages):
        return super().depth_average(l, [*averages, outputs[-1]], averages)


@mistake("depth_last_left_out", "the final norm reads the last block's output", is_variant("denseformer"))
class _(Model):
    def depth_average(self, l, outputs, averages):
        return outputs[-1] if l == self.L - 1 else super().depth_average(l, outputs, averages)


@mistake("depth_added", "the average is added to the block's output", is_variant("denseformer"))
class _(Model):
    def depth_average(self, l, outputs, averages):
        return outputs[-1] + super().depth_average(l, outputs, averages)


@mistake("depth_without_embedding", "the average leaves the embedding out", is_variant("denseformer"))
class _(Model):
    def depth_average(self, l, outputs, averages):
        return super().depth_average(l, [torch.zeros_like(outputs[0]), *outputs[1:]], averages)


# ---------------------------------------------------------------------- MLA
def mla(m):
    return m.mla


@mistake("mla_rotary_first", "a query head is laid out [rotary, content]", mla)
class _(Model):
    def split_query(self, q):
        rotary, content = q.split((self.d_r, self.d_h), -1)
        return content, rotary


@mistake("mla_key_reversed", "keys are laid out [rotary, content], queries [content, rotary]", mla)
class _(Model):
    def join_key(self, content, rotary):
        return torch.cat((rotary, content), -1)


@mistake("mla_scale", "scores are scaled by 1/sqrt(d_h) instead of 1/sqrt(d_h + d_r)", mla)
class _(Model):
    def scale(self, width):
        return 1 / math.sqrt(self.d_h)


@mistake("mla_norm", "the latent is normalised", mla)
class _(Model):
    def latent(self, l, cache):
        c = super().latent(l, cache).to(self.wide)
        return (c * self.inverse_deviation(c)).to(self.dtype)


@mistake("mla_rotary_of_first", "all layers read layer 0's rotary key", mla)
class _(Model):
    def latent_heads(self, l, cache):
        return super().latent_heads(l, [dict(layer, k_r=cache[0]["k_r"]) for layer in cache])


@mistake("mla_wrong_half", "the first half of layer 0's latent is reused", is_variant("skipv1_mla"))
class _(Model):
    def first_latent(self, cache):
        return cache[0]["c"][..., :self.d_c // 2]


@mistake("mla_latent_reversed", "the reused half comes first", is_variant("skipv1_mla"))
class _(Model):
    def join_latent(self, own, first):
        return torch.cat((first, own), -1)


@mistake("mla_latent_of_last", "the latent of the layer before is reused", lambda m: m.variant == "skipv1_mla" and m.L > 2)
class _(Model):
    def latent(self, l, cache):
        if l > 1:
            return torch.cat((cache[l]["c"], cache[l - 1]["c"]), -1)
        return super().latent(l, cache)


# ---------------------------------------------------------------------- the cache
@mistake("cache_forgets", "a chunk replaces the cache instead of being appended")
class _(Model):
    def store(self, layer, new, count):
        layer.update(new, length=layer.get("length", 0) + count)


@mistake("cache_counts_query_heads", "heads are repeated before they are cached", lambda m: m.H_kv < m.H and not m.mla)
class _(Model):
    def cache_elements(self, cache):
        return super().cache_elements(cache) * self.H // self.H_kv


@mistake("cache_counts_all", "every layer caches all heads, reused ones included",
         lambda m: not m.mla and Model.cache_elements(m, m.case.cache) != 2 * m.L * m.H_kv * m.d_h)
class _(Model):
    def cache_elements(self, cache):
        return 2 * self.L * self.H_kv * self.d_h
