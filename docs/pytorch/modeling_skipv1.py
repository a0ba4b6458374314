"""Every variant of docs/spec/models.md as a transformers model, which loads this project's checkpoints and generates through a cache
that holds shared heads once.

    from modeling_skipv1 import SkipV1ForCausalLM
    model = SkipV1ForCausalLM.from_pretrained("data/conformance/llama_skipv1", dtype="auto")
    model.generate(input_ids, max_new_tokens=20, do_sample=False)

Letters: B batch, T new positions, S all positions, H query heads, H_kv key and value heads, d_h width of a head.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"  # its name changed in 5.x


class SkipV1Config(PretrainedConfig):
    """config.json of docs/spec/formats.md."""

    model_type = "skipv1"

    def __init__(self, architecture="llama", vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=4,
                 num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256, norm_epsilon=1e-5, rope_theta=10000.0,
                 tie_word_embeddings=True, attention=None, head_dim=None, qkv_bias=False, o_bias=False, mlp_bias=False,
                 qk_norm=False, rope_frequencies=None, **kwargs):
        self.architecture, self.vocab_size = architecture, vocab_size
        self.hidden_size, self.intermediate_size, self.num_hidden_layers = hidden_size, intermediate_size, num_hidden_layers
        self.num_attention_heads, self.num_key_value_heads = num_attention_heads, num_key_value_heads
        self.max_position_embeddings, self.norm_epsilon, self.rope_theta = max_position_embeddings, norm_epsilon, rope_theta
        self.attention = dict(attention or {"variant": "skipv1"})
        self.head_dim, self.qkv_bias, self.o_bias, self.mlp_bias = head_dim, qkv_bias, o_bias, mlp_bias
        self.qk_norm, self.rope_frequencies = qk_norm, rope_frequencies
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)

    def option(self, key, default=None):
        return self.attention.get(key, default)


class Routing:
    """Who reads whom: docs/spec/models.md, "Head routing". An entry is (layer, head), a pair of them to be averaged, or None."""

    def __init__(self, c):
        self.L, self.H_kv, self.variant = c.num_hidden_layers, c.num_key_value_heads, c.option("variant")
        self.source, self.injection = c.option("source_layer", 0), c.option("injection", "second_half")
        self.own = self.H_kv - math.ceil(c.option("skip_ratio", 0.5) * self.H_kv - 0.5 - 1e-9)  # 1e-9: 0.14 * 25 is an exact half
        self.skips = self.variant in ("skipv1", "skipv0", "skipkv1", "skipv1_yoco")
        self.table = c.option("table")  # docs/spec/formats.md, "Routing table"

    def layer(self, l, which):
        """The layer whose heads layer `l` reads where whole layers are shared; `which` is "k" or "v"."""
        of_pairs, of_halves = {"k": (("cla",), ("yoco", "skipv1_yoco")), "v": (("cla", "cla_v"), ("yoco", "yoco_v"))}[which]
        if self.variant in of_pairs:
            return l - l % 2
        if self.variant in of_halves:
            return min(l, self.L // 2 - 1)
        return 0 if which == "v" and self.variant == "svformer" else l

    def given(self, which, l, g):
        word = self.table[which][l].split()[g]
        if word == "-":
            return None
        layer, heads = word.split(".")
        names = [(int(layer), int(head)) for head in heads.split("+")]
        return names[0] if len(names) == 1 else tuple(names)

    def key(self, l, g):
        if self.table and "keys" in self.table:
            return self.given("keys", l, g)
        return (0, g) if self.variant == "skipkv1" and g >= self.own else (self.layer(l, "k"), g)

    def value(self, l, g):
        if self.table:
            return self.given("values", l, g)
        if not self.skips or l <= self.source or g < self.own:
            return self.layer(l, "v"), g
        if self.variant == "skipv0":
            return None
        j = g - self.own
        if self.injection == "pooling":
            return (0, j), (0, g)
        if self.injection == "dynamic":
            return 0, (l + j) % self.H_kv
        if self.injection == "odd_even" and l % 2 == 0:
            return 0, j
        return self.source, g

    def read_of(self, l, read):
        names = [read(m, g) for m in range(l, self.L) for g in range(self.H_kv)]
        pairs = [pair for name in names if name for pair in (name if isinstance(name[0], tuple) else (name,))]
        return max((head + 1 for layer, head in pairs if layer == l), default=0)

    def owned(self, l):
        """How many key and value heads layer `l` computes and caches."""
        if self.table:
            return tuple(self.read_of(l, read) for read in (self.key, self.value))
        k = self.H_kv if self.layer(l, "k") == l else 0
        if self.variant == "skipkv1" and l > 0:
            k = self.own
        if self.skips:
            return k, self.own if l > self.source else self.H_kv
        return k, self.H_kv if self.layer(l, "v") == l else 0


class SkipV1Cache:
    """What each layer owns, (B, heads, S, width) by name; nothing is stored twice."""

    is_compileable = False

    def __init__(self, layers):
        self.layers = [{} for _ in range(layers)]
        self.is_linear = [False] * layers

    def append(self, l, **new):
        for name, x in new.items():
            if x is not None:
                self.layers[l][name] = torch.cat((self.layers[l][name], x), 2) if name in self.layers[l] else x

    def get_seq_length(self, layer_idx=0):
        return next(iter(self.layers[0].values())).shape[2] if self.layers[0] else 0

    def crop(self, max_length):
        """Forgets positions `max_length` …; of a negative one the last ones."""
        keep = max_length if max_length >= 0 else max(self.get_seq_length() + max_length, 0)
        self.layers = [{name: x[:, :, :keep] for name, x in layer.items()} for layer in self.layers]

    def elements_per_token(self):
        return sum(x.shape[1] * x.shape[3] for layer in self.layers for x in layer.values())

    def reorder_cache(self, beam_idx):
        self.layers = [{name: x.index_select(0, beam_idx) for name, x in layer.items()} for layer in self.layers]


class Norm(nn.Module):
    def __init__(self, c, width=None):
        super().__init__()
        self.eps, self.weight = c.norm_epsilon, nn.Parameter(torch.ones(width or c.hidden_size))
        self.bias = nn.Parameter(torch.zeros(c.hidden_size)) if c.architecture == "gpt2" else None

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        if self.bias is not None:
            return F.layer_norm(wide, x.shape[-1:], eps=self.eps).to(x.dtype) * self.weight + self.bias
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


def linear(c, rows, columns, bias=False):
    return nn.Linear(columns, rows, bias=bias or c.architecture == "gpt2") if rows else None


def frequencies(c, w, dtype, device):
    """Angles per position of the w / 2 pairs: docs/spec/models.md, "Rotary frequencies"."""
    i, rope = torch.arange(w // 2, dtype=dtype, device=device), c.rope_frequencies or {}
    plain, kind, factor = c.rope_theta ** (-2 * i / w), rope.get("kind", "plain"), rope.get("factor", 1)
    n, divided = rope.get("original_max_position_embeddings"), 0 if kind == "plain" else 1  # 1: wholly divided by the factor
    if kind == "llama3":
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        divided = 1 - ((n * plain / (2 * math.pi) - low) / (high - low)).clamp(0, 1)
    if kind == "yarn":
        low, high = (w * math.log(n / (2 * math.pi * rope.get(f"beta_{beta}", turns))) / (2 * math.log(c.rope_theta))
                     for beta, turns in (("fast", 32), ("slow", 1)))
        if rope.get("truncate", True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, w - 1)
        divided = ((i - low) / (high - low if high != low else 0.001)).clamp(0, 1)
    return divided * plain / factor + (1 - divided) * plain


def magnitude(c):
    """What cosines and sines are multiplied by: YaRN's attention_factor."""
    rope = c.rope_frequencies or {}
    default = max(0.1 * math.log(rope["factor"]) + 1, 1) if rope.get("kind") == "yarn" else 1
    return rope.get("attention_factor", default)


