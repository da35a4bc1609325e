"""Constants of ONNX graphs: initializers, and what nodes compute of them alone."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.reference

from libgru.convert.budget import Budget
from libgru.convert.refused import Refused
from libgru.convert.tensor import Array

# Nodes that are computed where all their inputs are constant. Those that make more of little ask the budget first.
FOLDED = {"Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Slice", "Split",
          "Gather", "Neg", "Add", "Sub", "Mul", "Div", "DequantizeLinear", "Constant", "Shape", "ConstantOfShape",
          "Expand", "Tile", "Dropout"}
DEEPEST = 200    # constants of constants of ...


def subgraphs(node: Any) -> Iterator[tuple[str, Any]]:
    """The graphs that a node holds, each with the attribute's name."""
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs:
            yield attribute.name, graph


@dataclass(eq=False)
class Graph:
    """A graph with the graphs around it. name: the nodes that lead to it, "" for the model's own."""
    proto: Any
    name: str
    outer: Graph | None
    initializers: dict[str, Array] = field(default_factory=dict)
    producers: dict[str, Any] = field(default_factory=dict)
    consumers: Counter[str] = field(default_factory=Counter)    # by nodes of this graph and of those within it
    users: dict[str, list[Any]] = field(default_factory=dict)   # nodes of this graph
    folded: dict[str, Array | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.proto.node:
            for output in node.output:
                self.producers[output] = node
            for name in node.input:
                self.users.setdefault(name, []).append(node)
                self.count(name)

    def count(self, name: str) -> None:
        """One more use of a name, in the graph that defines it."""
        here = self.defines(name)
        if here or self.outer is None:
            self.consumers[name] += 1
        else:
            self.outer.count(name)

    def defines(self, name: str) -> bool:
        return (name in self.producers or name in self.initializers
                or any(name == value.name for value in [*self.proto.input, *self.proto.initializer]))

    def home(self, name: str) -> Graph:
        """The graph in which a name that this one uses is defined."""
        if self.outer is None or self.defines(name):
            return self
        return self.outer.home(name)

    def full(self, name: str) -> str:
        """A tensor's name in the whole model."""
        return f"{self.name}/{name}" if self.name else name


Constant = tuple[Array, tuple[tuple[Graph, str], ...]]    # the value, and the tensors of the file that it was made of


@dataclass
class Constants:
    """Folds, and remembers which tensors each constant was made of."""
    opsets: list[Any]
    budget: Budget
    found: dict[tuple[int, str], Constant | None] = field(default_factory=dict)

    def find(self, graph: Graph, name: str, depth: int = 0) -> Constant | None:
        """A name's value; None if it is not constant."""
        home = graph.home(name)
        key = (id(home), name)
        if key not in self.found:
            self.found[key] = None    # while it is being looked for: a graph that reads its own results is not constant
            self.found[key] = self._fold(home, name, depth)
        return self.found[key]

    def _fold(self, home: Graph, name: str, depth: int) -> Constant | None:
        if name in home.initializers:
            return home.initializers[name], ((home, name),)
        node = home.producers.get(name)
        if node is None or node.op_type not in FOLDED or node.domain not in ("", "ai.onnx") or depth > DEEPEST:
            return None
        inputs: dict[str, Array] = {}
        sources: list[tuple[Graph, str]] = [(home, name)] if node.op_type == "Constant" else []
        for wanted in node.input:
            found = self.find(home, wanted, depth + 1) if wanted else None
            if wanted and found is None:
                return None
            if found:
                inputs[wanted] = found[0]
                sources += found[1]
        if name not in home.folded:
            home.folded.update(self._run(node, inputs))
        value = home.folded.get(name)
        return None if value is None else (value, tuple(dict.fromkeys(sources)))

    def _run(self, node: Any, inputs: dict[str, Array]) -> dict[str, Array]:
        self.budget.take(_size(node, inputs), f"node {node.name or node.output[0]} ({node.op_type})")
        unknown = onnx.TensorProto.UNDEFINED
        outputs = [name for name in node.output if name]
        graph = onnx.helper.make_graph(
            [node], "constant", [onnx.helper.make_tensor_value_info(name, unknown, None) for name in inputs],
            [onnx.helper.make_tensor_value_info(name, unknown, None) for name in outputs])
        opsets = [onnx.helper.make_opsetid("", 21)] if node.op_type == "DequantizeLinear" else self.opsets
        model = onnx.helper.make_model(graph, opset_imports=opsets)    # the evaluator knows no older DequantizeLinear
        try:
            values = onnx.reference.ReferenceEvaluator(model).run(None, inputs)
        except Exception:    # it does not fit its inputs, or this version's operator is unknown: not a constant then
            return {}
        return {name: np.asarray(value) for name, value in zip(outputs, values)}


def _size(node: Any, inputs: dict[str, Array]) -> int:
    """Bytes that the results can take at most."""
    arrays = list(inputs.values())
    total: int = sum(int(array.nbytes) for array in arrays)
    if node.op_type in ("ConstantOfShape", "Expand"):
        size = 8 * math.prod(abs(int(extent)) for extent in arrays[-1].ravel())
        return size * (max(1, int(arrays[0].size)) if len(arrays) > 1 else 1)
    if node.op_type == "Tile":
        return total * math.prod(abs(int(count)) for count in arrays[-1].ravel())
    if node.op_type == "Gather":
        return total + 8 * int(arrays[0].size) * int(arrays[1].size) // max(1, int(min(arrays[0].shape or (1,))))
    if node.op_type in ("Add", "Sub", "Mul", "Div") and len(arrays) == 2:
        try:
            return 8 * math.prod(int(extent) for extent in np.broadcast_shapes(arrays[0].shape, arrays[1].shape))
        except ValueError as error:
            raise Refused(f"node {node.name or node.output[0]}: {error}") from error
    if node.op_type in ("Cast", "DequantizeLinear"):
        return 8 * total    # 1 byte to 8
    return total    # nodes that only take a part of their inputs, or put them together or in another order
