"""Every variant of docs/spec/models.md in PyTorch, for one case of data/conformance, gradients by autograd.

Written from the specification alone, so that it can disagree with the library. Each rule that an implementer can get wrong is a
method of its own: mistakes.py overrides them one by one.

Letters: b batch, t query position, s key position, l layer, h query head, g key/value head, d width of a head.
"""
import math

import torch

from frequencies import Frequencies


class Model(Frequencies):
    """A decoder with a KV cache. `weights`: name -> tensor, all of one dtype; `config`: config.json as a dict."""

    name = "right"

    def __init__(self, config, weights):
        self.w, self.config = weights, config
        self.dtype = next(iter(weights.values())).dtype
        self.wide = torch.float64 if self.dtype == torch.float64 else torch.float32  # for angles, norms, softmax and loss
        self.llama = config["architecture"] == "llama"
        self.L, self.H = config["num_hidden_layers"], config["num_attention_heads"]
        self.H_kv, self.hidden = config["num_key_value_heads"], config["hidden_size"]
        self.d_h = config.get("head_dim", self.hidden // self.H)
        self.eps, self.theta = config["norm_epsilon"], config.get("rope_theta")
        self.rope = config.get("rope_frequencies", {"kind": "plain"})
        attention = config["attention"]
        self.variant = attention["variant"]
        self.ratio, self.source = attention.get("skip_ratio", 0.5), attention.get("source_layer", 0)
        self.injection = attention.get("injection", "second_half")
        self.mix = attention.get("value_mix", 0.5)
        self.heads = attention.get("table")  # of variant "table": docs/spec/formats.md, "Routing table"
        self.d_c, self.d_r = attention.get("kv_latent_size"), attention.get("rotary_size")
        self.mla = self.variant in ("mla", "skipv1_mla")
        self.skips = self.variant in ("skipv1", "skipv0", "skipkv1", "skipv1_yoco")

    # ------------------------------------------------------------------ the decoder

    def forward(self, tokens, cache, trace=None):
        """Logits (B, T, V) of `tokens` (B, T), which follow what `cache` holds. `cache`: one dict a layer, empty at the start."""
        start = cache[0]["length"] if cache[0] else 0
        self.trace = {} if trace is None else trace
        positions = self.positions(start, tokens.shape[1])
        x = self.embed(tokens, positions)
        self.trace["embedding"] = x
        outputs = [x]  # X_0 … of DenseFormer
        averages = [x]  # Y_0 …
        for l in range(self.L):
            self.trace[f"layer{l}.input"] = x
            x = self.block(l, x, positions, cache)
            self.trace[f"layer{l}.output"] = x
            outputs.append(x)
            if self.variant == "denseformer":
                x = self.depth_average(l, outputs, averages)
                averages.append(x)
        x = self.final_norm(x)
        self.trace["final_norm"] = x
        return self.output_head(x)

    def positions(self, start, count):
        return torch.arange(start, start + count)

    def embed(self, tokens, positions):
        x = self.embedding(tokens)
        return x if self.llama else x + self.w["model.embed_positions.weight"][positions]

    def embedding(self, tokens):
        return self.w["model.embed_tokens.weight"][tokens]

    def block(self, l, x, positions, cache):
        x = x + self.attention(l, self.norm(x, f"model.layers.{l}.input_layernorm"), positions, cache)
        self.trace[f"layer{l}.residual"] = x
        return x + self.feed_forward(l, self.norm(x, f"model.layers.{l}.post_attention_layernorm"))

    def depth_average(self, l, outputs, averages):
        """Y_{l+1}: the average of X_0 … X_{l+1}, raw block outputs."""
        a = self.w[f"model.depth_weights.{l}"]  # (l + 2)
        return sum(a[j] * outputs[j] for j in range(l + 2))

    def final_norm(self, x):
        return self.norm(x, "model.norm")

    def output_head(self, x):
        return x @ self.head_weight().T

    def head_weight(self):
        tied = not self.llama or self.config["tie_word_embeddings"]
        return self.w["model.embed_tokens.weight" if tied else "lm_head.weight"]

    def loss(self, logits, targets):
        """The mean cross-entropy over the targets that are not -1."""
        flat, t = logits.reshape(-1, logits.shape[-1]).to(self.wide), targets.reshape(-1)
        return torch.nn.functional.cross_entropy(flat, t, ignore_index=-1)

    # ------------------------------------------------------------------ what both architectures are made of

    def linear(self, x, name):
        y, bias = x @ self.w[name + ".weight"].T, self.bias(name)
        return y if bias is None else y + bias

    def bias(self, name):
        """A projection's bias; None where it has none."""
        return self.w.get(name + ".bias")

    def norm(self, x, name):
        x = x.to(self.wide)
        if not self.llama:
            x = x - x.mean(-1, keepdim=True)
        y = (x * self.inverse_deviation(x)).to(self.dtype) * self.norm_weight(name)
        return y if self.llama else y + self.w[name + ".bias"]

    def inverse_deviation(self, x):
        return torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def norm_weight(self, name):
        return self.w[name + ".weight"]

    def feed_forward(self, l, x):
        mlp = f"model.layers.{l}.mlp."
        up = self.linear(x, mlp + "up_proj")
        inner = self.gate(self.linear(x, mlp + "gate_proj"), up) if self.llama else self.gelu(up)
        return self.linear(inner, mlp + "down_proj")

    def gate(self, gate, up):
        return torch.nn.functional.silu(gate) * up

    def gelu(self, x):
        return torch.nn.functional.gelu(x, approximate="tanh")

    def angles(self, positions, width):
        """(T, width / 2): t f_i."""
        return positions.to(self.wide)[:, None] * self.frequencies(width)

    def rotate(self, x, positions):
        """x (B, T, heads, width): dimensions i and i + width / 2 are a pair."""
        p, m = self.angles(positions, x.shape[-1])[:, None], self.magnitude()
        cos, sin = self.table(m * p.cos()), self.table(m * p.sin())
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def table(self, x):
        return x.to(self.dtype)

    # ------------------------------------------------------------------ attention

    def attention(self, l, x, positions, cache):
        """Attention of layer `l`, before the residual. x (B, T, hidden)."""
        B, T = x.shape[:2]
        q = self.queries(l, x, positions)
        self.store(cache[l], self.latents(l, x, positions, cache) if self.mla else self.own(l, x, positions, cache), T)
        k, v = self.latent_heads(l, cache) if self.mla else self.read_heads(l, cache)  # (B, S, H, d)
        self.trace[f"layer{l}.keys"] = k[:, -T:]
        self.trace[f"layer{l}.values"] = v[:, -T:]
        o = self.attend(q, k, v)
        self.trace[f"layer{l}.attention"] = o
        return self.linear(self.merge_heads(o), f"model.layers.{l}.self_attn.o_proj")

    def attend(self, q, k, v):
        """softmax(q k^T scale) v under the causal mask; queries are the last of the keys' positions."""
        scores = torch.einsum("bthd,bshd->bhts", q, k) * self.scale(q.shape[-1])
        scores = scores.masked_fill(~self.visible(q.shape[1], k.shape[1]), -math.inf)
        return torch.einsum("bhts,bshd->bthd", self.softmax(scores), v)

    def softmax(self, scores):
        return torch.softmax(scores.to(self.wide), -1).to(self.dtype)

    def scale(self, width):
        return 1 / math.sqrt(width)

    def visible(self, T, S):
        """(T, S): query t, at position S - T + t, sees keys 0 … S - T + t."""
        return torch.arange(S) <= torch.arange(S - T, S)[:, None]

    def split_heads(self, x, width):
        return x.reshape(*x.shape[:2], -1, width)

    def merge_heads(self, x):
        return x.reshape(*x.shape[:2], -1)

    def project(self, l, x, name, width):
        """Heads (B, T, heads, width) of a projection of layer `l`; None where the layer owns none."""
        full = f"model.layers.{l}.self_attn.{name}_proj"
        return self.norm_heads(l, self.split_heads(self.linear(x, full), width), name) if full + ".weight" in self.w else None

    def norm_heads(self, l, x, name):
        """Queries and keys (B, T, heads, width), each head through an RMSNorm where the config has one."""
        full = f"model.layers.{l}.self_attn.{name}_norm"
        return self.norm(x, full) if full + ".weight" in self.w else x

    def queries(self, l, x, positions):
        q = self.project(l, x, "q", self.d_h + self.d_r if self.mla else self.d_h)
        self.trace[f"layer{l}.queries_unrotated"] = q
        if self.mla:
            content, rotary = self.split_query(q)
            q = torch.cat((content, self.rotate(rotary, positions)), -1)
        elif self.llama:
            q = self.rotate_queries(q, positions)
        self.trace[f"layer{l}.queries_rotated"] = q
        return q

    def split_query(self, q):
        return q.split((self.d_h, self.d_r), -1)

    def rotate_queries(self, q, positions):
        return self.rotate(q, positions)

    def rotate_keys(self, k, positions):
        return self.rotate(k, positions)

    # ------------------------------------------------------------------ the cache: what a layer computes and keeps

    def store(self, layer, new, count):
        """Appends the new positions' tensors (B, T, …) to a layer's cache."""
        for name, x in new.items():
            layer[name] = torch.cat((layer[name], x), 1) if name in layer else x
        layer["length"] = layer.get("length", 0) + count

    def own(self, l, x, positions, cache):
        """The keys and values (B, T, heads, d_h) that layer `l` owns, at the new positions."""
        k, v = self.project(l, x, "k", self.d_h), self.project_values(l, x)
        if k is not None and self.llama:
            k = self.rotate_keys(k, positions)
        if v is not None and l > 0 and (self.variant == "resformer" or self.injection == "resformer"):
            first = self.mix_with(l, cache)[:, -x.shape[1]:]  # layer 0's values at the new positions
            v = self.mix_values(self.value_mix(l), v, first, v.shape[2])
        return {name: y for name, y in (("k", k), ("v", v)) if y is not None}

    def project_values(self, l, x):
        return self.project(l, x, "v", self.d_h)

    def mix_with(self, l, cache):
        return cache[0]["v"]

    def value_mix(self, l):
        return self.w.get(f"model.layers.{l}.self_attn.value_mix", self.mix)

    def mix_values(self, mix, own, first, own_heads):
        return mix * own + (1 - mix) * first[:, :, :own_heads]

    # ------------------------------------------------------------------ routing: which head of which layer is read

    def own_heads(self):
        """H_own: an exact half is kept by the layer, whatever the ratio's rounding in binary."""
        return self.H_kv - math.ceil(self.ratio * self.H_kv - 0.5 - 1e-9)

    def group(self, h):
        return h * self.H_kv // self.H

    def read_heads(self, l, cache):
        """Keys and values (B, S, H, d_h), one of each for every query head."""
        k = [self.key_head(l, self.group(h), cache) for h in range(self.H)]
        v = [self.value_head(l, self.group(h), cache) for h in range(self.H)]
        return torch.stack(k, 2), torch.stack(v, 2)

    def read(self, cache, name, l, g, reader):
        """Head `g` (B, S, d_h) of layer `l`, for layer `reader`."""
        return cache[l][name][:, :, g]

    def named_head(self, word, l, cache, name):
        """What a table names: "LAYER.HEAD"; "LAYER.HEAD+HEAD", the mean of two; "-", none, which is zero."""
        if word == "-":
            return torch.zeros_like(self.read(cache, "k", 0, 0, l))  # layer 0 owns a key head: it can read no other's
        layer, heads = word.split(".")
        read = [self.read(cache, name, int(layer), int(head), l) for head in heads.split("+")]
        return sum(read) / len(read)

    def key_head(self, l, g, cache):
        if self.heads and "keys" in self.heads:
            return self.named_head(self.heads["keys"][l].split()[g], l, cache, "k")
        if self.variant == "skipkv1":
            layer = l if l == 0 or g < self.own_heads() else 0
        elif self.variant in ("yoco", "skipv1_yoco"):
            layer = self.yoco_layer(l)
        else:
            layer = self.cla_layer(l) if self.variant == "cla" else l
        return self.read(cache, "k", layer, g, l)

    def value_head(self, l, g, cache):
        if self.heads:
            return self.named_head(self.heads["values"][l].split()[g], l, cache, "v")
        if self.skips:
            if l <= self.source or g < self.own_heads():
                return self.read(cache, "v", l, g, l)
            return self.skipped_head(l, g, cache)
        layer = l
        if self.variant == "svformer":
            layer = 0
        elif self.variant in ("yoco", "yoco_v"):
            layer = self.yoco_layer(l)
        elif self.variant in ("cla", "cla_v"):
            layer = self.cla_layer(l)
        return self.read(cache, "v", layer, g, l)

    def yoco_layer(self, l):
        return min(l, self.L // 2 - 1)

    def cla_layer(self, l):
        return l - l % 2

    def skipped_head(self, l, g, cache):
        """What fills slot g = H_own + j."""
        if self.variant == "skipv0":
            return torch.zeros_like(cache[0]["v"][:, :, g])
        if self.injection == "pooling":
            return self.pool(*(self.read(cache, "v", 0, i, l) for i in self.pooled(g)))
        return self.read(cache, "v", self.skip_layer(l), self.skip_head(l, g), l)

    def skip_layer(self, l):
        return self.source

    def skip_head(self, l, g):
        j = g - self.own_heads()
        if self.injection == "dynamic":
            return (l + j) % self.H
        if self.injection == "odd_even":
            return j if l % 2 == 0 else g
        return g

    def pooled(self, g):
        return g - self.own_heads(), g

    def pool(self, a, b):
        return (a + b) / 2

    # ------------------------------------------------------------------ MLA

    def latents(self, l, x, positions, cache):
        """What layer `l` caches: its part of the latent (B, T, d_c or d_c / 2) and the rotated key (B, T, d_r)."""
        attention = f"model.layers.{l}.self_attn."
        k = self.linear(x, attention + "k_rotary_proj")
        return {"c": self.linear(x, attention + "kv_down_proj"), "k_r": self.rotate_latent_key(k[:, :, None], positions)[:, :, 0]}

    def rotate_latent_key(self, k, positions):
        return self.rotate(k, positions)

    def latent(self, l, cache):
        """c (B, S, d_c) of layer `l`."""
        c = cache[l]["c"]
        return self.join_latent(c, self.first_latent(cache)) if self.variant == "skipv1_mla" and l > 0 else c

    def first_latent(self, cache):
        return cache[0]["c"][..., self.d_c // 2:]

    def join_latent(self, own, first):
        return torch.cat((own, first), -1)

    def latent_heads(self, l, cache):
        attention, c = f"model.layers.{l}.self_attn.", self.latent(l, cache)
        content = self.split_heads(self.linear(c, attention + "k_up_proj"), self.d_h)
        rotary = cache[l]["k_r"][:, :, None].expand(-1, -1, self.H, -1)
        return self.join_key(content, rotary), self.split_heads(self.linear(c, attention + "v_up_proj"), self.d_h)

    def join_key(self, content, rotary):
        return torch.cat((content, rotary), -1)

    # ------------------------------------------------------------------ counts

    def cache_elements(self, cache):
        """Elements per token, summed over layers."""
        return sum(math.prod(x.shape[2:]) for layer in cache for name, x in layer.items() if name != "length")

    def parameters(self):
        return sum(w.numel() for w in self.w.values())
