"""The weights of a case that is drawn from its seed (docs/conformance.md, "Drawn cases"), in NumPy alone."""
import numpy as np

M64 = (1 << 64) - 1


def mix(z):
    """SplitMix64's finaliser (Steele et al. 2014), of an int or of a uint64 array."""
    if isinstance(z, int):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & M64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & M64
        return z ^ (z >> 31)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def state(seed):
    return mix(seed ^ 0x5851F42D4C957F2D)


def fnv1a(text):
    """64 bits."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & M64
    return h


def normal(seed, name, count):
    """`count` standard normal numbers of stream `name` of `seed`, by Box and Muller: two uniform numbers for each."""
    stream = state(mix(state(seed) + mix(fnv1a(name) + 1 & M64) & M64))
    counter = np.arange(1, 2 * count + 1, dtype=np.uint64)
    bits = mix(np.uint64(stream) + np.uint64(0x9E3779B97F4A7C15) * counter)
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.sqrt(-2 * np.log(1 - uniform[0::2])) * np.cos(2 * np.pi * uniform[1::2])


def shapes(c):
    """Name -> shape of every tensor that configuration `c` stores: docs/spec/formats.md, "Tensor names"."""
    a, gpt2 = c["attention"], c["architecture"] == "gpt2"
    d, L, H, H_kv = c["hidden_size"], c["num_hidden_layers"], c["num_attention_heads"], c["num_key_value_heads"]
    inner, vocab, d_h, variant = c["intermediate_size"], c["vocab_size"], c.get("head_dim", d // H), a["variant"]
    qkv_bias, o_bias, mlp_bias = (gpt2 or c.get(key, False) for key in ("qkv_bias", "o_bias", "mlp_bias"))
    own = H_kv - int(np.ceil(a.get("skip_ratio", 0.5) * H_kv - 0.5 - 1e-9))
    result = {}

    def linear(name, rows, columns, bias=False):
        if rows:
            result[name + ".weight"] = (rows, columns)
            if bias:
                result[name + ".bias"] = (rows,)

    def norm(name):
        result[name + ".weight"] = (d,)
        if gpt2:
            result[name + ".bias"] = (d,)

    def table_heads(l, which):
        """The heads that a table of one's own lets layer `l` own: up to the last that is read."""
        named = [word.split(".") for row in a["table"][which] for word in row.split() if word != "-"]
        return max((int(head) + 1 for layer, heads in named for head in heads.split("+") if int(layer) == l), default=0)

    def key_heads(l):
        if "keys" in a.get("table", {}):
            return table_heads(l, "keys")
        if variant == "skipkv1":
            return H_kv if l == 0 else own
        halved = variant in ("yoco", "skipv1_yoco") and l >= L // 2
        return 0 if halved or variant == "cla" and l % 2 else H_kv

    def value_heads(l):
        if variant == "table":
            return table_heads(l, "values")
        if variant.startswith("skip"):
            return H_kv if l <= a.get("source_layer", 0) else own
        if variant == "svformer":
            return H_kv if l == 0 else 0
        halved = variant in ("yoco", "yoco_v") and l >= L // 2
        return 0 if halved or variant in ("cla", "cla_v") and l % 2 else H_kv

    result["model.embed_tokens.weight"] = (vocab, d)
    if gpt2:
        result["model.embed_positions.weight"] = (c["max_position_embeddings"], d)
    for l in range(L):
        layer = f"model.layers.{l}."
        attention, mlp = layer + "self_attn.", layer + "mlp."
        norm(layer + "input_layernorm")
        if variant in ("mla", "skipv1_mla"):
            d_c, d_r = a["kv_latent_size"], a["rotary_size"]
            linear(attention + "q_proj", H * (d_h + d_r), d)
            linear(attention + "kv_down_proj", d_c if variant == "mla" or l == 0 else d_c // 2, d)
            linear(attention + "k_up_proj", H * d_h, d_c)
            linear(attention + "v_up_proj", H * d_h, d_c)
            linear(attention + "k_rotary_proj", d_r, d)
        else:
            linear(attention + "q_proj", H * d_h, d, qkv_bias)
            linear(attention + "k_proj", key_heads(l) * d_h, d, qkv_bias)
            linear(attention + "v_proj", value_heads(l) * d_h, d, qkv_bias)
            if c.get("qk_norm", False):
                result.update({attention + f"{x}_norm.weight": (d_h,) for x in ("q", "k") if x == "q" or key_heads(l)})
        linear(attention + "o_proj", d, H * d_h, o_bias)
        if variant == "resformer" and a.get("learn_value_mix") and l > 0:
            result[attention + "value_mix"] = (1,)
        norm(layer + "post_attention_layernorm")
        if not gpt2:
            linear(mlp + "gate_proj", inner, d, mlp_bias)
        linear(mlp + "up_proj", inner, d, mlp_bias)
        linear(mlp + "down_proj", d, inner, mlp_bias)
        if variant == "denseformer":
            result[f"model.depth_weights.{l}"] = (l + 2,)
    norm("model.norm")
    if not gpt2 and not c["tie_word_embeddings"]:
        result["lm_head.weight"] = (vocab, d)
    return result


def rounded(x, dtype):
    """float32 numbers as `dtype` (F32, BF16) holds them: to nearest, ties to even."""
    if dtype == "F32":
        return x
    bits = x.view(np.uint32)
    return (bits + 0x7FFF + (bits >> 16 & 1) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def draw_weights(config, seed, dtype):
    """Name -> float64 array of numbers that `dtype` (F64, F32, BF16) holds."""
    weights = {}
    for name, shape in shapes(config).items():
        sigma = 0.8 if "embed" in name else 1 / np.sqrt(shape[1]) if len(shape) == 2 else 0.2
        center = 1 if "norm.weight" in name else config["attention"].get("value_mix", 0.5) if "value_mix" in name else 0
        start = np.full(shape, center, np.float64)
        if "depth_weights" in name:
            start[-1] = 1
        x = start + sigma * normal(seed, name, start.size).reshape(shape)
        weights[name] = x if dtype == "F64" else rounded(x.astype(np.float32), dtype).astype(np.float64)
    return weights
