"""Folders that transformers writes are read exactly: loss, logits, gradients and greedy tokens of random small models of each
architecture and feature; what is exported again is the same model in transformers. Our own models with these features equal
docs/pytorch/modeling_skipv1.py and the independent model.

    python tests/conformance/pytorch/import_test.py build/default/bin     # exit status 77 where transformers is missing
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "docs/pytorch"))
home = tempfile.TemporaryDirectory()
os.environ["HF_HOME"] = home.name  # where transformers copies a model file to
try:
    import torch
    import transformers
    from modeling_skipv1 import SkipV1Config
    from modeling_skipv1 import SkipV1ForCausalLM
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

import numpy as np

from cases import error
from cases import read_safetensors
from draw import shapes
from model import Model
from run import to_numpy

SIZES = {"vocab_size": 256, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 64}
SCALED = {"factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 100.0}
LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 0.5, "high_freq_factor": 2.0, **SCALED}
YARN = {"rope_type": "yarn", "beta_fast": 2.0, "beta_slow": 0.25, **SCALED}


def llama(**changes):
    return "Llama", {**SIZES, **changes}


def rope(**parameters):
    return llama(rope_parameters={"rope_theta": 100.0, **parameters})


MODELS = {
    "llama": llama(),
    "llama, tied": llama(tie_word_embeddings=True, num_key_value_heads=1),
    "llama, head_dim": llama(head_dim=20),
    "llama, attention_bias": llama(attention_bias=True, num_key_value_heads=4),
    "llama, mlp_bias": llama(mlp_bias=True),
    "llama, all": llama(head_dim=8, attention_bias=True, mlp_bias=True, rope_parameters=LLAMA3),
    "llama, linear": rope(rope_type="linear", factor=3.0),
    "llama, dynamic": rope(rope_type="dynamic", factor=3.0),
    "llama, llama3": rope(**LLAMA3),
    "llama, yarn": rope(**YARN),
    "llama, yarn, not truncated": rope(**YARN, truncate=False),
    "llama, yarn, attention_factor": rope(**YARN, attention_factor=0.7),
    "llama, yarn, mscale": rope(**YARN, mscale=0.9, mscale_all_dim=0.4),
    "qwen2": ("Qwen2", SIZES),
    "qwen2, yarn": ("Qwen2", {**SIZES, "rope_parameters": YARN}),
    "qwen2, window without effect": ("Qwen2", {**SIZES, "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {**SIZES, "head_dim": 16}),
    "qwen3, all": ("Qwen3", {**SIZES, "head_dim": 8, "attention_bias": True, "tie_word_embeddings": True, "rope_parameters": YARN,
                             "hidden_size": 50}),
    "mistral": ("Mistral", {**SIZES, "head_dim": 10, "sliding_window": None}),
    "mistral, window without effect": ("Mistral", {**SIZES, "sliding_window": 64}),
    "gpt2": ("GPT2", {"vocab_size": 256, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 64}),
}
EXPORTED = {"Mistral": "Llama"}  # the others stay what they are
OLDER = ("llama, linear", "llama, dynamic", "llama, llama3", "llama, yarn", "qwen2, yarn")  # also as older versions write them

FEATURES = {"head_dim": 16, "qkv_bias": True, "o_bias": True, "mlp_bias": True, "qk_norm": True}
OWN_LLAMA3 = {"kind": "llama3", "factor": 4.0, "original_max_position_embeddings": 16, "low_freq_factor": 0.5, "high_freq_factor": 2.0}
OWN_YARN = {"kind": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 2.0, "beta_slow": 0.25}
OWN = [
    {"attention": {"variant": "skipv1"}, **FEATURES, "rope_frequencies": OWN_YARN},
    {"attention": {"variant": "gqa"}, "o_bias": True, "rope_frequencies": {"kind": "linear", "factor": 2.0}},
    {"attention": {"variant": "gqa"}, "qkv_bias": True, "mlp_bias": True, "head_dim": 10},
    {"attention": {"variant": "skipkv1"}, **FEATURES, "rope_frequencies": OWN_LLAMA3},
    {"attention": {"variant": "svformer"}, "qk_norm": True, "rope_frequencies": {**OWN_YARN, "truncate": False, "attention_factor": 0.8}},
    {"attention": {"variant": "cla"}, **FEATURES},
    {"attention": {"variant": "resformer"}, "qkv_bias": True, "qk_norm": True, "hidden_size": 50, "head_dim": 6},
    {"attention": {"variant": "denseformer"}, **FEATURES},
    {"attention": {"variant": "mla", "kv_latent_size": 12, "rotary_size": 8}, "num_key_value_heads": 4, "head_dim": 6, "o_bias": True,
     "mlp_bias": True, "rope_frequencies": OWN_YARN},
    # Layer 0's key heads in another order; a key head that two read; a mean; heads that read nothing, in all of layer 0 too.
    {"attention": {"variant": "table", "table": {"values": ["0.1 0.0", "0.0 1.0", "0.1 0.0+1", "- 1.0"],
                                                 "keys": ["0.1 0.0", "1.0 0.1", "2.0 2.1", "3.1 3.0"]}}},
    {"attention": {"variant": "table", "table": {"values": ["- -", "1.0 1.1", "1.0 -", "- -"], "keys": ["0.0 0.0", "1.0 1.1", "0.0 1.1", "3.0 3.1"]}}},
]


def draw(model, seed):
    """Random weights where mistakes show: biases not 0, norms not 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, x in model.named_parameters():
            normal = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            norm = name.endswith("weight") and ("norm" in name or ".ln_" in name)
            turned = "c_attn" in name or "c_proj" in name or "c_fc" in name  # GPT-2's matrices are (in, out)
            sigma = 0.2 if x.dim() == 1 else 0.5 if "embed" in name or ".wte" in name or ".wpe" in name else x.shape[0 if turned else 1] ** -0.5
            x.copy_((1.0 if norm else 0.0) + sigma * normal)


