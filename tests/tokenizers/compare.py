"""tokenizer.json held to the packages tokenizers and transformers: ids and texts of every kind that is read, the losses of small
random models, greedy text, and that spoiled files are refused.

    python tests/tokenizers/compare.py ENCODE PROGRAMS       # exit status 77 where a package is missing
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import transformers
    from tokenizers import Tokenizer
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import kinds

LENGTH = 32  # tokens of a window
failures = 0


def fail(*words):
    global failures
    failures += 1
    print(*words)


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], capture_output=True, encoding="utf-8", errors="replace")


def write(folder, name, object):
    (folder / name).write_text(json.dumps(object, ensure_ascii=False), encoding="utf-8")


def joined(texts):
    """A file of text has no NUL."""
    return "".join(texts).replace("\0", "")


# Ids and texts.


def check_ids(encode, folder, kind):
    object = kinds.as_file(kind, seed=3)
    write(folder, "tokenizer.json", object)
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = kinds.texts(99, 1000) + ["", " ", "".join(map(chr, range(1, 0x250)))]
    raw = [text.encode() for text in texts]
    (folder / "texts").write_bytes(b"".join(struct.pack("<I", len(text)) + text for text in raw))
    done = run(encode, folder / "tokenizer.json", folder / "texts")
    if done.returncode:
        return fail(f"{kind}: {done.stderr}")
    first, *lines = done.stdout.splitlines()
    start = theirs.encode("x").ids[0] if kind == "llama3" else -1
    if first != f"{theirs.get_vocab_size()} {start}":
        fail(f"{kind}: {first} pieces and start mark, expected {theirs.get_vocab_size()} {start}")
    refused = 0
    for text, line in zip(texts, lines, strict=True):
        wanted = theirs.encode(text, add_special_tokens=False).ids
        if kind == "qwen2" and line.startswith("refused: ") and "NFC may change" in line:
            refused += 1
            continue
        ids, _, shown = line.partition("= ")
        if ids.split() != [str(id) for id in wanted]:
            fail(f"{kind}: {text!r} is {line}, expected {wanted}")
        elif (decoded := theirs.decode(wanted)).encode().hex() != shown and "\ufffd" not in decoded:
            fail(f"{kind}: {text!r} comes back as {shown}, expected {decoded.encode().hex()}")
    print(f"{kind}: {len(texts) - refused} texts, {refused} refused for NFC")
    if refused > len(texts) // 2:
        fail(f"{kind}: too many are refused")


# Losses and greedy text.


def model_of(kind, rows):
    torch.manual_seed(5)
    if kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=rows, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0)
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(vocab_size=rows, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                                          num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=kind != "llama3")
        model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.3)
    return model.eval().double()


def loss_of(model, ids):
    """Mean loss of every token but the first, in windows that lie side by side."""
    total = 0.0
    with torch.no_grad():
        for begin in range(0, len(ids) - 1, LENGTH):
            window = torch.tensor([ids[begin:begin + LENGTH + 1]])
            logits = model(window[:, :-1]).logits
            total += torch.nn.functional.cross_entropy(logits[0], window[0, 1:], reduction="sum").item()
    return total / (len(ids) - 1)


def evaluate(programs, *arguments):
    done = run(programs / "skipv1-eval", *arguments, "--length", LENGTH, "--dtype", "f64", "--threads", 1, "--json", "-")
    return json.loads(done.stdout) if done.returncode == 0 else fail(f"skipv1-eval {arguments}: {done.stderr}")


def save(folder, kind, padding):
    """A random model with its tokenizer; `padding` rows more than pieces."""
    object = kinds.as_file(kind, seed=4)
    write(folder, "tokenizer.json", object)
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = model_of(kind, theirs.get_vocab_size() + padding)
    model.float().save_pretrained(folder)
    return theirs, model.double()


def check_losses(programs, folder, kind, padding):
    theirs, model = save(folder, kind, padding)
    stays = [text for text in kinds.texts(7, 600) if all(ord(c) < 0x300 or 0x4E00 <= ord(c) < 0xD7A4 for c in text)]  # in NFC
    texts = stays if kind == "qwen2" else kinds.texts(7, 200)
    text = joined(texts)
    (folder / "text.txt").write_bytes(text.encode())
    ids = theirs.encode(text, add_special_tokens=False).ids
    cut = Tokenizer.from_file(str(folder / "tokenizer.json"))  # what asks to be cut and padded: transformers does so where a call asks, too
    cut.enable_truncation(5)
    cut.enable_padding(length=9)
    cut.save(str(folder / "tokenizer.json"))
    if transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))(text, add_special_tokens=False).input_ids != ids:
        fail(f"{kind}: transformers reads truncation or padding by itself")
    wanted = loss_of(model, ids)
    found = evaluate(programs, folder, "--text", folder / "text.txt")
    if not found:
        return
    if abs(found["loss"] - wanted) > 1e-5 or found["tokens"] != len(ids):
        fail(f"{kind}: loss {found}, expected {wanted} over {len(ids)} tokens")
    for type in ("<u2", "<i4", "<i8", "<u4", ">i4"):
        np.save(folder / "tokens.npy", np.array(ids, dtype=type))
        again = evaluate(programs, folder, "--tokens", folder / "tokens.npy")
        if not again or again["loss"] != found["loss"] or again["bits_per_byte"] != found["bits_per_byte"]:
            fail(f"{kind}: {again} from {type} tokens, {found} from the text")
    print(f"{kind}: loss {found['loss']:.9f}, {wanted:.9f} by transformers, over {len(ids)} tokens")
    check_greedy(programs, folder, kind, theirs, model)


def check_greedy(programs, folder, kind, theirs, model):
    prompt = "The window's \u4e00 12345 values"
    ids = theirs.encode(prompt).ids  # with the start mark, where the vocabulary puts one
    marks = {id for id, token in theirs.get_added_tokens_decoder().items() if token.special}
    done = run(programs / "skipv1-generate", folder, "--prompt", prompt, "--temperature", 0, "--count", 16, "--threads", 1, "--json", "-")
    if done.returncode:
        return fail(f"{kind}: skipv1-generate: {done.stderr}")
    found = json.loads(done.stdout)
    with torch.no_grad():
        while len(ids) < found["prompt_tokens"] + 16:
            ids.append(model.float()(torch.tensor([ids])).logits[0, -1].argmax().item())
            if ids[-1] in marks or ids[-1] >= theirs.get_vocab_size():
                ids.pop()
                break
    text = theirs.decode(ids, skip_special_tokens=True)
    if found["tokens"] != ids or (found["text"] != text and "\ufffd" not in text):  # how many of those a broken character becomes differs
        fail(f"{kind}: generated {found['tokens']}, {found['text']!r}, expected {ids}, {text!r}")
    np.save(folder / "prompt.npy", np.array(ids[:5], dtype="<i8"))
    done = run(programs / "skipv1-generate", folder, "--tokens", folder / "prompt.npy", "--temperature", 0, "--count", 4, "--json", "-")
    if done.returncode or json.loads(done.stdout)["tokens"][:5] != ids[:5]:
        fail(f"{kind}: skipv1-generate --tokens: {done.stderr}")


# Folders go on: converted, trained, and what is wrong is refused.


def check_training(programs, folder):
    save(folder, "smollm", 21)
    text = joined(kinds.texts(8, 300))
    (folder / "text.txt").write_bytes(text.encode())
    out = folder / "converted"
    runs = [("uptrain", "convert", folder, "--out", out)]
    small = ("--steps", 2, "--batch", 2, "--length", 16, "--threads", 1)
    runs.append(("uptrain", "run", folder, "--text", folder / "text.txt", *small, "--out", folder / "further"))
    np.save(folder / "tokens.npy", np.arange(600, dtype="<u2"))
    tokens = ("--tokens", folder / "tokens.npy")
    runs.append(("train", "--from", folder, *tokens, *small, "--out", folder / "from-tokens"))
    runs.append(("train", "--vocab", 700, *tokens, "--width", 16, "--layers", 2, "--heads", 2, *small, "--out", folder / "own"))
    runs.append(("train", "--resume", "--out", folder / "own"))
    runs.append(("eval", folder / "own", *tokens))
    runs.append(("generate", folder / "own", *tokens[:1], folder / "few.npy", "--count", 2))
    np.save(folder / "few.npy", np.array([1, 2, 3], dtype="<i2"))
    for program, *arguments in runs:
        done = run(programs / f"skipv1-{program}", *arguments)
        if done.returncode:
            fail(f"skipv1-{program} {arguments}: {done.stderr}")
    wanted = (folder / "tokenizer.json").read_bytes()
    for kept in (out, folder / "further/step-00000002", folder / "from-tokens/step-00000002"):
        if not (kept / "tokenizer.json").exists() or (kept / "tokenizer.json").read_bytes() != wanted:
            fail(f"{kept}: not the tokenizer.json of the model it comes from")


def refused(wanted, *arguments):
    done = run(*arguments)
    if done.returncode != 2 or len(done.stderr.splitlines()) != 1 or wanted not in done.stderr:
        fail(f"{arguments}: status {done.returncode}, {done.stderr!r}, expected {wanted!r}")


def check_refusals(programs, folder):
    theirs, _ = save(folder, "gpt2", 0)
    (folder / "text.txt").write_text("the cat", encoding="utf-8")
    good = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    spoiled = {"\"model.merges\" is missing": lambda o: o["model"].pop("merges"),
               "have the same id": lambda o: o["model"]["vocab"].update({"zzz": 300}),
               "\"model.unk_token\", \"<none>\"": lambda o: o["model"].update({"unk_token": "<none>"}),
               "only the patterns of": lambda o: o.update({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                   {"type": "Split", "pattern": {"Regex": "\\w"}, "behavior": "Isolated", "invert": False}, o["pre_tokenizer"]]}}),
               "pieces, the model has": lambda o: o["added_tokens"].append(
                   {**o["added_tokens"][-1], "content": "<new>", "id": theirs.get_vocab_size()})}
    evaluate = (programs / "skipv1-eval", folder)
    for wanted, spoil in spoiled.items():
        object = json.loads(json.dumps(good))
        spoil(object)
        write(folder, "tokenizer.json", object)
        refused(wanted, *evaluate, "--text", folder / "text.txt")
    (folder / "tokenizer.json").write_text(json.dumps(good)[:-100], encoding="utf-8")
    refused("not JSON", *evaluate, "--text", folder / "text.txt")
    rows = theirs.get_vocab_size()
    for tokens, wanted in [([1, 2, rows, 4], f"element 2 is {rows}: the model's vocabulary has ids 0 to {rows - 1}"),
                           ([[1, 2]], "must have one axis"), ([], "holds no token"), ([0.5], "expected integers"), ([1, -1], "element 1 is -1")]:
        np.save(folder / "tokens.npy", np.array(tokens) if tokens else np.array([], dtype="<i4"))
        for program in ("eval", "generate"):
            refused(wanted, programs / f"skipv1-{program}", folder, "--tokens", folder / "tokens.npy")
        refused(wanted, programs / "skipv1-train", "--from", folder, "--tokens", folder / "tokens.npy", "--length", 16, "--out", folder / "none")
    refused("excludes", *evaluate, "--text", folder / "text.txt", "--tokens", folder / "tokens.npy")
    refused("--text or --tokens is required", *evaluate)


ADDED = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
BESIDE = {  # whether it is read; what is not must be refused
    "none": ({}, True),
    "a mark of its own": ({"bos_token": "<|endoftext|>", "add_bos_token": True, "model_max_length": 9}, True),
    "its class": ({"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": False}, True),
    "LLaMA's class": ({"tokenizer_class": "LlamaTokenizerFast"}, True),
    "a new mark": ({"pad_token": "<pad>"}, False),
    "a new mark in a list": ({"extra_special_tokens": ["<pad>"]}, False),
    "a piece as a mark": ({"eos_token": "the"}, False),
    "a new token": ({"added_tokens_decoder": {"707": {"content": "<pad>", **ADDED}}}, False),
    "marks cut": ({"split_special_tokens": True}, False),
    "a space before": ({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}, False),
    "Qwen2's class": ({"tokenizer_class": "Qwen2Tokenizer"}, False),
    "RoBERTa's class": ({"tokenizer_class": "RobertaTokenizer"}, False),
}


def check_beside(programs, folder):
    """tokenizer_config.json and special_tokens_map.json: what is accepted gives transformers' ids."""
    save(folder, "gpt2", 8)
    text = "the <pad> cat <|endoftext|> 12 " + joined(kinds.texts(9, 60))
    (folder / "text.txt").write_bytes(text.encode())
    for what, (config, accepted) in BESIDE.items():
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            if name.startswith("special") and not set(config) <= {"bos_token", "eos_token", "pad_token"}:
                continue
            write(folder, name, config)
            done = run(programs / "skipv1-eval", folder, "--text", folder / "text.txt", "--length", LENGTH, "--threads", 1, "--json", "-")
            if done.returncode not in (0, 2) or (done.returncode == 0) != accepted or (not accepted and name not in done.stderr):
                fail(f"{what} in {name}: status {done.returncode}, {done.stderr}")
            elif accepted:
                ids = transformers.AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False).input_ids
                np.save(folder / "tokens.npy", np.array(ids, dtype="<i4"))
                again = run(programs / "skipv1-eval", folder, "--tokens", folder / "tokens.npy", "--length", LENGTH, "--threads", 1, "--json", "-")
                if json.loads(again.stdout)["loss"] != json.loads(done.stdout)["loss"]:
                    fail(f"{what} in {name}: other ids than transformers'")
            (folder / name).unlink()
    print(f"beside tokenizer.json: {len(BESIDE)} kinds")


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    encode, programs = map(pathlib.Path, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as work:
        def folder(name):
            path = pathlib.Path(work, name)
            path.mkdir()
            return path
        for kind in kinds.PRE_TOKENIZERS:
            check_ids(encode, folder(f"ids-{kind}"), kind)
        for kind, padding in (("gpt2", 0), ("smollm", 0), ("llama3", 0), ("qwen2", 37)):
            check_losses(programs, folder(f"losses-{kind}"), kind, padding)
        check_training(programs, folder("training"))
        check_refusals(programs, folder("refusals"))
        check_beside(programs, folder("beside"))
    print(f"{failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
