"""Mistakes in the rotary embedding."""
import torch

from mistakes import llama
from mistakes import mistake
from mistakes import several_pairs
from mistakes import wider
from model import Model


class Interleaved(Model):
    def neighbours(self, x, positions):
        halves = torch.cat((x[..., 0::2], x[..., 1::2]), -1)
        return torch.stack(self.rotate(halves, positions).chunk(2, -1), -1).flatten(-2)


@mistake("rope_interleaved_queries", "rotary pairs of queries alone are neighbours (2i, 2i + 1)", lambda m: several_pairs(m) and not m.mla)
class _(Interleaved):
    def rotate_queries(self, q, positions):
        return self.neighbours(q, positions)


@mistake("rope_interleaved_keys", "rotary pairs of keys alone are neighbours (2i, 2i + 1)", several_pairs)
class _(Interleaved):
    def rotate_keys(self, k, positions):
        return self.neighbours(k, positions)

    rotate_latent_key = rotate_keys


@mistake("rope_interleaved", "rotary pairs are neighbours (2i, 2i + 1)", several_pairs)
class _(Interleaved):
    def queries(self, l, x, positions):
        if not self.mla:
            return super().queries(l, x, positions)
        content, rotary = self.split_query(self.project(l, x, "q", self.d_h + self.d_r))
        return torch.cat((content, self.neighbours(rotary, positions)), -1)

    def rotate_queries(self, x, positions):
        return self.neighbours(x, positions)

    rotate_keys = rotate_latent_key = rotate_queries


@mistake("rope_theta", "theta is 10000, whatever the config says", lambda m: several_pairs(m) and m.theta != 10000)
class _(Model):
    def __init__(self, *args):
        super().__init__(*args)
        self.theta = 10000


@mistake("rope_exponent", "frequencies are theta^(-i/w) instead of theta^(-2i/w)", several_pairs)
class _(Model):
    def plain_frequencies(self, width):
        return self.theta ** (-torch.arange(width // 2, dtype=self.wide) / width)


@mistake("rope_frequencies_reversed", "the slowest pair comes first", several_pairs)
class _(Model):
    def angles(self, positions, width):
        return super().angles(positions, width).flip(-1)


@mistake("rope_angles_bf16", "angles are computed in bfloat16", several_pairs)
class _(Model):
    def angles(self, positions, width):
        return (positions.bfloat16()[:, None] * self.frequencies(width).bfloat16()).to(self.wide)


@mistake("rope_angles_rounded", "angles are rounded to bfloat16", several_pairs)
class _(Model):
    def angles(self, positions, width):
        return super().angles(positions, width).bfloat16().to(self.wide)


@mistake("rope_frequencies_bf16", "rotary frequencies are rounded to bfloat16", several_pairs)
class _(Model):
    def frequencies(self, width):
        return super().frequencies(width).bfloat16().to(self.wide)


@mistake("rope_table_bf16", "cosines and sines are kept in bfloat16", llama, wider)
class _(Model):
    def table(self, x):
        return x.bfloat16().to(self.dtype)


@mistake("rope_backwards", "rotation by -p instead of p", llama)
class _(Model):
    def angles(self, positions, width):
        return -super().angles(positions, width)


@mistake("rope_whole_width", "the rotation runs over all heads' dimensions at once", llama)
class _(Model):
    def rotate(self, x, positions):
        return super().rotate(x.reshape(*x.shape[:2], 1, -1), positions).reshape(x.shape)


@mistake("rope_half_width", "only the first half of each head is rotated", several_pairs)
class _(Model):
    def rotate(self, x, positions):
        half = x.shape[-1] // 4 * 2
        return torch.cat((super().rotate(x[..., :half], positions), x[..., half:]), -1)


@mistake("rope_keys_left_out", "keys are not rotated", llama)
class _(Model):
    def rotate_keys(self, k, positions):
        return k

    rotate_latent_key = rotate_keys


@mistake("rope_queries_left_out", "queries are not rotated", lambda m: m.llama and not m.mla)
class _(Model):
    def rotate_queries(self, q, positions):
        return q


@mistake("rope_on_values", "values are rotated, too", lambda m: m.llama and not m.mla)
class _(Model):
    def own(self, l, x, positions, cache):
        own = super().own(l, x, positions, cache)
        return {name: self.rotate(y, positions) if name == "v" else y for name, y in own.items()}


@mistake("rope_twice", "a reading layer rotates shared keys again",
         lambda m: m.llama and m.variant in ("yoco", "skipv1_yoco", "cla", "skipkv1"))
class _(Model):
    def read(self, cache, name, l, g, reader):
        x = super().read(cache, name, l, g, reader)
        return self.rotate(x[:, :, None], self.positions(0, x.shape[1]))[:, :, 0] if name == "k" and l != reader else x
