#!/usr/bin/env python3
"""Shows that the drawn golden cases notice mistakes: wrong equations miss every one by more than 1e-3."""
import sys

import numpy as np

from golden import AFTER, CONFIG, HARD_SIGMOID, HERE, WRITE, cases, load
from verify import difference, stack

NOTICED = 1e-3
GATES = "rzn"


def exchanged(v, a, b):
    """The weights with two gate blocks exchanged."""
    order = [0, 1, 2]
    order[a], order[b] = b, a
    return {key: np.concatenate([np.split(array, 3)[g] for g in order])
            if key.split("/")[-1] in ("W", "R", "bW", "bR") else array for key, array in v.items()}


def without(v, tensor):
    return {key: array for key, array in v.items() if key.split("/")[-1] != tensor}


def biases_exchanged(v):
    other = {"bW": "bR", "bR": "bW"}
    names = {key: key.split("/") for key in v}
    return {key: v["/".join(parts[:-1] + [other.get(parts[-1], parts[-1])])] for key, parts in names.items()}


def mistakes(c, v):
    """(what is wrong, config, tensors) of every mistake that this case can show."""
    for a, b in ((0, 1), (0, 2), (1, 2)):
        yield f"{GATES[a]} and {GATES[b]} exchanged", c, exchanged(v, a, b)
    yield "other reset", {**c, "reset": 1 - c["reset"]}, v
    yield "update WRITE", {**c, "update": WRITE}, v
    yield "other gate function", {**c, "gate": 1 - c["gate"], "hard_slope": 0.2}, v
    yield "other candidate function", {**c, "candidate": (c["candidate"] + 1) % 3}, v
    if c["T"] > 1 and c["directions"] == 1:
        yield "other direction", {**c, "direction": 1 - c["direction"]}, v
    if c["clip"]:
        yield "no clip", {**c, "clip": 0.0}, v
    if c["gate"] == HARD_SIGMOID:
        yield "other slope", {**c, "hard_slope": 0.2 if c["hard_slope"] < 0.19 else 1 / 6}, v
    if c["has_lengths"]:
        yield "no lengths", c, without(v, "lengths")
    if c["has_h0"]:
        yield "no h0", c, without(v, "h0")
    if c["has_bias"] and c["reset"] == AFTER:
        yield "biases exchanged", c, biases_exchanged(v)


def main():
    tried = missed = 0
    for source in ("pytorch", "onnxruntime", "keras"):
        tensors = load(HERE / f"{source}.safetensors")
        for name in cases(tensors):
            v = {key[len(name) + 1:]: array for key, array in tensors.items() if key.startswith(name + "/")}
            c = dict(zip(CONFIG, v["config"].tolist()))
            c["clip"], c["hard_slope"] = v["parameters"].tolist()
            for what, wrong, changed in mistakes(c, v):
                got = stack(wrong, changed)
                tried += 1
                if not max(difference(got[key].real, v[key]) for key in got) > NOTICED:
                    missed += 1
                    print(source, name, "does not notice:", what)
    print(f"{tried} mistakes, {missed} not noticed")
    return 1 if missed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
