"""Moves GRU nodes of ONNX models to libgru's operator, and says which it left and why."""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import onnx
import onnx.helper
import onnx.shape_inference

from libgru._context import check_threads
from libgru._errors import BadArgument
from libgru._library import library
from libgru.convert.onnx_constants import Graph, subgraphs
from libgru.convert.onnx_gru import Node, functions, is_gru
from libgru.convert.refused import Refused

DOMAIN = "libgru"


class Left(NamedTuple):
    """A GRU node that stays as it is. name: its path in the model."""
    name: str
    reason: str


class Rewritten(NamedTuple):
    """model: the new model. moved: names of the nodes that libgru runs there. left: those that it does not."""
    model: Any
    moved: list[str]
    left: list[Left]


def rewrite(model: Any, *, threads: int = 1) -> Rewritten:
    """Gives every GRU node of a model that libgru can run to its operator. The model that is given stays as it is.

    model: an onnx.ModelProto, or the path of a file. threads: CPU threads of each node, 0: as many as processors; libgru's own,
    not those of the session. A node stays where its type is not float, where its functions or attributes are not libgru's, and
    inside functions of the model. Raises BadArgument.
    """
    if isinstance(model, (str, os.PathLike)):
        made = onnx.load(os.fspath(model))
    elif isinstance(model, onnx.ModelProto):
        made = onnx.ModelProto()
        made.CopyFrom(model)
    else:
        raise BadArgument(f"model is a {type(model).__name__}, expected an onnx.ModelProto or a path")
    check_threads(threads)
    types, moved, left = _types(made), list[str](), list[Left]()
    for node in _nodes(Graph(made.graph, "", None)):
        try:
            attributes = _attributes(node, types, threads)
        except Refused as reason:
            left.append(Left(node.name, str(reason).removeprefix(f"{node.text()}: ")))
            continue
        _move(node.proto, attributes)
        moved.append(node.name)
    left += [Left(f"{function.name}/{node.name or 'GRU'}", "it is in a function of the model: inline it first (onnx.inliner)")
             for function in made.functions for node in function.node if is_gru(node)]
    if moved and all(opset.domain != DOMAIN for opset in made.opset_import):
        made.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return Rewritten(made, moved, left)


# ---- the model ---------------------------------------------------------------------------------------------------------

def _nodes(graph: Graph) -> Iterator[Node]:
    """GRU nodes of a graph and of those within it. A node without a name has that of its first output."""
    for proto in graph.proto.node:
        name = graph.full(proto.name or next((output for output in proto.output if output), proto.op_type))
        if is_gru(proto):
            yield _node(proto, graph, name)
        for attribute, inner in subgraphs(proto):
            yield from _nodes(Graph(inner, f"{name}/{attribute}", graph))


class _Odd(Node):
    """A node whose attributes cannot be read."""
    def __init__(self, proto: Any, graph: Graph, name: str, reason: str) -> None:
        self.proto, self.graph, self.name, self.reason = proto, graph, name, reason


def _node(proto: Any, graph: Graph, name: str) -> Node:
    try:
        return Node(proto, graph, name)
    except (Refused, ValueError) as reason:
        return _Odd(proto, graph, name, str(reason))


def _types(model: Any) -> dict[str, int]:
    """Element types by name, of all graphs; names in different graphs that differ in type are left out."""
    try:
        model = onnx.shape_inference.infer_shapes(model)
    except Exception:    # of any kind: a model of 2 GB, an operator that it does not know
        pass
    found: dict[str, int] = {}
    for graph in _graphs(model.graph):
        for value in [*graph.input, *graph.output, *graph.value_info]:
            kind = value.type.tensor_type.elem_type
            found[value.name] = kind if found.get(value.name, kind) == kind else 0
        for tensor in graph.initializer:
            found[tensor.name] = tensor.data_type
    return found


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for proto in graph.node:
        for _, inner in subgraphs(proto):
            yield from _graphs(inner)


# ---- a node ------------------------------------------------------------------------------------------------------------

def _is_constant(node: Node, index: int) -> bool:
    """Whether an input is missing, an initializer that no caller can replace, or a Constant node."""
    name = node.input(index)
    if not name:
        return True
    home = node.graph.home(name)
    if any(value.name == name for value in home.proto.input):
        return False
    producer = home.producers.get(name)
    return producer.op_type == "Constant" if producer is not None else any(t.name == name for t in home.proto.initializer)


def _check_types(node: Node, types: dict[str, int]) -> None:
    known = {name: types.get(name, 0) for name in [*node.proto.input[:4], *node.proto.input[5:6]] if name}
    other = {name: kind for name, kind in known.items() if kind not in (0, onnx.TensorProto.FLOAT)}
    for name, kind in other.items():
        raise Refused(f"{name} is {onnx.TensorProto.DataType.Name(kind).lower()}, and the operator computes in float")
    if not any(known.values()):
        raise Refused("the type of its inputs is not known")


def _attributes(node: Node, types: dict[str, int], threads: int) -> dict[str, int | float]:
    """What the operator reads of the node. Refused with the reason why it stays."""
    if isinstance(node, _Odd):
        raise Refused(node.reason)
    if not all(map(node.input, range(3))):
        raise Refused("it has no input X, W or R")
    _check_types(node, types)
    hidden, given = node.attributes.get("hidden_size"), node.attributes
    if not isinstance(hidden, int) or hidden < 1:
        raise Refused(f"hidden_size is {hidden}, expected a number above 0")
    clip, layout = float(given.get("clip", 0.0)), int(given.get("layout", 0))
    if not 0 <= clip < float("inf") or layout not in (0, 1):
        raise Refused(f"clip is {clip:g} and layout is {layout}, expected 0 or more, and 0 or 1")
    named = functions(node)
    made: dict[str, int | float] = {
        "hidden_size": hidden, "layout": layout, "clip": clip, "threads": threads, "directions": len(named) // 2,
        "reset_mode": library()["GRU_RESET_AFTER" if given.get("linear_before_reset", 0) else "GRU_RESET_BEFORE"],
        "constant": int(all(_is_constant(node, index) for index in (1, 2, 3)))}
    for d in range(len(named) // 2):
        made[f"direction_{d}"] = int(d == 1 or node.direction == "reverse")
        for part, function in (("gate", named[2 * d]), ("candidate", named[2 * d + 1])):
            found = function.checked(node, f"the {part}'s")
            made[f"{part}_{d}"] = library()[f"GRU_ACTIVATION_{found.word.upper()}"]
            made[f"{part}_alpha_{d}"], made[f"{part}_beta_{d}"] = float(found.alpha), float(found.beta)
    return made


def _move(proto: Any, attributes: dict[str, int | float]) -> None:
    proto.domain = DOMAIN
    del proto.attribute[:]
    proto.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in attributes.items())
