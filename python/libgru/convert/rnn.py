"""The library's equations in numpy, in double precision: what a file written by this package computes.

Why not the library itself: it is not part of this package, and an arithmetic of its own shows what the input's own
framework rounds. The test suite runs the same files through the library's loader.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libgru.convert.gru import PARTS, Variant, layer_words
from libgru.convert.source import Source

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Loaded:
    """One cell of a file: W, R, bW, bR, the state that it starts from, and its layer's variant."""
    variant: Variant
    reverse: bool
    W: Numbers
    R: Numbers
    bW: Numbers
    bR: Numbers
    h0: Numbers


def load(source: Source, prefix: str) -> list[tuple[list[Loaded], str]]:
    """Layers of a file that was read back, as gru_stack_load finds them: their cells and their merge."""
    layers: list[tuple[list[Loaded], str]] = []
    learned = source.metadata.get(f"{prefix}gru.initial_state") == "learned"
    while any(f"{prefix}weight_hh_l{len(layers)}{end}" in source.tensors for end in ("", "_reverse")):
        k = len(layers)
        words = layer_words(source.metadata, prefix, k)
        variant = Variant.of_words(words)
        cells = []
        for end in ("", "_reverse"):
            found = [source.tensors.get(f"{prefix}{part}_l{k}{end}") for part in PARTS]
            if found[1] is not None:
                zeros = np.zeros(found[1].shape[0])
                W, R, bW, bR = (zeros if tensor is None else tensor.values() for tensor in found)
                h0 = source.tensors[f"{prefix}h0_l{k}{end}"].values() if learned else np.zeros(found[1].shape[1])
                cells.append(Loaded(variant, end != "", W, R, bW, bR, h0))
        layers.append((cells, words.get("merge", "concat")))
    return layers


def run_cell(cell: Loaded, x: Numbers, h: Numbers) -> tuple[Numbers, Numbers]:
    """x [T][N][I], h [N][H] -> y [T][N][H] in the order of x, hT."""
    H, v = cell.R.shape[1], cell.variant
    limit = v.clip or np.inf
    y = np.zeros((*x.shape[:2], H))
    for t in range(len(x))[::-1] if cell.reverse else range(len(x)):
        pre, rec = x[t] @ cell.W.T + cell.bW, h @ cell.R.T + cell.bR
        r, z = (v.gate(np.clip(pre[:, k:k + H] + rec[:, k:k + H], -limit, limit)) for k in (0, H))
        if v.reset == "after":
            sums = pre[:, 2 * H:] + r * rec[:, 2 * H:]
        elif v.reset == "before":
            sums = pre[:, 2 * H:] + (r * h) @ cell.R[2 * H:].T + cell.bR[2 * H:]
        else:
            sums = r * (pre[:, 2 * H:] + rec[:, 2 * H:])
        h = (1 - z) * v.candidate(np.clip(sums, -limit, limit)) + z * h
        y[t] = h
    return y, h


def merged(ys: list[Numbers], merge: str) -> list[Numbers]:
    """The outputs of a layer, of those of its one direction or two."""
    if len(ys) == 1 or merge == "separate":
        return ys
    both = {"sum": lambda a, b: a + b, "average": lambda a, b: (a + b) / 2, "multiply": lambda a, b: a * b}
    return [both[merge](*ys)] if merge in both else [np.concatenate(ys, axis=-1)]


def run(layers: list[tuple[list[Loaded], str]], x: Numbers) -> tuple[list[Numbers], list[Numbers]]:
    """From the file's initial states: the last layer's outputs (two where they stay separate), and the last state of every cell."""
    states, outputs = [], [x]
    for cells, merge in layers:
        results = [run_cell(cell, outputs[0], np.tile(cell.h0, (x.shape[1], 1))) for cell in cells]
        states += [hT for _, hT in results]
        ys = [y for y, _ in results]
        outputs = merged(ys, merge)
    return outputs, states


def prefixes(source: Source) -> list[str]:
    """Of all GRUs in a file."""
    found: dict[str, Any] = {}
    for name, tensor in source.tensors.items():
        match = re.fullmatch(r"(.*)weight_hh_l0(?:_reverse)?", name)
        if match and len(tensor.shape) == 2 and tensor.shape[0] == 3 * tensor.shape[1]:
            found[match[1]] = None
    return list(found)
