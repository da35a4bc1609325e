"""What a GRU is, whoever trained it: cells in the library's order of gates, r, z, n, and their variant."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from libgru.convert.activations import Function, function
from libgru.convert.refused import Refused
from libgru.convert.tensor import WEIGHTS, Array, Tensor

VARIANT_FIELDS = ("reset", "gate", "candidate", "clip", "hard_slope", "gate_alpha", "gate_beta", "candidate_alpha",
                  "candidate_beta")
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@dataclass(frozen=True)
class Variant:
    """What the tensors do not tell. The words are those of the file's metadata (gru/import.h)."""
    reset: str = "after"
    gate: Function = Function("sigmoid")
    candidate: Function = Function("tanh")
    clip: float = 0.0

    @staticmethod
    def of_words(words: Mapping[str, str]) -> Variant:
        """Of a file's metadata, by the names of VARIANT_FIELDS; what is not there has its default."""
        def number(field: str) -> float:
            return float(words.get(field, 0))
        gate = words.get("gate", "sigmoid")
        alpha = number("hard_slope") if gate == "hard_sigmoid" else number("gate_alpha")
        return Variant(words.get("reset", "after"), function(gate, alpha, number("gate_beta")),
                       function(words.get("candidate", "tanh"), number("candidate_alpha"), number("candidate_beta")),
                       number("clip"))

    def words(self) -> dict[str, str]:
        """The fields as metadata. Numbers only where they mean something; a hard sigmoid's alpha is called its slope."""
        words = {"reset": self.reset, "gate": self.gate.word, "candidate": self.candidate.word}
        hard = self.gate.word == "hard_sigmoid"
        for key, number in (("hard_slope" if hard else "gate_alpha", self.gate.alpha),
                            ("gate_beta", 0.0 if hard and self.gate.beta == 0.5 else self.gate.beta),
                            ("candidate_alpha", self.candidate.alpha), ("candidate_beta", self.candidate.beta)):
            if number:
                words[key] = repr(number)
        if self.clip:
            words["clip"] = repr(self.clip)
        return words


@dataclass(frozen=True)
class Part:
    """One of a cell's four tensors, and the names of the tensors of the input that it was made of."""
    tensor: Tensor
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A sublayer, one layer in one direction: W [3H][I], R [3H][H], both biases [3H] or none, a learned initial state [H]."""
    W: Part
    R: Part
    bW: Part | None = None
    bR: Part | None = None
    h0: Part | None = None

    @property
    def inputs(self) -> int:
        return self.W.tensor.shape[1]

    @property
    def hidden(self) -> int:
        return self.R.tensor.shape[1]

    def parts(self) -> dict[str, Part]:
        """By the names of PARTS, and h0; a bias that only one side has gets zeros on the other."""
        found = {"weight_ih": self.W, "weight_hh": self.R}
        given = self.bW or self.bR
        if given is not None:
            zeros = Part(given.tensor.like(np.zeros_like(given.tensor.bits)))
            found.update(bias_ih=self.bW or zeros, bias_hh=self.bR or zeros)
        if self.h0 is not None:
            found["h0"] = self.h0
        return found

    def starting(self) -> Cell:
        """The same with an initial state: zeros, if it has learned none."""
        H, like = self.hidden, self.R.tensor
        return self if self.h0 else replace(self, h0=Part(like.like(np.zeros(H, like.bits.dtype))))

    def checked(self, who: str) -> Cell:
        """This cell, if its shapes and types fit together; else Refused, in the name of who."""
        R = self.R.tensor.shape
        if len(R) != 2 or R[1] < 1 or R[0] != 3 * R[1]:
            raise Refused(f"{who}: the recurrent weights are {_shape(R)}, expected [3H][H]")
        W = self.W.tensor.shape
        if len(W) != 2 or W[0] != R[0] or W[1] < 1:
            raise Refused(f"{who}: the input weights are {_shape(W)}, expected [{R[0]}][I] with H = {R[1]}")
        for name, part in self.parts().items():
            size = R[1] if name == "h0" else R[0]
            if not name.startswith("weight") and part.tensor.shape != (size,):
                raise Refused(f"{who}: {name} is {_shape(part.tensor.shape)}, expected [{size}]")
            if part.tensor.dtype not in WEIGHTS:
                raise Refused(f"{who}: {name} has the type {part.tensor.dtype}, expected one of {', '.join(WEIGHTS)}")
            if part.tensor.dtype != self.W.tensor.dtype:
                raise Refused(f"{who}: {name} has the type {part.tensor.dtype} and weight_ih {self.W.tensor.dtype}, "
                              "expected one type")
        return self


@dataclass(frozen=True)
class Layer:
    """One direction or two of one variant."""
    variant: Variant
    forward: Cell | None
    reverse: Cell | None = None
    merge: str = "concat"

    def cells(self) -> dict[str, Cell]:
        """By what the tensors' names end with: "" or "_reverse"."""
        both = {"": self.forward, "_reverse": self.reverse}
        return {end: cell for end, cell in both.items() if cell is not None}

    @property
    def inputs(self) -> int:
        return next(iter(self.cells().values())).inputs

    @property
    def outputs(self) -> int:
        widths = [cell.hidden for cell in self.cells().values()]
        return sum(widths) if self.merge == "concat" else widths[0]