def older(folder):
    """Rewrites a config.json to the keys of transformers 4: rope_theta and rope_scaling with "type"."""
    path = pathlib.Path(folder) / "config.json"
    config = json.loads(path.read_text())
    scaling = config.pop("rope_parameters")
    config["rope_theta"] = scaling.pop("rope_theta")
    scaling["type"] = scaling.pop("rope_type")
    config["rope_scaling"] = scaling
    path.write_text(json.dumps(config))


# Changes of a config.json as people make them: each is refused, or gives transformers' logits.
YARN_NULL = {**YARN, "rope_type": "yarn"}
EDITS = [("Llama", {"is_causal": False}), ("GPT2", {"is_causal": False}), ("Llama", {"is_causal": True}),
         ("GPT2", {"num_attention_heads": 2}), ("GPT2", {"num_attention_heads": 4}), ("GPT2", {"hidden_size": 5}),
         ("GPT2", {"num_hidden_layers": 2}), ("Llama", {"per_layer_config": {"1": {"intermediate_size": 8}}}),
         ("Llama", {"num_key_value_heads": None}), ("Qwen2", {"num_key_value_heads": None}), ("Llama", {"head_dim": None}),
         ("Llama", {"layer_types": None}), ("Llama", {"rms_norm_eps": None}), ("Llama", {"tie_word_embeddings": None}), ("Llama", {"rope_theta": None}),
         *(("Llama", {"rope_parameters": {**YARN_NULL, key: None}}) for key in (*YARN_NULL, "truncate", "attention_factor", "mscale", "hello"))]


class Programs:
    def __init__(self, folder, work):
        self.bin, self.work = pathlib.Path(folder), pathlib.Path(work)
        self.tokens = np.random.default_rng(7).integers(0, 256, (2, 40)).astype(np.int32)
        np.save(self.work / "tokens.npy", self.tokens)
        self.count = 0

    def call(self, program, *options):
        subprocess.run([str(self.bin / f"skipv1-{program}"), *map(str, options)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE)

    def fresh(self):
        self.count += 1
        return self.work / str(self.count)

    def run(self, model):
        """(logits, loss, gradients) of a folder in float64."""
        out = self.fresh()
        self.call("run", model, "--tokens", self.work / "tokens.npy", "--grads", "--out", out)
        loss = json.loads((out / "expected.json").read_text())["loss"]
        return np.load(out / "logits.npy"), loss, read_safetensors(out / "grads.safetensors")

    def export(self, model, dtype):
        out = self.fresh()
        self.call("export", model, "--out", out, "--dtype", dtype)
        return out

    def greedy(self, model, prompt, count):
        out = self.work / "said.json"
        self.call("generate", model, "--prompt", prompt, "--temperature", 0, "--count", count, "--json", out)
        return json.loads(out.read_text())["tokens"]


def theirs(model, tokens):
    """(logits, loss, gradients) of a transformers model."""
    x = torch.from_numpy(tokens).long()
    logits = model(x).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), x[:, 1:].flatten())
    loss.backward()
    return to_numpy(logits), loss.item(), {name: to_numpy(p.grad) for name, p in model.named_parameters() if p.grad is not None}


def differences(found, expected):
    """{what: error} of logits, loss and the worst gradient."""
    largest = max(np.abs(g).max() for g in expected[2].values())
    result = {"logits": error(found[0], expected[0]), "loss": abs(found[1] - expected[1]) / abs(expected[1])}
    if set(expected[2]) <= set(found[2]):  # GPT-2's have other names
        worst = max(expected[2], key=lambda name: error(found[2][name], expected[2][name], 0.01 * largest))
        result[f"gradient of {worst}"] = error(found[2][worst], expected[2][worst], 0.01 * largest)
    return result


def greedy_tokens(model, prompt, count):
    ids = torch.tensor([list(prompt.encode())])
    options = {"max_new_tokens": count, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    return model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0].tolist()


def load(folder, dtype, **options):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options).eval()


