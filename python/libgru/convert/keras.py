"""Finds the GRUs in a Keras model's configuration and makes them of the arrays that a file's finder gives."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from libgru.convert.gru import Cell, Gru, Variant, of_directions
from libgru.convert.gru import Layer as GruLayer
from libgru.convert.keras_cell import Weights, cell
from libgru.convert.keras_config import CELLS, Layer, layers_of, numbered, variant
from libgru.convert.refused import Refused
from libgru.convert.source import Source

# The arrays of a cell, given the recurrent layer that it is in and the cell itself.
Finder = Callable[[Layer, Layer], Weights]
Side = list[tuple[Variant, Cell]]    # one direction's layers, first layer first

_MERGES = {"concat": "concat", "sum": "sum", "ave": "average", "mul": "multiply", None: "separate"}


class Reader:
    """One file's version, finder and options."""

    def __init__(self, source: Source, version: str, find: Finder, reversed_outputs: bool) -> None:
        self.source, self.version, self.find, self.reversed_outputs = source, version, find, reversed_outputs

    def _side(self, layer: Layer) -> Side:
        return [(kind, cell(inner, kind, self.find(layer, inner)))
                for inner in _cells(layer) for kind in [variant(inner, self.version)]]

    def _plain(self, layer: Layer, prefix: str) -> list[Gru]:
        backwards, notes = bool(layer.config.get("go_backwards", False)), []
        if backwards and layer.config.get("return_sequences", False):
            if not self.reversed_outputs:
                raise Refused(f"{layer.text()}: go_backwards is True with return_sequences True, which returns the "
                              "outputs in reversed order of time, and the library returns them in the order of time: "
                              "--reversed-outputs accepts that")
            notes.append("Keras returns its outputs in reversed order of time, the library in the order of time")
        if layer.config.get("time_major", False):
            notes.append("time_major is True: its x and y are time-major, as the library's are where a run has no strides")
        side = self._side(layer)
        layers = [GruLayer(kind, None, made) if backwards else GruLayer(kind, made) for kind, made in side]
        return [Gru(prefix, layers, "/".join(layer.names), notes)]

    def _bidirectional(self, layer: Layer, prefix: str) -> list[Gru]:
        merge = layer.config.get("merge_mode", "concat")
        if merge not in _MERGES:
            raise Refused(f"{layer.text()}: merge_mode is {merge}, expected concat, sum, ave, mul or None")
        forward, backward = _directions(layer)
        if forward.config.get("go_backwards", False) or not backward.config.get("go_backwards", True):
            raise Refused(f"{layer.text()}: go_backwards is {forward.config.get('go_backwards')} in its first direction "
                          f"and {backward.config.get('go_backwards')} in its second, expected False and True")
        sides, origin = (self._side(forward), self._side(backward)), "/".join(layer.names)
        if len(sides[0]) == len(sides[1]) == 1:
            return of_directions(prefix, origin, sides[0][0], sides[1][0], _MERGES[merge])
        note = (f"its directions are stacks of their own: written as two GRUs, to run one after the other; their outputs "
                f"merge by {_MERGES[merge]}")
        return [Gru(f"{prefix}forward.", [GruLayer(kind, made) for kind, made in sides[0]], origin, [note]),
                Gru(f"{prefix}backward.", [GruLayer(kind, None, made) for kind, made in sides[1]], origin, [note])]

    def grus_of(self, layer: Layer, prefix: str) -> list[Gru]:
        """Of one layer, whatever is wrapped around it; none if it is no GRU."""
        if layer.kind == "TimeDistributed":
            wrapper = layer.names[-1]
            found = self.grus_of(layer.inside(layer.config.get("layer"), "layer", wrapper), prefix)
            for gru in found:
                gru.notes.append("it runs over the second axis of time, for each step of the first")
            return found
        if not is_recurrent(layer):
            return []
        return self._bidirectional(layer, prefix) if layer.kind == "Bidirectional" else self._plain(layer, prefix)

    def grus(self, model: Layer) -> list[Gru]:
        """Of all layers; their arrays are taken."""
        found = [gru for layer in layers_of(model) for gru in self.grus_of(layer, ".".join(layer.names) + ".")]
        for gru in found:
            for made in (made for layer in gru.layers for made in layer.cells().values()):
                for name in (name for part in made.parts().values() for name in part.sources):
                    self.source.take(name)
        return found


def _directions(layer: Layer) -> tuple[Layer, Layer]:
    """The two layers in a Bidirectional. Without one of its own the second is a copy of the first."""
    first, second = layer.config.get("layer"), layer.config.get("backward_layer")
    name = str(_config(first).get("name"))
    forward = layer.inside(first, "forward_layer", f"forward_{name.removeprefix('forward_')}")
    if second is not None:
        own = str(_config(second).get("name"))
        return forward, layer.inside(second, "backward_layer", f"backward_{own}")
    copy = layer.inside(first, "backward_layer")
    turned = {**copy.config, "go_backwards": not copy.config.get("go_backwards", False)}
    base = name.removeprefix("forward_").removeprefix("backward_")
    alias = f"backward_{base}"
    return forward, Layer(copy.kind, turned, (*layer.names, alias), copy.place, (alias, f"backward_{name}"))


def _config(value: Any) -> dict[str, Any]:
    found = value.get("config") if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _cells(layer: Layer) -> list[Layer]:
    """The cells of a recurrent layer, lowest first; none if it is no GRU."""
    if layer.kind in ("GRU", "CuDNNGRU"):
        return [layer]
    if layer.kind != "RNN":
        return []
    outer = layer.inside(layer.config.get("cell"), "cell")
    if outer.kind != "StackedRNNCells":
        return [outer] if outer.kind in CELLS else []
    members = list(_members(outer))
    if not any(member.kind in CELLS for member in members):
        return []
    strange = [member.kind for member in members if member.kind not in CELLS]
    if strange:
        raise Refused(f"{layer.text()}: its cells are {', '.join(m.kind for m in members)}, expected GRUCell only")
    return members


def _members(outer: Layer) -> Iterator[Layer]:
    found = [outer.inside(member, "cells") for member in outer.config.get("cells") or []]
    for member, group in zip(found, numbered([member.kind for member in found])):
        yield Layer(member.kind, member.config, member.names, f"{member.place}/{group}")


def is_recurrent(layer: Layer) -> bool:
    """Whether there is a GRU in this layer, in either direction."""
    if layer.kind != "Bidirectional":
        return bool(_cells(layer))
    directions = _directions(layer)
    found = [bool(_cells(side)) for side in directions]
    if any(found) and not all(found):
        raise Refused(f"{layer.text()}: its directions are {directions[0].kind} and {directions[1].kind}, expected two GRUs")
    return all(found)
