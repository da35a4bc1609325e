"""ONNX Runtime on each GRU node of the input, with the node's own attributes and constants."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime

from libgru.convert import rnn
from libgru.convert.budget import Budget
from libgru.convert.gru import Gru
from libgru.convert.onnx_constants import Constants
from libgru.convert.onnx_file import Reader, gru_nodes
from libgru.convert.onnx_gru import Node, initial_states
from libgru.convert.source import Source
from libgru.convert.verify import drawn


def _run(node: Node, constants: Constants, opsets: list[Any], x: rnn.Numbers) -> tuple[rnn.Numbers, rnn.Numbers]:
    """Y and Y_h as [T][D][N][H] and [D][N][H], from the states that the file keeps. In single precision: the runtime has
    few others."""
    tensors = []
    for name, index in (("W", 1), ("R", 2), ("B", 3)):
        found = constants.find(node.graph, node.input(index)) if node.input(index) else None
        if found:
            tensors.append(onnx.numpy_helper.from_array(found[0].astype("f4"), name))
    states = constants.find(node.graph, node.input(5)) if initial_states(node, constants) else None
    if states:    # the same for all sequences: as many as there are here
        rows = states[0].swapaxes(0, 1) if node.attributes.get("layout", 0) else states[0]
        tensors.append(onnx.numpy_helper.from_array(np.repeat(rows[:, :1], x.shape[1], 1).astype("f4"), "initial_h"))
    kept = {key: value for key, value in node.attributes.items() if key not in ("layout", "output_sequence")}
    present = [tensor.name for tensor in tensors]
    made = onnx.helper.make_node("GRU", ["X", "W", "R", "B" if "B" in present else "", "",
                                         "initial_h" if states else ""], ["Y", "Y_h"], **kept)
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph([made], "gru", [onnx.helper.make_tensor_value_info("X", kind, list(x.shape))],
                                   [onnx.helper.make_tensor_value_info(name, kind, None) for name in ("Y", "Y_h")], tensors)
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    model.ir_version = min(model.ir_version, 10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, last = session.run(None, {"X": x.astype("f4")})
    return y.astype("f8"), last.astype("f8")


def compare(path: Path, source: Source, grus: list[Gru]) -> Iterator[tuple[Gru, rnn.Numbers, rnn.Numbers]]:
    """For each GRU: the runtime's numbers, node after node, and the file's."""
    model = onnx.load(path, load_external_data=False)
    budget = Budget.for_file(path, 1 << 40)
    graphs = list(Reader(Source(path), budget).graphs(model.graph, "", None))
    constants = Constants(list(model.opset_import), budget)
    nodes = {node.name: node for node in gru_nodes(graphs)}
    for gru in grus:
        x, theirs = drawn(gru.layers[0].inputs), []
        layers, y = rnn.load(source, gru.prefix), x
        for name in gru.members:
            Y, states = _run(nodes[name], constants, list(model.opset_import), y)
            if len(states) != len(layers[0][0]):    # one of two directions that differ
                side = 1 if layers[0][0][0].reverse else 0
                Y, states = Y[:, side:side + 1], states[side:side + 1]
            y = np.concatenate([Y[:, d] for d in range(Y.shape[1])], axis=-1)
            theirs.append(states.ravel())
        outputs, last = rnn.run(layers, x)
        yield gru, np.concatenate([y.ravel(), *theirs]), np.concatenate([array.ravel() for array in [*outputs, *last]])
