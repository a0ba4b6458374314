"""Writes a model of random weights, of the shape that skipv1-benchmark-decoding times, as llama2.c's `run` reads it:
   python3 tests/benchmark/llama2c_model.py FOLDER && run FOLDER/model.bin -z FOLDER/tokenizer.bin -t 0 -n 256"""
import array
import random
import struct
import sys

if len(sys.argv) != 2:
    sys.exit(__doc__)
D, INNER, LAYERS, HEADS, VOCAB, LONGEST = 1024, 2816, 12, 16, 32000, 2049
random.seed(1)
some = array.array("f", (random.gauss(0, 0.02) for _ in range(1 << 20)))  # over and over: as much to read as any


def weights(file, count):
    while count > 0:
        file.write(some[:count].tobytes())
        count -= len(some)


with open(f"{sys.argv[1]}/model.bin", "wb") as file:
    file.write(struct.pack("7i", D, INNER, LAYERS, HEADS, HEADS, -VOCAB, LONGEST))  # a negative vocabulary: a classifier of its own
    ones = array.array("f", [1.0]) * (LAYERS * D)
    weights(file, VOCAB * D)
    file.write(ones.tobytes())
    for rows in (D, D, D, D):
        weights(file, LAYERS * rows * D)
    file.write(ones.tobytes())
    for _ in range(3):
        weights(file, LAYERS * INNER * D)
    file.write(ones[:D].tobytes())
    weights(file, LONGEST * D // HEADS)  # tables of rotations, which newer versions skip
    weights(file, VOCAB * D)
with open(f"{sys.argv[1]}/tokenizer.bin", "wb") as file:
    file.write(struct.pack("i", 8))
    for token in range(VOCAB):
        name = f"<{token}>".encode()
        file.write(struct.pack("fi", 0.0, len(name)) + name)