def rotate(c, x, positions):
    """x (B, heads, T, w), positions (B, T); dimensions i and i + w/2 are a pair."""
    wide = torch.promote_types(x.dtype, torch.float32)
    p = positions.to(wide)[:, None, :, None] * frequencies(c, x.shape[-1], wide, x.device)
    a, b = x.chunk(2, -1)
    cos, sin = (magnitude(c) * p.cos()).to(x.dtype), (magnitude(c) * p.sin()).to(x.dtype)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
    def __init__(self, c, l):
        super().__init__()
        self.c, self.l, self.routing = c, l, Routing(c)
        self.variant, self.H = c.option("variant"), c.num_attention_heads
        self.d_h = c.head_dim or c.hidden_size // c.num_attention_heads
        self.mla, self.rotary = "mla" in self.variant, c.architecture == "llama"
        d, H, d_h = c.hidden_size, self.H, self.d_h
        self.width = d_h
        if self.mla:
            self.d_c, self.d_r = c.option("kv_latent_size"), c.option("rotary_size")
            self.width = d_h + self.d_r
            self.kv_down_proj = linear(c, self.d_c // 2 if l and self.variant == "skipv1_mla" else self.d_c, d)
            self.k_up_proj, self.v_up_proj = linear(c, H * d_h, self.d_c), linear(c, H * d_h, self.d_c)
            self.k_rotary_proj = linear(c, self.d_r, d)
        else:
            k, v = self.routing.owned(l)
            self.k_proj, self.v_proj = linear(c, k * d_h, d, c.qkv_bias), linear(c, v * d_h, d, c.qkv_bias)
        self.q_proj, self.o_proj = linear(c, H * self.width, d, c.qkv_bias), linear(c, d, H * d_h, c.o_bias)
        self.q_norm = Norm(c, d_h) if c.qk_norm else None
        self.k_norm = Norm(c, d_h) if c.qk_norm and self.k_proj is not None else None
        self.mixes = l > 0 and "resformer" in (self.variant, c.option("injection"))
        if self.mixes and c.option("learn_value_mix"):
            self.value_mix = nn.Parameter(torch.full((1,), float(c.option("value_mix", 0.5))))
        else:
            self.value_mix = c.option("value_mix", 0.5)

    def heads(self, projection, x, width, norm=None):
        """(B, heads, T, width)"""
        if projection is None:
            return None
        heads = projection(x).unflatten(-1, (-1, width)).transpose(1, 2)
        return heads if norm is None else norm(heads)

    def forward(self, x, positions, mask, cache):
        q = self.heads(self.q_proj, x, self.width, self.q_norm)
        k, v = self.latent_heads(x, positions, cache) if self.mla else self.routed_heads(x, positions, cache)
        if self.mla:
            q = torch.cat((q[..., :self.d_h], rotate(self.c, q[..., self.d_h:], positions)), -1)
        elif self.rotary:
            q = rotate(self.c, q, positions)
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # scaled by 1/sqrt(width of q)
        return self.o_proj(o.transpose(1, 2).flatten(-2))

    def routed_heads(self, x, positions, cache):
        l, k, v = self.l, self.heads(self.k_proj, x, self.d_h, self.k_norm), self.heads(self.v_proj, x, self.d_h)
        if k is not None and self.rotary:
            k = rotate(self.c, k, positions)
        if v is not None and self.mixes:
            first = cache.layers[0]["v"][:, :v.shape[1], -x.shape[1]:]
            v = self.value_mix * v + (1 - self.value_mix) * first
        cache.append(l, k=k, v=v)

        def read(name, entry):
            if entry is None:
                return torch.zeros_like(next(iter(cache.layers[0].values()))[:, 0])
            if isinstance(entry[0], tuple):
                return (read(name, entry[0]) + read(name, entry[1])) / 2
            return cache.layers[entry[0]][name][:, entry[1]]

        groups = range(self.routing.H_kv)
        keys = torch.stack([read("k", self.routing.key(l, g)) for g in groups], 1)  # (B, H_kv, S, d_h)
        values = torch.stack([read("v", self.routing.value(l, g)) for g in groups], 1)
        group = [h * len(groups) // self.H for h in range(self.H)]
        return keys[:, group], values[:, group]

    def latent_heads(self, x, positions, cache):
        cache.append(self.l, c=self.kv_down_proj(x)[:, None], k_r=rotate(self.c, self.k_rotary_proj(x)[:, None], positions))
        c = cache.layers[self.l]["c"]
        if c.shape[-1] < self.d_c:
            c = torch.cat((c, cache.layers[0]["c"][..., self.d_c // 2:]), -1)
        content, v = (self.heads(up, c[:, 0], self.d_h) for up in (self.k_up_proj, self.v_up_proj))
        return torch.cat((content, cache.layers[self.l]["k_r"].expand(-1, self.H, -1, -1)), -1), v


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, f = c.hidden_size, c.intermediate_size
        self.up_proj, self.down_proj = linear(c, f, d, c.mlp_bias), linear(c, d, f, c.mlp_bias)
        self.gate_proj = linear(c, f, d, c.mlp_bias) if c.architecture == "llama" else None

    def forward(self, x):
        up = self.up_proj(x)
        return self.down_proj(F.gelu(up, approximate="tanh") if self.gate_proj is None else F.silu(self.gate_proj(x)) * up)


class Block(nn.Module):
    def __init__(self, c, l):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(c), Norm(c)
        self.self_attn, self.mlp = Attention(c, l), FeedForward(c)

    def forward(self, x, *context):
        x = x + self.self_attn(self.input_layernorm(x), *context)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        gpt2 = c.architecture == "gpt2"
        self.embed_positions = nn.Embedding(c.max_position_embeddings, c.hidden_size) if gpt2 else None
        self.layers, self.norm = nn.ModuleList(Block(c, l) for l in range(c.num_hidden_layers)), Norm(c)
        self.depth_weights = None
        if c.option("variant") == "denseformer":
            self.depth_weights = nn.ParameterList(torch.eye(l + 2)[-1] for l in range(c.num_hidden_layers))

    def forward(self, tokens, positions, mask, cache):
        x = self.embed_tokens(tokens)
        if self.embed_positions is not None:
            x = x + self.embed_positions(positions)
        outputs = [x]
        for l, layer in enumerate(self.layers):
            x = layer(x, positions, mask, cache)
            if self.depth_weights is not None:
                outputs.append(x)
                x = sum(a * y for a, y in zip(self.depth_weights[l], outputs))
        return self.norm(x)


class SkipV1ForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = SkipV1Config
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.model = Decoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module):
        """Normal, standard deviation 0.02; o_proj and down_proj divided by sqrt(2L)."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, Block):
            for last in (module.self_attn.o_proj, module.mlp.down_proj):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * self.config.num_hidden_layers))

    @classmethod
    def _supports_default_dynamic_cache(cls):
        return False

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):
        cache = kwargs.get(CACHE)
        past = cache.get_seq_length() if cache is not None else 0
        use_cache = kwargs.get("use_cache", True)
        return {"input_ids": input_ids[:, past:], "attention_mask": attention_mask, CACHE: cache, "use_cache": use_cache}

    def forward(self, input_ids, attention_mask=None, labels=None, use_cache=True, return_dict=True, logits_to_keep=0, **kwargs):
        """`attention_mask` (B, S): 0 at padding. `labels` as everywhere in transformers: shifted here, -100 ignored."""
        cache = kwargs.get(CACHE)
        if cache is None:
            cache = SkipV1Cache(self.config.num_hidden_layers)
        (B, T), past = input_ids.shape, cache.get_seq_length()
        row, column = torch.arange(past, past + T, device=self.device), torch.arange(past + T, device=self.device)
        mask = (column <= row[:, None]).expand(B, 1, T, -1)
        positions = row.expand(B, T)
        if attention_mask is not None:
            mask = mask & attention_mask[:, None, None].bool() | (column == row[:, None])  # padding sees itself
            positions = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, past:]
        x = self.model(input_ids, positions, mask, cache)
        logits = self.lm_head(x[:, -logits_to_keep:] if logits_to_keep else x)
        loss = None
        if labels is not None:
            wide = logits[:, :-1].flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32))
            loss = F.cross_entropy(wide, labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE: cache if use_cache else None})


AutoConfig.register("skipv1", SkipV1Config)
AutoModelForCausalLM.register(SkipV1Config, SkipV1ForCausalLM)
