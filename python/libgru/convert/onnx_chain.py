"""Chains of GRU nodes, as exporters write the layers of a stack, and whether they are exactly one."""
from __future__ import annotations

from typing import Any

import numpy as np

from libgru.convert.gru import Gru
from libgru.convert.onnx_constants import Constants
from libgru.convert.onnx_gru import Node
from libgru.convert.refused import Refused


def _only_user(node: Node, name: str) -> Any:
    """The one node that reads the numbers of a name; None if there are more. Who reads its shape reads no numbers."""
    graph = node.graph
    users = [user for user in graph.users.get(name, []) if user.op_type != "Shape"]
    elsewhere = graph.consumers[name] - len(graph.users.get(name, []))
    if len(users) != 1 or elsewhere or any(name == output.name for output in graph.proto.output):
        return None
    return users[0]


def _values(node: Node, proto: Any, attribute: str, index: int, constants: Constants) -> list[int] | None:
    """Integers that are an attribute in old operator sets and a constant input in new ones."""
    for given in proto.attribute:
        if given.name == attribute:
            return [int(value) for value in given.ints]
    found = constants.find(node.graph, proto.input[index]) if index < len(proto.input) else None
    return None if found is None else [int(value) for value in np.ravel(found[0])]


def _is_step(node: Node, proto: Any, axis: int, width: int, constants: Constants) -> bool:
    """Whether a node on the way only puts the directions side by side, or passes the numbers on. Y is [T][D][N][H]
    (axis 1) or, with layout 1, [N][T][D][H] (axis 2)."""
    if proto.op_type in ("Identity", "Dropout"):
        return True
    if proto.op_type == "Squeeze":
        return _values(node, proto, "axes", 1, constants) in ([axis], [axis - 4])
    if proto.op_type == "Transpose":
        return axis == 1 and _values(node, proto, "perm", 9, constants) == [0, 2, 1, 3]
    return proto.op_type == "Reshape" and _joins_directions(node, proto, width, constants)


def _joins_directions(node: Node, proto: Any, width: int, constants: Constants) -> bool:
    """Whether a Reshape makes [a][b][D][H] to [a][b][width]. 0 keeps a dimension; a number has to be that which the
    graph notes; one -1 follows from the others."""
    shape = _values(node, proto, "shape", 1, constants) or []
    if len(shape) != 3 or any(a.name == "allowzero" and a.i for a in proto.attribute):
        return False
    noted: Any = next((value.type.tensor_type.shape.dim for value in node.graph.proto.value_info
                  if value.name == proto.input[0]), [])
    kept = [size == 0 or i < len(noted) and 0 < size == noted[i].dim_value for i, size in enumerate(shape[:2])]
    return all(kept) and shape[2] in (-1, width) or shape[2] == width and -1 in shape[:2] and any(kept)


def _next(node: Node, width: int, constants: Constants) -> Any:
    """The GRU node that reads this one's outputs as a stack's next layer would; None if there is none."""
    bidirectional = node.direction == "bidirectional"
    axis = 2 if node.attributes.get("layout", 0) else 1
    together = ["Reshape"] if axis == 2 else ["Transpose", "Reshape"]
    ways = [together] if bidirectional else [together, ["Squeeze"]]
    name, seen, passed = node.output(0), list[str](), set[str]()
    while name and name not in passed:
        passed.add(name)
        proto = _only_user(node, name)
        if proto is None:
            return None
        if proto.op_type == "GRU":
            return proto if proto.input[0] == name and seen in ways else None
        if not _is_step(node, proto, axis, width, constants) or proto.input[0] != name:
            return None
        seen += [proto.op_type] if proto.op_type not in ("Identity", "Dropout") else []
        name = proto.output[0]
    return None


def _fits(below: Node, above: Node) -> bool:
    """Two nodes that differ in what a stack has once: the lengths of the sequences, and the axis of time."""
    return (below.input(4) == above.input(4) and bool(below.attributes.get("layout", 0)) == bool(
        above.attributes.get("layout", 0)))


def joined(found: list[tuple[Node, list[Gru]]], constants: Constants) -> list[Gru]:
    """All GRUs, those of a chain as one. Nodes whose directions differ are two GRUs, and stay."""
    by_proto = {id(node.proto): (node, grus) for node, grus in found}
    count = sum(len(gru.layers) for _, grus in found for gru in grus)
    above: dict[int, int] = {}
    for node, grus in found:
        following = _next(node, grus[0].layers[0].outputs, constants) if len(grus) == 1 else None
        other = by_proto.get(id(following))
        if other and len(other[1]) == 1 and _fits(node, other[0]) \
                and grus[0].layers[0].outputs == other[1][0].layers[0].inputs:
            above[id(node.proto)] = id(other[0].proto)
    result = []
    for node, grus in found:
        key = id(node.proto)
        if key in above.values():
            continue
        first = grus[0]
        while key in above:
            key = above[key]
            upper = by_proto[key][1][0]
            first.layers += upper.layers
            first.notes += upper.notes
            first.origin += f", {upper.origin}"
            first.members += upper.members
        result += grus
    if sum(len(gru.layers) for gru in result) != count:
        raise Refused("its GRU nodes read each other in a circle")
    return result
