"""ONNX models: their graphs, the tensors in them, and the GRU nodes wherever they are."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx.numpy_helper

from libgru.convert.budget import Budget
from libgru.convert.gru import Gru, of_directions
from libgru.convert.onnx_chain import joined
from libgru.convert.onnx_constants import Constants, Graph, subgraphs
from libgru.convert.onnx_gru import Node, cells, initial_states, is_gru
from libgru.convert.refused import Refused
from libgru.convert.source import Source
from libgru.convert.tensor import Array, Unheld


# ---- tensors ------------------------------------------------------------------------------------------------------------

def _external(path: Path, tensor: Any, budget: Budget) -> bytes:
    """Data in a file of its own, which has to lie in the model's folder or below it."""
    words = {entry.key: entry.value for entry in tensor.external_data}
    folder = os.path.realpath(path.parent)
    place = os.path.realpath(os.path.join(folder, words.get("location", "")))
    if os.path.commonpath([folder, place]) != folder or not os.path.isfile(place):
        raise Refused(f"tensor {tensor.name} lies in {words.get('location')!r}, which is no file in the model's folder")
    size = os.path.getsize(place)
    offset, length = int(words.get("offset", 0)), int(words.get("length", size - int(words.get("offset", 0))))
    if not 0 <= offset <= offset + length <= size:
        raise Refused(f"tensor {tensor.name} lies at bytes {offset} to {offset + length} of {size}")
    budget.take(length, f"tensor {tensor.name}")
    with open(place, "rb") as file:
        file.seek(offset)
        return file.read(length)


def _array(path: Path, tensor: Any, budget: Budget) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        whole = onnx.TensorProto()
        whole.CopyFrom(tensor)
        whole.ClearField("external_data")
        whole.data_location = onnx.TensorProto.DEFAULT
        whole.raw_data = _external(path, tensor, budget)
        tensor = whole
    if tensor.data_type == onnx.TensorProto.STRING:
        raise Unheld("it holds text")
    return np.asarray(onnx.numpy_helper.to_array(tensor))


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken, as nodes may have the same name. It is taken then."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    taken.add(found)
    return found


class Reader:
    """Collects the tensors of all graphs in a source."""

    def __init__(self, source: Source, budget: Budget) -> None:
        self.source, self.budget = source, budget
        self.names: set[str] = set()    # of graphs

    def _add(self, graph: Graph, name: str, tensor: Any) -> None:
        try:
            array = _array(self.source.path, tensor, self.budget)
        except Unheld as reason:
            self.source.unheld[graph.full(name)] = str(reason)
            return
        graph.initializers[name] = array
        self.source.add(graph.full(name), array)

    def graphs(self, proto: Any, name: str, outer: Graph | None) -> Iterator[Graph]:
        """A graph and all that its nodes hold, each after its tensors were read."""
        graph = Graph(proto, name, outer)
        for tensor in proto.initializer:
            self._add(graph, tensor.name, tensor)
        for sparse in proto.sparse_initializer:
            self.source.unheld[graph.full(sparse.values.name)] = "it is sparse"
        for node in proto.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value" and node.output:
                    self._add(graph, node.output[0], attribute.t)
        yield graph
        for index, node in enumerate(proto.node):
            for attribute, member in subgraphs(node):
                name = unique(graph.full(f"{node.name or f'{node.op_type}_{index}'}/{attribute}"), self.names)
                yield from self.graphs(member, name, graph)


# ---- GRUs -----------------------------------------------------------------------------------------------------------------

def gru_nodes(graphs: list[Graph]) -> Iterator[Node]:
    """Every GRU node under a name of its own: its own, or else its output's."""
    taken: set[str] = set()
    for graph in graphs:
        for proto in graph.proto.node:
            if is_gru(proto):
                name = graph.full(proto.name or next((output for output in proto.output if output), "gru"))
                yield Node(proto, graph, unique(name, taken))


def _grus(node: Node, constants: Constants) -> list[Gru]:
    made = cells(node, constants)
    sides = [made[0], made[1]] if len(made) == 2 else [None, made[0]] if node.direction == "reverse" else [made[0], None]
    grus = of_directions(f"{node.name}.", node.name, sides[0], sides[1])
    initial = constants.find(node.graph, node.input(5)) if node.input(5) else None
    if initial is not None and np.any(initial[0]) and initial_states(node, constants) is None:
        for gru in grus:
            gru.notes.append(f"it starts from {node.input(5)}, a constant that differs by sequence: give that as h0")
    if node.attributes.get("layout", 0):
        for gru in grus:
            gru.notes.append("its layout is 1: its x and y are batch-major, which the strides of a run say, not the file")
    return grus


def _take(source: Source, graphs: list[Graph], grus: list[Gru], nodes: list[Node], constants: Constants) -> None:
    """Marks what went into the GRUs. A tensor that other nodes read too is written as it is, beside them."""
    made_of = {name for gru in grus for layer in gru.layers for cell in layer.cells().values()
               for part in cell.parts().values() for name in part.sources}
    gone = _swallowed(nodes, constants)
    for graph in graphs:
        for name in graph.initializers:
            if graph.full(name) in made_of and graph.consumers[name] <= gone.get((id(graph), name), 0) \
                    and all(name != output.name for output in graph.proto.output):
                source.take(graph.full(name))


def _swallowed(nodes: list[Node], constants: Constants) -> dict[tuple[int, str], int]:
    """How often each tensor is read on the way to the GRUs alone: by them, and by nodes of which nothing else reads."""
    counts: dict[tuple[int, str], int] = {}

    def read(graph: Graph, name: str) -> None:
        home = graph.home(name)
        key = (id(home), name)
        counts[key] = counts.get(key, 0) + 1
        node = home.producers.get(name)
        if node is not None and all(home.consumers[output] <= counts.get((id(home), output), 0)
                                    for output in node.output if output):
            for wanted in node.input:
                if wanted:
                    read(home, wanted)
    for gru_node in nodes:
        for index in (1, 2, 3, *([5] if initial_states(gru_node, constants) else [])):
            if gru_node.input(index):
                read(gru_node.graph, gru_node.input(index))
    return counts


def read(path: Path, budget: Budget, _: bool) -> tuple[Source, list[Gru]]:
    """The whole model, and its GRUs."""
    source = Source(path)
    model = onnx.load(os.fspath(path), load_external_data=False)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    for info in model.training_info:
        for tensor in [*info.initialization.initializer, *info.algorithm.initializer]:
            source.unheld[f"training_info/{tensor.name}"] = "it is a part of the training, not of the model"
    graphs = list(Reader(source, budget).graphs(model.graph, "", None))
    constants = Constants(list(model.opset_import), budget)
    nodes = list(gru_nodes(graphs))
    grus = joined([(node, _grus(node, constants)) for node in nodes], constants)
    _take(source, graphs, grus, nodes, constants)
    return source, grus
