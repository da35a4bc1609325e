#!/usr/bin/env python3
"""Runs examples/stream_stack on a stack of two layers with a head, made here, and compares each line with numpy.
The file's data begins with one byte, so that all numbers lie unaligned. A stack with a reverse layer has to be refused.

usage: check_stream_stack.py PROGRAM      exit status 77: there is no numpy
"""
from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("numpy is missing")
    sys.exit(77)

STEPS, SIZES = 5, (3, 6, 4)  # inputs, hidden units of both layers


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, data = {"first": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"\0"
    for name, tensor in tensors.items():
        raw = tensor.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


def layer(tensors: dict[str, np.ndarray], k: int, x: np.ndarray) -> np.ndarray:
    W, R = tensors[f"model.weight_ih_l{k}"], tensors[f"model.weight_hh_l{k}"]
    bW, bR = tensors[f"model.bias_ih_l{k}"], tensors[f"model.bias_hh_l{k}"]
    h, states = np.zeros(R.shape[1]), []
    for row in x:
        (a_r, a_z, a_n), (c_r, c_z, c_n) = np.split(W @ row + bW, 3), np.split(R @ h + bR, 3)
        r, z = sigmoid(a_r + c_r), sigmoid(a_z + c_z)
        h = (1 - z) * np.tanh(a_n + r * c_n) + z * h
        states.append(h)
    return np.stack(states)


def main(program: str) -> int:
    rng = np.random.default_rng(1)
    tensors: dict[str, np.ndarray] = {}
    for k, (inputs, hidden) in enumerate(zip(SIZES, SIZES[1:])):
        shapes = {"weight_ih": (3 * hidden, inputs), "weight_hh": (3 * hidden, hidden), "bias_ih": (3 * hidden,),
                  "bias_hh": (3 * hidden,)}
        for name, shape in shapes.items():
            tensors[f"model.{name}_l{k}"] = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    tensors["head.weight"] = rng.uniform(-1, 1, (2, SIZES[-1])).astype(np.float32)
    tensors["head.bias"] = rng.uniform(-1, 1, 2).astype(np.float32)
    x = rng.uniform(-1, 1, (STEPS, SIZES[0])).astype(np.float32)
    y = layer(tensors, 1, layer(tensors, 0, x.astype(np.float64)))
    expected = y @ tensors["head.weight"].T + tensors["head.bias"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_safetensors(path, tensors)
        result = subprocess.run([program, str(path), "model.", "head.weight", "head.bias"], text=True, check=True,
                                input=" ".join(str(v) for v in x.ravel()), stdout=subprocess.PIPE)
        reverse = {name + ("_reverse" if "_l" in name else ""): tensor for name, tensor in tensors.items()}
        write_safetensors(path, reverse)
        refused = subprocess.run([program, str(path), "model.", "head.weight", "head.bias"], text=True, input="",
                                 stderr=subprocess.PIPE)
    got = np.array([[float(v) for v in line.split()] for line in result.stdout.splitlines()])
    error = float(np.abs(got - expected).max()) if got.shape == expected.shape else float("inf")
    print(f"{len(got)} lines, largest difference {error:.1e}")
    print(f"a reverse stack: {refused.stderr.strip()}")
    is_refused = refused.returncode == 1 and "cannot be streamed" in refused.stderr
    return 0 if error < 2e-5 and is_refused else 1  # five decimals are printed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
