"""docs/pytorch/train.py: its model is that of the specification, its schedule the library's, its tables what its files give.

    python tests/conformance/pytorch/training_test.py          # exit status 77 where PyTorch 2.4 is missing
"""
import contextlib
import io
import math
import pathlib
import sys

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
if not hasattr(torch.nn, "RMSNorm"):
    print(f"skipped: PyTorch {torch.__version__} is older than 2.4")
    sys.exit(77)

import model as specified

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "docs/pytorch"))
import train

SIZE = dict(vocab=50, width=32, layers=3, feed_forward=48, batch=2, peak=2e-3, steps=20, length=8)


def in_words_of_the_specification(net, variant):
    names = {"embedding": "model.embed_tokens", "norm": "model.norm", "head": "lm_head", "norm1": "input_layernorm",
             "norm2": "post_attention_layernorm", "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj",
             "o": "self_attn.o_proj", "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
    weights = {}
    for name, x in net.named_parameters():
        *block, part, kind = name.split(".")
        weights[f"model.layers.{block[1]}.{names[part]}.{kind}" if block else f"{names[part]}.{kind}"] = x
    config = {"architecture": "llama", "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 8, "hidden_size": 32,
              "norm_epsilon": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "attention": {"variant": variant}}
    return specified.Model(config, weights)


def check_model(variant):
    torch.manual_seed(1)
    net = train.build(SIZE, variant).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    tokens, targets = torch.randint(50, (2, 8)), torch.randint(50, (2, 8))
    other = in_words_of_the_specification(net, variant)
    expected = other.loss(other.forward(tokens, [{} for _ in range(3)]), targets)
    found = net(tokens, targets)
    assert abs(found.item() - expected.item()) < 1e-6, (variant, found.item(), expected.item())


def check_schedule():
    rates = [train.rate(step, 20, 1.0) for step in range(20)]
    assert rates[:2] == [0.5, 1.0] and math.isclose(rates[-1], 0.1) and rates[1:] == sorted(rates[1:], reverse=True), rates


def check_run():
    ids = torch.arange(2000) % 7
    runs = []
    for variant in train.VARIANTS:
        run = train.train(SIZE, variant, 1, ids, ids[:100], "cpu")
        assert run["final_tokens"] == 99 and run["final_nats_per_token"] < math.log(50), run
        runs += [{"label": f"10M-13M/{variant}@4e-3", "seed": 1, **run}]
    library = [{"label": f"{variant}@4e-3", "seed": seed, "final_nats_per_token": 4.0 + 0.5 * seed, "train_nats_per_token": [9.0, 3.0]}
               for variant in train.VARIANTS for seed in (1, 2)]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        train.table({"runs": runs}, [library])
    assert "| held out |" in out.getvalue() and "| 4.7500 ± 0.3536 | 2 |" in out.getvalue(), out.getvalue()
    assert train.interval([1.0, 2.0, 3.0]) == "+2.0000 [-0.4843, +4.4843], n = 3"
    assert train.apart([1.0, 3.0], [0.0, 2.0]) == "+1.0000"  # two runs give no interval
    assert train.apart([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]) == "+1.0000 [-1.2666, +3.2666]"  # Welch: four degrees of freedom


for variant in train.VARIANTS:
    check_model(variant)
check_schedule()
check_run()
print("train.py: model, schedule, a run and its table are right")
