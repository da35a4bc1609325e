"""One GRU node of an ONNX graph: its attributes, its functions, its weights."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx.helper

from libgru.convert.activations import Function
from libgru.convert.gru import Cell, Part, Variant, zrn_to_rzn
from libgru.convert.onnx_constants import Constants, Graph
from libgru.convert.refused import Refused
from libgru.convert.tensor import Array, Tensor, Unheld

_ATTRIBUTES = {"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout",
               "linear_before_reset", "output_sequence"}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_WORDS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "affine": "affine", "leakyrelu": "leaky_relu",
          "thresholdedrelu": "thresholded_relu", "scaledtanh": "scaled_tanh", "hardsigmoid": "hard_sigmoid", "elu": "elu",
          "softsign": "softsign", "softplus": "softplus"}
# Defaults of alpha and beta, of the functions that have them. ONNX has no operators Affine and ScaledTanh any more. For these and
# ThresholdedRelu, runtimes take different defaults where a node gives no number.
_UNSAID = float("nan")
_ALPHA = {"affine": _UNSAID, "leakyrelu": 0.01, "thresholdedrelu": _UNSAID, "scaledtanh": _UNSAID, "hardsigmoid": 0.2,
          "elu": 1.0}
_BETA = {"affine": 0.0, "scaledtanh": _UNSAID, "hardsigmoid": 0.5}


@dataclass(frozen=True)
class Named:
    """As the node names a function, with its numbers."""
    name: str
    alpha: float
    beta: float

    def text(self) -> str:
        alpha, beta = ("not given" if number != number else f"{number:g}" for number in (self.alpha, self.beta))
        return f"{self.name} with alpha {alpha} and beta {beta}"

    def checked(self, node: Node, of: str) -> Function:
        """The library's; Refused where it has none. of: the gates or the candidate."""
        found = Function(_WORDS.get(self.name.lower(), self.name), self.alpha, self.beta).plain()
        if self.alpha != self.alpha or self.beta != self.beta:
            raise Refused(f"{node.text()}: {of} function is {self.text()}, expected the number that is not given")
        if found.fault():
            raise Refused(f"{node.text()}: {of} function is {self.text()}, {found.fault()}")
        return found


def is_gru(proto: Any) -> bool:
    return proto.op_type == "GRU" and proto.domain in ("", "ai.onnx")


