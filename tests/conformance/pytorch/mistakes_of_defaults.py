"""Mistakes in what a configuration leaves out, and at the ends of yarn's and llama3's ramps."""
import math

from mistakes import by_place
from mistakes import mistake
from mistakes import mixes
from mistakes import rope_kind
from mistakes import skipped
from model import Model

yarn, blended = rope_kind("yarn"), rope_kind("llama3", "yarn")


# ---------------------------------------------------------------------- keys that are left out
def wrong_default(part, key, value, uses):
    """A mistake that takes `key`, where it is not in the config's `part`, for `value`. `uses(m)`: whether that makes a difference.
    A value of which the weights' shapes say that it is wrong (a source layer of 1, a ratio below the right one) fails by itself."""

    words = f"yarn's {key} is {value}" if "beta" in key else f"{key} is {value} where it is left out"

    @mistake(f"default_{key}", words, lambda m: uses(m) and key not in m.config[part])
    class _(Model):
        def __init__(self, config, weights):
            super().__init__({**config, part: {**config[part], key: value}}, weights)


wrong_default("attention", "skip_ratio", 0.75, lambda m: m.skips and math.ceil(0.75 * m.H_kv - 0.5) != skipped(m))
wrong_default("attention", "injection", "dynamic", lambda m: by_place(m) and m.variant == "skipv1" and m.H_kv == m.H and m.source == 0)
wrong_default("attention", "value_mix", 1, mixes)
wrong_default("rope_frequencies", "attention_factor", 1, lambda m: yarn(m) and m.rope["factor"] > 1)
wrong_default("rope_frequencies", "beta_fast", 16, yarn)
wrong_default("rope_frequencies", "beta_slow", 2, yarn)
wrong_default("rope_frequencies", "truncate", False, yarn)


@mistake("default_attention_factor_below_1", "attention_factor is 0.1 ln(factor) + 1 for a factor below 1, too",
         lambda m: yarn(m) and "attention_factor" not in m.rope and m.rope["factor"] < 1)
class _(Model):
    def default_magnitude(self, factor):
        return 0.1 * math.log(factor) + 1


# ---------------------------------------------------------------------- the ends of yarn's ramp
def ends(m):
    """u and v before they are raised and lowered, and the last pair that "v lowered to w - 1" leaves."""
    width = m.d_r if m.mla else m.d_h
    low, high = m.yarn_pairs(width)
    return (*(m.truncate_ends(low, high) if m.rope.get("truncate", True) else (low, high)), width - 1)


def clamped_ends(name, words, clamp, applies):
    """`applies(low, high, last)`: of `ends`."""

    @mistake(name, words, lambda m: yarn(m) and applies(*ends(m)))
    class _(Model):
        def clamp_ends(self, low, high, width):
            return clamp(low, high, width - 1)


clamped_ends("yarn_start_not_raised", "the start of yarn's ramp is not raised to 0", lambda u, v, last: (u, min(v, last)),
             lambda u, v, last: u < 0)
clamped_ends("yarn_end_not_lowered", "the end of yarn's ramp is not lowered to w - 1", lambda u, v, last: (max(u, 0), v),
             lambda u, v, last: v > last)
clamped_ends("yarn_end_of_pairs", "the end of yarn's ramp is lowered to w / 2 - 1 instead of w - 1",
             lambda u, v, last: (max(u, 0), min(v, (last - 1) // 2)), lambda u, v, last: v > (last - 1) // 2 > u)
clamped_ends("yarn_ends_both_clamped", "both ends of yarn's ramp are raised to 0 and lowered to w - 1",
             lambda u, v, last: [min(max(x, 0), last) for x in (u, v)], lambda u, v, last: v < 0 or u > last)


@mistake("yarn_ramp_of_nothing", "where the ends of yarn's ramp are equal, nothing is added: 0 / 0", lambda m: yarn(m) and
         len(set(m.clamp_ends(*ends(m)[:2], ends(m)[2] + 1))) == 1)
class _(Model):
    def least_ramp(self):
        return 0


@mistake("yarn_ends_nearest", "the ends of yarn's ramp are rounded to the nearest integers", lambda m: yarn(m) and
         m.rope.get("truncate", True) and yarn_ramp(m) != yarn_ramp(m, round))
class _(Model):
    def truncate_ends(self, low, high):
        return round(low), round(high)


def yarn_ramp(m, rounded=None):
    """The shares of all pairs, with the ends as they are or `rounded`."""
    width = m.d_r if m.mla else m.d_h
    low, high = m.clamp_ends(*map(rounded, m.yarn_pairs(width)), width) if rounded else m.yarn_ends(width)
    return [min(max((i - low) / (high - low or 0.001), 0), 1) for i in range(width // 2)]


# ---------------------------------------------------------------------- the ramp's own clamp
class Probe(Model):
    """Keeps the shares before they are clamped."""

    def clamp(self, share):
        self.shares = share
        return super().clamp(share)


def shares(m):
    probe = Probe(m.config, m.w)
    probe.frequencies(m.d_r if m.mla else m.d_h)
    return probe.shares


@mistake("ramp_below_0", "shares of the ramp of frequencies are not raised to 0", lambda m: blended(m) and bool((shares(m) < 0).any()))
class _(Model):
    def clamp(self, share):
        return share.clamp(max=1)


@mistake("ramp_above_1", "shares of the ramp of frequencies are not lowered to 1", lambda m: blended(m) and bool((shares(m) > 1).any()))
class _(Model):
    def clamp(self, share):
        return share.clamp(min=0)
