"""Runs the input in its own framework and the output in numpy, on the same random numbers."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

from libgru.convert import rnn, safetensors
from libgru.convert.gru import Gru
from libgru.convert.output import Output
from libgru.convert.source import Source

T, N = 7, 3
LARGEST = {"F64": 1e-4, "F32": 1e-4, "F16": 2e-2, "BF16": 1e-1}    # differences that rounding can make; F64: Keras' tanh

# By ending: the module that runs the format, and the package that it needs.
_RUNNERS = {".h5": ("verify_keras", "keras"), ".hdf5": ("verify_keras", "keras"), ".keras": ("verify_keras", "keras"),
            ".onnx": ("verify_onnx", "onnxruntime")}


def _relative(left: rnn.Numbers, right: rnn.Numbers) -> float:
    if left.shape != right.shape:
        return float("inf")
    difference = np.abs(left - right) / np.maximum(1, np.abs(right))
    return float(difference.max(initial=0)) if np.isfinite(difference).all() else float("inf")


def verify(path: Path, written: Path, output: Output) -> bool:
    """Whether every GRU agrees. Prints a line for each, and the largest difference."""
    module, package = _RUNNERS.get(path.suffix.lower(), ("verify_torch", "torch"))
    try:
        compare = import_module(f"libgru.convert.{module}").compare
    except ImportError as error:
        print(f"verify: it needs the package {package} ({error})", file=sys.stderr)
        return False
    source, largest, agrees, count = safetensors.read(written), 0.0, True, 0
    try:
        results: Iterator[tuple[Gru, rnn.Numbers, rnn.Numbers]] = compare(path, source, output.grus)
        for gru, theirs, ours in results:
            difference = _relative(ours, theirs)
            kind = next(iter(gru.layers[0].cells().values())).W.tensor.dtype
            print(f"verify: {gru.origin or gru.prefix}: largest difference {difference:.2g}")
            agrees, count = agrees and difference <= LARGEST[kind], count + 1
            largest = max(largest, difference)
    except Exception as error:    # whatever the framework raises
        print(f"verify: {package} could not run {path}: {type(error).__name__}: "
              f"{' '.join(str(error).split())[:300]}", file=sys.stderr)
        return False
    print(f"verify: {count} GRUs, largest difference {largest:.2g}{'' if agrees else ': they do not agree'}")
    return agrees and count > 0


def drawn(inputs: int) -> rnn.Numbers:
    """x [T][N][I], always the same, exact in single precision."""
    return np.random.default_rng(inputs).uniform(-1, 1, (T, N, inputs)).astype("f4").astype("f8")


def ours(source: Source, prefix: str, x: rnn.Numbers) -> rnn.Numbers:
    """Outputs and last states of a GRU of the written file, in one row."""
    outputs, states = rnn.run(rnn.load(source, prefix), x)
    return np.concatenate([array.ravel() for array in [*outputs, *states]])
