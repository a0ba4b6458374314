"""Small random tokenizers of every kind that is read, trained by the package tokenizers, and hard texts for them."""
import json
import random

from tokenizers import AddedToken
from tokenizers import Regex
from tokenizers import Tokenizer
from tokenizers import decoders
from tokenizers import models
from tokenizers import normalizers
from tokenizers import pre_tokenizers
from tokenizers import processors
from tokenizers import trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
BYTES = pre_tokenizers.ByteLevel.alphabet()


def byte_level(**options):
    return pre_tokenizers.ByteLevel(add_prefix_space=options.pop("prefix", False), **options)


def before_bytes(*steps):
    return pre_tokenizers.Sequence([*steps, byte_level(use_regex=False)])


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


PRE_TOKENIZERS = {
    "gpt2": byte_level(),
    "gpt2_prefix": byte_level(prefix=True),
    "gpt2_split": before_bytes(split(GPT2)),
    "no_words": byte_level(use_regex=False),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]),
    "digits_together": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), byte_level()]),
    "llama3": before_bytes(split(LLAMA3)),
    "qwen2": before_bytes(split(QWEN2)),
}
MARKS = ["<|endoftext|>", "<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|im_end|>\n"]


def words(random):
    """A word or two of a random language, often the same ones, so that there is something to merge."""
    return random.choice([
        lambda: random.choice("the and cat Dog window SKIP values head layer ing tion".split()),
        lambda: random.choice(["'s", "'S", "'\u017f", "'re", "'RE", "'ll", "'Ll", "'l", "'ve", "'d", "'M", "\u2019s", "'"]),
        lambda: str(random.randrange(10 ** random.randrange(1, 12))),
        lambda: random.choice(["\u00bd", "\u2167", "\u0663\u0664", "\u096a", "\U0001d7d8", "\u00b2", "\U00011de3", "\U00016ff5", "x2y"]),
        lambda: random.choice([" ", "  ", "\t", "\n", "\r\n", " \n ", "\n\n\n", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "\x1c", "\u200b"])
        * random.randrange(1, 4),
        lambda: "".join(random.choice("\u0430\u0431\u0432\u03b1\u03b2\u5728\u7684\u4e00\u3042\u30ab\ud55c\uae00\u05d0\u0627\u0e01\u0905")
                        for _ in range(random.randrange(1, 6))),
        lambda: random.choice(["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1eb\U0001f1f7", "\u2764\ufe0f", "\U0001f600"]),
        lambda: random.choice(["e\u0301", "\u00e9", "\u0915\u094d\u0937", "a\u0323\u0302", "\u212b", "\u1100\u1161", "\ufb01", "\u0344"]),
        lambda: "".join(random.choice("!?.,;:-()[]{}<>|/\\\"'`~@#$%^&*_+=") for _ in range(random.randrange(1, 5))),
        lambda: random.choice(MARKS),
        lambda: random.choice(["<|end", "<|im_end|", "|>", "<think>", "</think>", "\0", "\ufeff", "\uffff", "\U0010ffff"]),
        lambda: "".join(chr(code + 0x800 if code >= 0xD800 else code)
                        for code in (random.randrange(1, 0x110000 - 0x800) for _ in range(random.randrange(1, 4)))),
        lambda: random.choice("aA") * random.randrange(1, 60),
    ])()


def texts(seed, count):
    rng = random.Random(seed)
    return ["".join(rng.choice(["", " "]) + words(rng) for _ in range(rng.randrange(0, 14))) for _ in range(count)]


def train(kind, seed, size=700):
    """A tokenizer of `kind` whose pieces and merges come from random texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[kind]
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    first = ["<|endoftext|>"] if kind in ("gpt2", "smollm") else []
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=BYTES, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator(texts(seed, 3000), trainer)
    if kind != "no_words":
        tokenizer.add_special_tokens([AddedToken(mark, normalized=kind == "gpt2") for mark in MARKS if mark not in first])
        tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=True)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if kind == "llama3":
        mark = "<|begin_of_text|>"
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{mark} $A", pair=f"{mark} $A {mark} $B:1",
                                          special_tokens=[(mark, tokenizer.token_to_id(mark))])])
    return tokenizer


def as_file(kind, seed):
    """The tokenizer.json's object: LLaMA 3's takes whole words, older files have merges as strings."""
    object = json.loads(train(kind, seed).to_str())
    model = object["model"]
    if kind == "llama3":
        model["ignore_merges"] = True
        model["merges"] = [merge for i, merge in enumerate(model["merges"]) if i % 7]  # words that no merge makes
        made = {"".join(merge) for merge in model["merges"]} | {piece for piece in model["vocab"] if len(piece) == 1}
        model["merges"] = [merge for merge in model["merges"] if set(merge) <= made]
    if kind in ("gpt2", "smollm"):
        model["merges"] = [" ".join(merge) for merge in model["merges"]]
    return object
