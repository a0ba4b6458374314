"""What skipv1-export writes loads in transformers without a word of this project, and computes each case's logits in f64.

    python tests/conformance/pytorch/export_test.py build/default/bin/skipv1-export [CASE…]   # exit status 77 where transformers is missing
"""
import os
import pathlib
import subprocess
import sys
import tempfile

cache = tempfile.TemporaryDirectory()
os.environ["HF_HOME"] = cache.name  # where transformers copies the model file to
try:
    import torch
    import transformers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from cases import Case
from cases import error
from run import to_numpy

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLAIN = {"LlamaForCausalLM", "GPT2LMHeadModel"}


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    folders = sys.argv[2:] or sorted(path.parent for path in (ROOT / "data/conformance").glob("*/model.safetensors"))
    failures, kinds = 0, {}
    for case in map(Case, folders):
        with tempfile.TemporaryDirectory() as work, torch.no_grad():
            out = f"{work}/{case.name}"
            subprocess.run([sys.argv[1], case.folder, "--out", out, "--dtype", "F64"], check=True, stdout=subprocess.DEVNULL)
            plain = not (pathlib.Path(out) / "modeling_skipv1.py").exists()
            model = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float64, trust_remote_code=not plain).eval()
            tokens = torch.from_numpy(case.tokens).long()
            e = error(to_numpy(model(tokens).logits), case.logits)
            options = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
            short = tokens[:1, :5]
            greedy = short
            for _ in range(4):
                greedy = torch.cat((greedy, model(greedy).logits[:, -1:].argmax(-1)), 1)
            same = model.generate(short, attention_mask=torch.ones_like(short), **options).tolist() == greedy.tolist()
        kind = type(model).__name__
        kinds[kind] = kinds.get(kind, 0) + 1
        # transformers' own models take norms and angles in float32, even in a float64 model
        bound = 2e-6 if kind in PLAIN else 1e-12
        if not e <= bound or not same or (kind in PLAIN) != plain:
            failures += 1
            print(f"{case.name}: {kind}: error {e:.1e}, bound {bound:.0e}; generation {'equal' if same else 'differs'}")
    print(f"{len(folders)} cases, {kinds}; {failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