@dataclass
class Node:
    """A GRU node in its graph. name: unique in the model."""
    proto: Any
    graph: Graph
    name: str

    def __post_init__(self) -> None:
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in self.proto.attribute}
        unknown = sorted(self.attributes.keys() - _ATTRIBUTES)
        if unknown:
            raise Refused(f"{self.text()}: the attribute {unknown[0]} is not one of the operator's")
        if self.direction not in _DIRECTIONS:
            raise Refused(f"{self.text()}: direction is {self.direction}, expected forward, reverse or bidirectional")

    def text(self) -> str:
        return f"node {self.name}"

    @property
    def direction(self) -> str:
        return _text(self.attributes.get("direction", b"forward"))

    def input(self, index: int) -> str:
        """The name of an input; "" where there is none."""
        return str(self.proto.input[index]) if index < len(self.proto.input) else ""

    def output(self, index: int) -> str:
        return str(self.proto.output[index]) if index < len(self.proto.output) else ""


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def functions(node: Node) -> list[Named]:
    """Two for each direction. alpha and beta are consumed in order by the functions that have them."""
    count = 2 * _DIRECTIONS[node.direction]
    names = [_text(name) for name in node.attributes.get("activations", ["Sigmoid", "Tanh"] * (count // 2))]
    if len(names) != count:
        raise Refused(f"{node.text()}: activations has {len(names)} functions, expected {count}")
    alphas, betas = (list(node.attributes.get(f"activation_{kind}", [])) for kind in ("alpha", "beta"))
    found = []
    for name in names:
        values = [float(given.pop(0)) if given else defaults[name.lower()] if name.lower() in defaults else 0.0
                  for given, defaults in _taking(name.lower(), alphas, betas)]
        found.append(Named(name, *values))
    return found


def _taking(name: str, alphas: list[float], betas: list[float]) -> list[tuple[list[float], dict[str, float]]]:
    """For alpha and beta: the list to take from, empty for a function that has none, and the defaults."""
    return [(alphas if name in _ALPHA else [], _ALPHA), (betas if name in _BETA else [], _BETA)]


def _variant(node: Node, gate: Named, candidate: Named) -> tuple[Variant, float]:
    """Of one direction; and what its gates' sums lack: a hard sigmoid with beta 0 is one with 0.5 and other biases."""
    clip = float(node.attributes.get("clip", 0.0))
    if clip < 0 or not np.isfinite(clip):
        raise Refused(f"{node.text()}: clip is {clip:g}, expected a number above 0, or none")
    shift = 0.0
    if gate.name.lower() == "hardsigmoid" and not gate.beta and gate.alpha > 0 and not clip:
        gate, shift = Named(gate.name, gate.alpha, 0.5), -0.5 / gate.alpha
    reset = "after" if node.attributes.get("linear_before_reset", 0) else "before"
    return Variant(reset, gate.checked(node, "the gates'"), candidate.checked(node, "the candidate's"), clip), shift


def _constant(node: Node, index: int, name: str, constants: Constants) -> tuple[Array, tuple[str, ...]] | None:
    wanted = node.input(index)
    if not wanted:
        return None
    found = constants.find(node.graph, wanted)
    if found is None:
        raise Refused(f"{node.text()}: its input {name} ({wanted}) is no constant: the graph computes it of its inputs, "
                      "or by nodes that are not folded")
    return found[0], tuple(graph.full(source) for graph, source in found[1])


def _check(node: Node, name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if len(shape) != len(expected) or any(e >= 0 and e != s for s, e in zip(shape, expected)):
        wanted = "".join("[any]" if size < 0 else f"[{size}]" for size in expected)
        raise Refused(f"{node.text()}: {name} is {list(shape)}, expected {wanted} (direction {node.direction})")


def initial_states(node: Node, constants: Constants) -> list[Part] | None:
    """A state [H] for each direction, if initial_h is a constant that is the same for all sequences, and not zero."""
    found = constants.find(node.graph, node.input(5)) if node.input(5) else None
    if found is None or found[0].ndim != 3 or not found[0].size:
        return None
    rows = found[0].swapaxes(0, 1) if node.attributes.get("layout", 0) else found[0]
    if not np.any(rows) or np.any(rows != rows[:, :1]):
        return None
    try:
        whole = Tensor.of(rows[:, 0])
    except Unheld:
        return None
    sources = tuple(graph.full(source) for graph, source in found[1])
    return [Part(whole.like(row), sources) for row in whole.bits]


def _shifted(node: Node, bias: Part | None, like: Tensor, shift: float, H: int) -> Part | None:
    """The input bias with shift added for r and z."""
    if not shift:
        return bias
    values = bias.tensor.values() if bias else np.zeros(3 * H)
    values[:2 * H] += shift
    made = like.rounded(values)
    if np.abs(made.values() - values).max() > 1e-6 * np.abs(values).max():
        raise Refused(f"{node.text()}: the hard sigmoid's middle moves into the biases, whose type {like.dtype} is too "
                      "coarse for that")
    return Part(made, bias.sources if bias else ())


def cells(node: Node, constants: Constants) -> list[tuple[Variant, Cell]]:
    """One for each direction."""
    W, R, B = (_constant(node, index, name, constants) for index, name in ((1, "W"), (2, "R"), (3, "B")))
    if W is None or R is None:
        raise Refused(f"{node.text()}: it has no input {'W' if W is None else 'R'}")
    D, own = _DIRECTIONS[node.direction], node.attributes.get("hidden_size")
    H = int(own) if own is not None else R[0].shape[-1] if R[0].ndim else 0
    _check(node, "R", R[0].shape, (D, 3 * H, H))
    _check(node, "W", W[0].shape, (D, 3 * H, -1))
    if B:
        _check(node, "B", B[0].shape, (D, 6 * H))
    named, states, made = functions(node), initial_states(node, constants), list[tuple[Variant, Cell]]()
    if states and len(states) != D:
        raise Refused(f"{node.text()}: initial_h has {len(states)} directions, expected {D}")
    try:
        tensors = [Tensor.of(found[0]) if found else None for found in (W, R, B)]
    except Unheld as reason:
        raise Refused(f"{node.text()}: its weights cannot be kept: {reason}") from reason
    for d in range(D):
        variant, shift = _variant(node, *named[2 * d:2 * d + 2])
        parts = [Part(t.like(zrn_to_rzn(t.bits[d])), found[1]) for t, found in zip(tensors, (W, R)) if t]
        halves = np.split(tensors[2].bits[d], 2) if tensors[2] else []
        bW, bR = (Part(tensors[2].like(zrn_to_rzn(half)), B[1]) for half in halves) if tensors[2] and B else (None, None)
        bW = _shifted(node, bW, parts[0].tensor, shift, H)
        made.append((variant, Cell(parts[0], parts[1], bW, bR, states[d] if states else None).checked(node.text())))
    return made
