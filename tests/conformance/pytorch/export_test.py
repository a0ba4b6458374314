"""What skipv1-export writes loads in transformers without a word of this project, and computes each case's logits in f64; the tokenizer
beside a model goes along.

    python tests/conformance/pytorch/export_test.py build/default/bin/skipv1-export [CASE…]   # exit status 77 where transformers is missing
"""
import os
import pathlib
import shutil
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
PLAIN = {"LlamaForCausalLM", "Qwen2ForCausalLM", "GPT2LMHeadModel"}


def keeps_tokenizer(program, case, work):
    """Whether AutoTokenizer reads in the exported folder what lay beside the model; None where tokenizers is missing."""
    try:
        import tokenizers
    except ImportError:
        return None
    text, level = "hello world, this is 1 text", tokenizers.pre_tokenizers.ByteLevel
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = level(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=level.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([text] * 3, trainer)
    model, out = f"{work}/with_tokenizer", f"{work}/exported_with_tokenizer"
    shutil.copytree(case, model)
    tokenizer.save(f"{model}/tokenizer.json")
    subprocess.run([program, model, "--out", out], check=True, stdout=subprocess.DEVNULL)
    return transformers.AutoTokenizer.from_pretrained(out, trust_remote_code=True)(text).input_ids == tokenizer.encode(text).ids


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
    for name in ("gpt2_mha", "llama_mha", "llama_skipv1"):
        with tempfile.TemporaryDirectory() as work:
            if keeps_tokenizer(sys.argv[1], ROOT / "data/conformance" / name, work) is False:
                failures += 1
                print(f"{name}: the exported tokenizer gives other ids")
    print(f"{len(folders)} cases, {kinds}; {failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