def check_theirs(programs, title, kind, config, as_older):
    """Failures of one of transformers' models."""
    model = getattr(transformers, f"{kind}{'LMHeadModel' if kind == 'GPT2' else 'ForCausalLM'}")(
        getattr(transformers, f"{kind}Config")(**config))
    draw(model, 11)
    folder = programs.fresh()
    model.save_pretrained(folder)
    if as_older:
        older(folder)
    expected = theirs(load(folder, torch.float64), programs.tokens)
    found = differences(programs.run(folder), expected)
    exported = programs.export(folder, "f32")
    again = load(exported, torch.float64)
    found["exported logits"] = error(to_numpy(again(torch.from_numpy(programs.tokens).long()).logits), expected[0])
    bad = [f"{what}: {e:.1e}" for what, e in found.items() if not e <= (1e-4 if "gradient" in what else 1e-5)]
    wanted = EXPORTED.get(kind, kind)
    if not type(again).__name__.startswith(wanted):
        bad.append(f"exported as {type(again).__name__}")
    prompt = "To be, or not"
    said = programs.greedy(exported, prompt, 20)
    if said != greedy_tokens(load(exported, torch.float32), prompt, 20):
        bad.append("greedy tokens differ")
    print(f"{title}{' (older keys)' if as_older else ''}: " + ", ".join(f"{what} {e:.1e}" for what, e in found.items()))
    return bad


def check_edit(programs, kind, edit):
    """Failures of a folder whose config.json was edited: what is accepted is what transformers makes of it."""
    _, config = MODELS["gpt2"] if kind == "GPT2" else ("", {**SIZES, "num_key_value_heads": 4})
    model = getattr(transformers, f"{kind}{'LMHeadModel' if kind == 'GPT2' else 'ForCausalLM'}")(
        getattr(transformers, f"{kind}Config")(**config))
    draw(model, 17)
    folder = programs.fresh()
    model.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **edit}))
    try:
        found, _, _ = programs.run(folder)
    except subprocess.CalledProcessError as refusal:
        return [] if refusal.returncode == 2 and next(iter(edit)) in refusal.stderr.decode() else [f"{edit}: {refusal.stderr.decode()}"]
    with torch.no_grad():
        wanted = to_numpy(load(folder, torch.float64)(torch.from_numpy(programs.tokens).long()).logits)
    return [] if error(found, wanted) <= 1e-5 else [f"{edit}: accepted, and other logits than transformers': {error(found, wanted):.1e}"]


def check_own(programs, changes):
    """Failures of one of our models with features, beside the model file for transformers."""
    config = {"architecture": "llama", "norm_epsilon": 1e-5, "rope_theta": 100.0, "tie_word_embeddings": False, **SIZES,
              "num_hidden_layers": 4, **changes}
    config["num_key_value_heads"] = config["attention"].pop("kv", config["num_key_value_heads"])
    model = SkipV1ForCausalLM(SkipV1Config(**config)).double()
    draw(model, 13)
    folder = programs.fresh()
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    found = differences(programs.run(folder), theirs(model, programs.tokens))
    exported = programs.export(folder, "f64")
    tokens, weights = torch.from_numpy(programs.tokens).long(), dict(model.state_dict())
    with torch.no_grad():
        expected, again = to_numpy(model(tokens).logits), load(exported, torch.float64, trust_remote_code=True)
        found["exported logits"] = error(to_numpy(again(tokens).logits), expected)
        independent = Model(config, weights).forward(tokens, [{} for _ in range(config["num_hidden_layers"])])
        found["independent logits"] = error(to_numpy(independent), expected)
    bad = [f"{what}: {e:.1e}" for what, e in found.items() if not e <= 1e-10]
    if shapes(config) != {name: tuple(x.shape) for name, x in weights.items()}:
        bad.append("other tensors than draw.py says")
    prompt = "To be, or not"
    if programs.greedy(exported, prompt, 20) != greedy_tokens(again.float(), prompt, 20):
        bad.append("greedy tokens differ")
    print(f"{config['attention']['variant']}: " + ", ".join(f"{what} {e:.1e}" for what, e in found.items()))
    return bad


def main():
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    failures = 0
    with tempfile.TemporaryDirectory() as work:
        programs = Programs(sys.argv[1], work)
        checks = [(title, check_theirs, (title, *MODELS[title], False)) for title in MODELS]
        checks += [(title, check_theirs, (title, *MODELS[title], True)) for title in OLDER]
        checks += [(changes["attention"]["variant"], check_own, (changes,)) for changes in OWN]
        checks += [(kind, check_edit, (kind, edit)) for kind, edit in EDITS]
        for title, check, arguments in checks:
            try:
                bad = check(programs, *arguments)
            except subprocess.CalledProcessError as error_of_program:
                bad = [error_of_program.stderr.decode().strip()]
            for line in bad:
                failures += 1
                print(f"{title}: FAILED: {line}")
    print(f"{len(checks)} models, {failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
