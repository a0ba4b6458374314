"""docs/pytorch/modeling_skipv1.py held to every case: logits, loss and gradients in f64, the steps of decoding, the cache's bytes,
generation, and what it saves.

    python tests/conformance/pytorch/transformers_test.py [CASE…]       # exit status 77 where transformers is missing
"""
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "docs/pytorch"))
try:
    import torch
    import transformers
    from modeling_skipv1 import CACHE
    from modeling_skipv1 import SkipV1Cache
    from modeling_skipv1 import SkipV1Config
    from modeling_skipv1 import SkipV1ForCausalLM
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import numpy as np

import decoding as decodings
from cases import Case
from cases import Outputs
from cases import compare
from model import Model
from run import prepare
from run import run
from run import to_numpy


def load(case):
    if not case.drawn:
        return SkipV1ForCausalLM.from_pretrained(case.folder, dtype=torch.float64)
    model = SkipV1ForCausalLM(SkipV1Config(**case.config)).double()
    weights = {name: torch.from_numpy(w) for name, w in case.weights.items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model


def outputs(case, model):
    tokens, targets = torch.from_numpy(case.tokens).long(), torch.from_numpy(case.targets).long()
    out = model(tokens)
    loss = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    loss.backward()
    parameters = dict(model.named_parameters())
    grads = {name: to_numpy(torch.zeros_like(p) if p.grad is None else p.grad) for name, p in parameters.items()}
    decoded, cache, T = [], None, tokens.shape[1]
    with torch.no_grad():
        for chunk in tokens.split([T // 2, 1, T - T // 2 - 1], 1):
            step = model(chunk, **({CACHE: cache} if cache is not None else {}))
            cache = step[CACHE]
            decoded.append(step.logits)
    return Outputs(to_numpy(out.logits), [to_numpy(torch.cat(decoded, 1))], loss.item(), grads, cache.elements_per_token(),
                   sum(p.numel() for p in parameters.values()))


def pass_on(model, tokens, cache, mask=None):
    with torch.no_grad():
        return model(torch.tensor(tokens), attention_mask=mask, **{CACHE: cache}).logits


def decode_alone(model, steps, batch):
    """(logits, elements) after each step, each sequence in a cache of its own, which `crop` cuts."""
    caches, logits, elements = [SkipV1Cache(model.config.num_hidden_layers) for _ in range(batch)], [], []
    for step in steps:
        for cache, keep in zip(caches, step["keep"]):
            cache.crop(keep)
        rows = [to_numpy(pass_on(model, [x], cache)[0]) for cache, x in zip(caches, step["tokens"]) if x]
        logits.append(np.concatenate(rows))
        elements.append(sum(cache.elements_per_token() * cache.get_seq_length() for cache in caches))
    return logits, elements


def decode_batch(model, steps, batch):
    """Logits of each step as one batch: a shorter chunk is padded on the left, what is cut is masked."""
    cache, mask, logits = SkipV1Cache(model.config.num_hidden_layers), torch.zeros(batch, 0, dtype=torch.long), []
    for step in steps:
        for b, keep in enumerate(step["keep"]):
            mask[b] *= mask[b].cumsum(0) <= keep
        width = max(map(len, step["tokens"]))
        mask = torch.cat((mask, torch.tensor([[0] * (width - len(x)) + [1] * len(x) for x in step["tokens"]])), 1)
        rows = pass_on(model, [[0] * (width - len(x)) + x for x in step["tokens"]], cache, mask)
        logits.append(np.concatenate([to_numpy(rows[b, width - len(x):]) for b, x in enumerate(step["tokens"])]))
    return logits


def check_decoding(case, model):
    """[(check, tensor, error, bound)] of the case's steps, sequence by sequence and as one batch."""
    d = decodings.Decoding(case)
    logits, elements = decode_alone(model, d.steps, d.batch)
    found = decodings.compare(d, "f64", logits, elements) + decodings.compare(d, "f64", decode_batch(model, d.steps, d.batch), elements)
    return [("decoding", *x) for x in found]


def greedy(case, prompt, count):
    """`prompt` and the `count` tokens that follow it, from the independent model without a cache."""
    model, tokens = Model(case.config, prepare(case, "f64")[0]), prompt
    with torch.no_grad():
        for _ in range(count):
            logits = model.forward(tokens, [{} for _ in range(model.L)])
            tokens = torch.cat((tokens, logits[:, -1:].argmax(-1)), 1)
    return tokens


def check_generation(case, model):
    """generate() through the cache, of a batch whose second prompt is padded on the left, equals the independent model's tokens."""
    prompt = torch.from_numpy(case.tokens[:1, :4]).long()
    padded = torch.cat((prompt, torch.cat((prompt.new_zeros(1, 2), prompt[:, :2]), 1)))
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    found = model.generate(padded, attention_mask=mask, max_new_tokens=5, do_sample=False, pad_token_id=0, eos_token_id=None)
    assert found[:1].tolist() == greedy(case, prompt, 5).tolist(), f"{case.name}: generate() differs"
    options = {"num_beams": 3, "max_new_tokens": 5, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    beams = [model.generate(prompt, use_cache=use_cache, **options).tolist() for use_cache in (True, False)]
    assert beams[0] == beams[1], f"{case.name}: beam search differs without a cache"
    assert found[1:, 2:].tolist() == greedy(case, prompt[:, :2], 5).tolist(), f"{case.name}: generate() of a padded prompt differs"


def check_saving(case, model):
    """What save_pretrained writes loads as the same model through AutoModelForCausalLM: weights to the bit, logits but for rounding,
    as a matrix product's last bits may depend on where a weight lies in memory."""
    tokens = torch.from_numpy(case.tokens).long()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(folder)
        again = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
        weights = again.state_dict()
        assert model.state_dict().keys() == weights.keys(), f"{case.name}: other tensors once saved"
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, weights[name]), f"{case.name}: {name} differs once saved"
        assert torch.allclose(model(tokens).logits, again(tokens).logits, rtol=1e-12, atol=1e-12), f"{case.name}: differs once saved"


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    folders = sys.argv[1:] or sorted(path.parent for path in (ROOT / "data/conformance").glob("*/config.json"))
    failures = 0
    for folder in folders:
        case = Case(folder)
        case.grads = case.grads or run(case).grads
        model = load(case)
        for kind, tensor, e, bound in compare(case, outputs(case, model), "f64") + check_decoding(case, model):
            if not e <= bound:
                failures += 1
                print(f"{case.name}: {kind} {tensor}: error {e:.1e}, bound {bound:.0e}")
        check_generation(case, model)
        check_saving(case, model)
    print(f"{len(folders)} cases, {failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