@dataclass
class Gru:
    """A stack of layers, written under one prefix. origin: how the format itself calls it; members: the same of each
    part, where it was made of several."""
    prefix: str
    layers: list[Layer]
    origin: str
    notes: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.members = self.members or [self.origin]

    def start_together(self) -> bool:
        """Whether a cell has learned its initial state; then all get one, as the file's metadata says it of all."""
        learned = any(cell.h0 for layer in self.layers for cell in layer.cells().values())
        if learned:
            self.layers = [replace(layer, forward=layer.forward and layer.forward.starting(),
                                   reverse=layer.reverse and layer.reverse.starting()) for layer in self.layers]
        return learned


def layer_words(metadata: Mapping[str, str], prefix: str, layer: int) -> dict[str, str]:
    """What a file's metadata say of a layer. The layer's own words come before those of all layers, whose numbers are not for a
    function of its own."""
    words: dict[str, str] = {}
    for level in (f"{prefix}gru.", f"{prefix}gru.l{layer}."):
        own = {field: metadata[level + field] for field in (*VARIANT_FIELDS, "merge") if level + field in metadata}
        for function_field in {"gate", "candidate"} & own.keys():
            for number in ("alpha", "beta"):
                words.pop(f"{function_field}_{number}", None)
        words.update(own)
    return words


def _shape(shape: tuple[int, ...]) -> str:
    return "".join(f"[{size}]" for size in shape) or "a scalar"


def zrn_to_rzn(bits: Array) -> Array:
    """Exchanges the first two thirds of the rows."""
    z, r, n = np.split(bits, 3)
    return np.concatenate([r, z, n])


def of_directions(prefix: str, origin: str, forward: tuple[Variant, Cell] | None, reverse: tuple[Variant, Cell] | None,
                  merge: str = "concat") -> list[Gru]:
    """One GRU of one layer; two GRUs, of one direction each, where the two differ in more than their numbers: the
    library's layers have one variant and one size."""
    both = [side for side in (forward, reverse) if side]
    if len({(variant, cell.hidden, cell.inputs, cell.W.tensor.dtype) for variant, cell in both}) == 1:
        cells = [side[1] if side else None for side in (forward, reverse)]
        return [Gru(prefix, [Layer(both[0][0], cells[0], cells[1], merge)], origin)]
    assert forward and reverse
    note = f"its directions differ: written as two GRUs, to run one after the other; their outputs merge by {merge}"
    return [Gru(f"{prefix}forward.", [Layer(forward[0], forward[1])], origin, [note]),
            Gru(f"{prefix}backward.", [Layer(reverse[0], None, reverse[1])], origin, [note])]
