""".keras archives, of Keras 2 and 3: arrays by number, in groups that are called by classes and not by layers."""
from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from libgru.convert.archive import member, open_zip
from libgru.convert.budget import Budget
from libgru.convert.gru import Gru
from libgru.convert.hdf5 import Tree, tree
from libgru.convert.keras import Reader
from libgru.convert.keras_cell import Weights
from libgru.convert.keras_config import Layer, described, layers_of
from libgru.convert.refused import Refused
from libgru.convert.source import Source

_WORDS = ("kernel", "recurrent_kernel", "bias")    # by number


class Finder:
    """Arrays by place. Where the file says whose group it is, that has to agree."""

    def __init__(self, file: Tree, source: Source) -> None:
        self.source = source
        self.owners = {path: file.attribute(f"{path}/vars", "name") for path in _groups(file)}

    def __call__(self, layer: Layer, cell: Layer) -> Weights:
        owner = self.owners.get(layer.place)
        if owner is not None and owner not in (layer.names[-1], *layer.aliases):
            raise Refused(f"{layer.text()}: the group {layer.place} is of a layer {owner}")
        place = f"{cell.place}/cell" if cell.kind == "GRU" else cell.place
        found: Weights = {}
        for path, tensor in self.source.tensors.items():
            group, _, number = path.rpartition("/")
            if group == f"{place}/vars":
                word = _WORDS[int(number)] if number in ("0", "1", "2") else number
                found[word] = (path, tensor)
        if not found:
            raise Refused(f"{layer.text()}: the archive has no group {place}/vars, where Keras 2.14 and later keep its arrays")
        return found


def _groups(file: Tree) -> list[str]:
    """Paths of all groups that have numbered arrays, and of those around them."""
    found: dict[str, None] = {}
    for path in file.datasets:
        parts = path.split("/")
        found.update({"/".join(parts[:count]): None for count in range(1, len(parts))})
    return list(found)


def _json(archive: zipfile.ZipFile, name: str, budget: Budget) -> Any:
    return json.loads(member(archive, name, budget))


def _set_names(source: Source, model: Layer) -> None:
    """layers/time_distributed/layer/vars/0 -> td.layer.0, where the layer is called td."""
    layers = {layer.place: ".".join(layer.names) for layer in layers_of(model)}
    for path in source.tensors:
        parts = path.split("/")
        for count in range(len(parts), 0, -1):
            name = layers.get("/".join(parts[:count]))
            if name:
                rest = [part for part in parts[count:] if part != "vars"]
                source.written_as[path] = ".".join([name, *rest])
                break
        else:
            source.written_as[path] = ".".join(part for part in parts if part != "vars")
    source.separate_names()


def read(path: Path, budget: Budget, reversed_outputs: bool) -> tuple[Source, list[Gru]]:
    """The whole archive, and its GRUs."""
    source = Source(path)
    with open_zip(path) as archive:
        kind, config = described(_json(archive, "config.json", budget), "the model")
        metadata = _json(archive, "metadata.json", budget)
        version = str(metadata.get("keras_version", "3")) if isinstance(metadata, dict) else "3"
        if "model.weights.h5" not in archive.namelist():
            raise Refused("the archive has no model.weights.h5: weights in several files are not read")
        content = member(archive, "model.weights.h5", budget)
    with h5py.File(io.BytesIO(content), "r") as opened:
        file = tree(opened)
        file.fill(source, budget)
        finder = Finder(file, source)
    model = Layer(kind, config, (), "")
    grus = Reader(source, version, finder, reversed_outputs).grus(model)
    _set_names(source, model)
    return source, grus
