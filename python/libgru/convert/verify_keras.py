"""Keras' own layers, of the model as Keras itself loads it: Keras 3, or tf_keras for older files where it is there."""
from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from libgru.convert import rnn
from libgru.convert.gru import Gru
from libgru.convert.source import Source
from libgru.convert.verify import drawn, ours


def _version(path: Path) -> str:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    with h5py.File(path, "r") as file:
        version = file.attrs.get("keras_version", "1")
        return version.decode() if isinstance(version, bytes) else str(version)


def _load(path: Path) -> Any:
    """Keras 3 reads most older .h5 files, but not all; its own are not read by tf_keras."""
    names = ["keras"] if _version(path).startswith("3") else ["tf_keras", "keras"]
    for name in names:
        try:
            return import_module(name).models.load_model(path, compile=False, safe_mode=True)
        except ImportError:
            if name == names[-1]:
                raise
    return None


def _find(layer: Any, path: str) -> Any:
    """The layer that a path of names leads to, through models and wrappers."""
    if not path:
        return layer
    inside = list(getattr(layer, "layers", ())) or [layer.layer]
    for member in inside:
        if path == member.name or path.startswith(f"{member.name}/"):
            return _find(member, path[len(member.name) + 1:])
    raise LookupError(f"the loaded model has no layer {path}")


def _numpy(value: Any) -> rnn.Numbers:
    value = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(value).astype("f8")


def _flat(values: Any) -> list[Any]:
    return [item for value in values for item in _flat(value)] if isinstance(values, (list, tuple)) else [values]


def _run(layer: Any, x: rnn.Numbers) -> tuple[rnn.Numbers, list[rnn.Numbers]]:
    """Outputs [T][N][H] in the order of time, and the last state of every cell."""
    kept = layer.return_sequences, layer.return_state
    layer.return_sequences, layer.return_state = True, True
    try:
        y, *states = layer(x.swapaxes(0, 1).astype("f4"))
    finally:
        layer.return_sequences, layer.return_state = kept
    y = _numpy(y).swapaxes(0, 1)
    return (y[::-1] if layer.go_backwards else y), [_numpy(state) for state in _flat(states)]


def compare(path: Path, source: Source, grus: list[Gru]) -> Iterator[tuple[Gru, rnn.Numbers, rnn.Numbers]]:
    """For each GRU: the framework's numbers, and the file's."""
    model = _load(path)
    for gru in grus:
        layer, x = _find(model, gru.origin), drawn(gru.layers[0].inputs)
        wanted = gru.layers[0].cells()
        sides = [layer.forward_layer, layer.backward_layer] if hasattr(layer, "backward_layer") else [layer]
        ran = [_run(side, x) for side in sides if len(sides) == 1 or ("_reverse" if side.go_backwards else "") in wanted]
        outputs = rnn.merged([y for y, _ in ran], gru.layers[0].merge)
        theirs = [*outputs, *(state for _, states in ran for state in states)]
        yield gru, np.concatenate([array.ravel() for array in theirs]), ours(source, gru.prefix, x)
