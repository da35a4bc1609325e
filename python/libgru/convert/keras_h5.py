"""Keras' .h5 files, of Keras 1, 2 and 3: arrays under their layers' groups, named by the variables' paths."""
from __future__ import annotations

import json
import re
from pathlib import Path

import h5py

from libgru.convert.budget import Budget
from libgru.convert.gru import Gru
from libgru.convert.hdf5 import Tree, tree
from libgru.convert.keras import Reader
from libgru.convert.keras_cell import Weights
from libgru.convert.keras_config import Layer, described
from libgru.convert.refused import Refused
from libgru.convert.source import Source

_WORDS = ("kernel", "recurrent_kernel", "bias")
_OLD = re.compile(r"[WUb](_[zrh])?")       # what Keras 1 appends to a layer's name
_CELL = re.compile(r"gru_cell(_\d+)?")     # how Keras calls the cell in a GRU layer


def _components(name: str) -> list[str]:
    """The path of a variable, without TensorFlow's number of an output."""
    return re.sub(r":\d+$", "", name).split("/")


def _tail(components: list[str], own: list[str]) -> tuple[list[str], list[str]] | None:
    """What stands before and after the last place where own stands; None if it does not."""
    for start in range(len(components) - len(own), -1, -1):
        if components[start:start + len(own)] == own:
            return components[:start], components[start + len(own):]
    return None


def _word(tail: list[str], cell: Layer) -> str | None:
    """The array's name, if the rest of its path leads into the cell."""
    if not tail or tail[-1] not in _WORDS:
        return None
    if cell.kind == "GRUCell":
        return tail[-1] if len(tail) >= 2 and tail[-2] == cell.names[-1] else None
    return tail[-1] if len(tail) == 1 or len(tail) == 2 and _CELL.fullmatch(tail[-2]) else None


class Finder:
    """Arrays by layer. variables: of each top layer, the paths of its arrays and of their datasets."""

    def __init__(self, file: Tree, root: str, source: Source) -> None:
        self.source, self.variables = source, {}
        for layer in file.texts(root, "layer_names"):
            group = f"{root}/{layer}" if root else layer
            self.variables[layer] = [(_components(name), f"{group}/{name}") for name in
                                     file.texts(group, "weight_names") if f"{group}/{name}" in source.tensors]

    def _called(self, top: str, alias: str, cell: Layer, parents: tuple[str, ...]) -> Weights:
        """The cell's arrays under one name of its layer. Of several the one below all of the layer's parents."""
        found: dict[str, list[tuple[bool, str]]] = {}
        for components, path in self.variables.get(top, []):
            split = _tail(components, alias.split("/"))
            word = _word(split[1], cell) if split else None
            old = components[-1].removeprefix(f"{alias}_")
            if word and split:
                found.setdefault(word, []).append((set(parents) <= set(split[0]), path))
            elif len(components) == 1 and components[0] != old and _OLD.fullmatch(old):
                found.setdefault(old, []).append((True, path))
        weights: Weights = {}
        for word, places in found.items():
            best = [path for below, path in places if below] or [path for _, path in places]
            if len(best) > 1:
                raise Refused(f"layer {alias}: {' and '.join(best)} are both its {word}")
            weights[word] = (best[0], self.source.tensors[best[0]])
        return weights

    def __call__(self, layer: Layer, cell: Layer) -> Weights:
        for alias in (layer.names[-1], *layer.aliases):
            weights = self._called(layer.names[0], alias, cell, layer.names[1:-1])
            if weights:
                return weights
        return {}


def _short(layer: str, components: list[str]) -> str:
    """A variable's name in the output: what follows its layer's name."""
    split = _tail(components, layer.split("/"))
    return ".".join([layer.replace("/", "."), *(split[1] if split else components)])


def _set_names(source: Source, root: str, finder: Finder) -> None:
    short = {path: _short(layer, components) for layer, entries in finder.variables.items() for components, path in entries}
    for path in source.tensors:
        plain = re.sub(r":\d+$", "", path.removeprefix(f"{root}/")).replace("/", ".")
        source.written_as[path] = short.get(path, plain)
    source.separate_names()


def read(path: Path, budget: Budget, reversed_outputs: bool) -> tuple[Source, list[Gru]]:
    """The whole file, and its GRUs."""
    source = Source(path)
    with h5py.File(path, "r") as opened:
        file = tree(opened)
        text = file.attribute("/", "model_config")
        if not isinstance(text, str):
            raise Refused("it holds weights without the model's configuration, which tells how to read them: save the "
                          "whole model")
        file.fill(source, budget)
        root = "model_weights" if "model_weights" in opened else ""
        version = file.attribute("/", "keras_version") or file.attribute(root or "/", "keras_version") or "1"
        finder = Finder(file, root, source)
    kind, config = described(json.loads(text), "the model")
    model = Layer(kind, config, (), "")
    grus = Reader(source, str(version), finder, reversed_outputs).grus(model)
    _set_names(source, root, finder)
    return source, grus
