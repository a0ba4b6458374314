"""The rotary frequencies of docs/spec/models.md, one method a rule: a part of model.py's Model."""
import math

import torch


class Frequencies:
    """`rope`: "rope_frequencies" of the configuration; `theta`: its rope_theta; `wide`: the scalar of angles."""

    def frequencies(self, width):
        """(width / 2): of the config's kind, from theta^(-2i / width)."""
        kind, plain = self.rope["kind"], self.plain_frequencies(width)
        kept = {"llama3": self.kept_llama3, "yarn": self.kept_yarn}.get(kind, lambda *_: 0.0)  # of "linear": none
        return plain if kind == "plain" else self.blend(plain, kept(plain, width))

    def plain_frequencies(self, width):
        return self.theta ** (-2 * torch.arange(width // 2, dtype=self.wide) / width)

    def blend(self, plain, kept):
        """`kept`: the share of each frequency that is not divided."""
        return (1 - kept) * plain / self.rope["factor"] + kept * plain

    def kept_llama3(self, plain, width):
        turns = self.rope["original_max_position_embeddings"] * plain / (2 * math.pi)
        low, high = self.rope["low_freq_factor"], self.rope["high_freq_factor"]
        return self.clamp((turns - low) / (high - low))

    def kept_yarn(self, plain, width):
        low, high = self.yarn_ends(width)
        return 1 - self.clamp((torch.arange(width // 2, dtype=self.wide) - low) / (high - low))

    def clamp(self, share):
        return share.clamp(0, 1)

    def yarn_ends(self, width):
        """u and v: the first pair that is not kept whole, and the first that is wholly divided."""
        low, high = self.yarn_pairs(width)
        if self.rope.get("truncate", True):
            low, high = self.truncate_ends(low, high)
        low, high = self.clamp_ends(low, high, width)
        return low, high if high != low else high + self.least_ramp()

    def yarn_pairs(self, width):
        """The pairs, as real numbers, that turn beta_fast and beta_slow times within the original context."""
        n = self.rope["original_max_position_embeddings"]
        return [width * math.log(n / (2 * math.pi * self.rope.get(key, turns))) / (2 * math.log(self.theta))
                for key, turns in (("beta_fast", 32), ("beta_slow", 1))]

    def truncate_ends(self, low, high):
        return math.floor(low), math.ceil(high)

    def clamp_ends(self, low, high, width):
        return max(low, 0), min(high, width - 1)

    def least_ramp(self):
        return 0.001

    def magnitude(self):
        """What cosines and sines are multiplied by."""
        if self.rope["kind"] != "yarn":
            return 1.0
        return self.rope.get("attention_factor", self.default_magnitude(self.rope["factor"]))

    def default_magnitude(self, factor):
        return 0.1 * math.log(factor) + 1 if factor > 1 else 1.0
