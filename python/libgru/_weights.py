"""Weights and configuration of one direction of a layer, from arrays and words to the structs of the library."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from libgru import _arrays
from libgru._errors import BadArgument
from libgru._library import library

# Member of gru_layer_config, and the beginnings of its constants, the first first.
WORDS = {"reset": ("reset_mode", ["GRU_RESET_"]), "update": ("update", ["GRU_UPDATE_"]),
         "gate": ("gate", ["GRU_GATE_", "GRU_ACTIVATION_"]), "candidate": ("candidate", ["GRU_CANDIDATE_", "GRU_ACTIVATION_"])}
NUMBERS = ("clip", "hard_slope", "gate_alpha", "gate_beta", "candidate_alpha", "candidate_beta")


@dataclass(frozen=True)
class Weights:
    """Arrays of one direction. Gates in the order r, z, n; H units, I inputs; dense and row-major.

    W [3H][I], R [3H][H], biases bW [3H] and bR [3H]; None: zeros. All of one type: f32, f16, bf16, f64. With int8 W and R, each
    row has a factor in W_scale [3H] and R_scale [3H], and biases are f32. W None: the layer takes only projected input.
    """
    W: Any
    R: Any
    bW: Any = None
    bR: Any = None
    W_scale: Any = None
    R_scale: Any = None

    def sizes(self) -> tuple[int, int]:
        """I and H."""
        R = _arrays.memory("R", self.R)
        hidden = R.shape[-1] if R.shape else 0
        W = None if self.W is None else _arrays.memory("W", self.W)
        return (W.shape[-1] if W and W.shape else 0), hidden


@dataclass(frozen=True)
class Variant:
    """What a layer computes and in which types; the words of gru_layer_config. Docs: docs/variants.md."""
    reset: str = "after"
    update: str = "keep"
    gate: str = "sigmoid"
    candidate: str = "tanh"
    clip: float = 0.0
    hard_slope: float = 0.0
    io_type: str | None = None         # None: f64 for weights of f64, else f32
    state_type: str | None = None      # None: f64 for io of f64, else f32
    weight_type: str | None = None     # None: f64 for io of f64, else f32
    gate_alpha: float = 0.0            # numbers of some activations; 0: their default
    gate_beta: float = 0.0
    candidate_alpha: float = 0.0
    candidate_beta: float = 0.0

    def with_types_of(self, weights: Weights) -> Variant:
        """The same with every type named."""
        given = _arrays.memory("R", weights.R).type
        io = self.io_type or ("f64" if given == "f64" else "f32")
        rest = "f64" if io == "f64" else "f32"
        return replace(self, io_type=io, state_type=self.state_type or rest, weight_type=self.weight_type or rest)


def type_value(name: str | None, argument: str) -> int:
    if name not in _arrays.TYPES and name != "int8":
        raise BadArgument(f"{argument} is {name!r}, expected {', '.join(_arrays.TYPES)}" +
                          (", int8" if argument == "weight_type" else ""))
    return library()[f"GRU_{name.upper()}"]


def type_name(value: int) -> str:
    return next(name for name in (*_arrays.TYPES, "int8") if library()[f"GRU_{name.upper()}"] == value)


def fill_config(config: Any, variant: Variant, sizes: tuple[int, int], direction: str = "forward") -> None:
    """Sets a gru_layer_config. Every type of the variant is named."""
    lib = library()
    config.inputs, config.hidden = sizes
    for name, (member, prefixes) in WORDS.items():
        setattr(config, member, lib.choice(prefixes, getattr(variant, name), name))
    for name in NUMBERS:
        setattr(config, name, getattr(variant, name))
    if direction not in ("forward", "reverse"):
        raise BadArgument(f"direction is {direction!r}, expected forward or reverse")
    config.direction = lib["GRU_" + direction.upper()]
    config.io_type = type_value(variant.io_type, "io_type")
    config.state_type = type_value(variant.state_type, "state_type")
    config.weight_type = type_value(variant.weight_type, "weight_type")


def fill_weights(target: Any, weights: Weights, sizes: tuple[int, int], cuda: bool) -> list[Any]:
    """Sets a gru_weights; returns what must live as long as it does. Arrays may be in host or, for CUDA, in device memory."""
    inputs, hidden = sizes
    first = _arrays.memory("R", weights.R)
    on_device = cuda and first.cuda
    kinds: Sequence[str] = (first.type,)
    _arrays.check("R", first, (*_arrays.TYPES, "int8"), (3 * hidden, hidden), cuda=on_device)
    biases = ("f32",) if first.type == "int8" else kinds
    parts = [("W", kinds, (3 * hidden, inputs)), ("R", kinds, (3 * hidden, hidden)), ("bW", biases, (3 * hidden,)),
             ("bR", biases, (3 * hidden,)), ("W_scale", ("f32",), (3 * hidden,)), ("R_scale", ("f32",), (3 * hidden,))]
    owners = []
    for name, types, shape in parts:
        array = getattr(weights, name)
        if array is None:
            continue
        why = ", the type of R" if types is kinds else ""
        found = _arrays.check(name, _arrays.memory(name, array), types, shape, cuda=on_device, why=why)
        setattr(target, name, _arrays.dense(name, found))
        owners.append(found.owner)
    target.type, target.on_device = type_value(first.type, "the type of R"), int(on_device)
    return owners
