"""The activations of the library: their words, their numbers, and what they compute.

The table is that of src/core/activations.def; the tests compare the two.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from libgru.convert.refused import Refused

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """alpha, beta: what a zero in a file stands for; None: the function has no such number. negative: alpha may be."""
    value: Callable[[Numbers, float, float], Numbers]
    alpha: float | None = None
    beta: float | None = None
    negative: bool = True


def _sigmoid(v: Numbers) -> Numbers:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * v))


def _below_zero(v: Numbers, below: Numbers, above: Numbers) -> Numbers:
    return np.where(v < 0, below, above)


def _softplus(v: Numbers) -> Numbers:
    return np.asarray(np.logaddexp(0, v))


_ERF = np.vectorize(math.erf, otypes=[float])
_SELU = 1.0507009873554805, 1.6732632423543772

TABLE: dict[str, Facts] = {
    "sigmoid": Facts(lambda v, a, b: _sigmoid(v)),
    "hard_sigmoid": Facts(lambda v, a, b: np.clip(a * v + b, 0, 1), 0.2, 0.5, negative=False),
    "tanh": Facts(lambda v, a, b: np.tanh(v)),
    "relu": Facts(lambda v, a, b: np.maximum(v, 0)),
    "linear": Facts(lambda v, a, b: v),
    "affine": Facts(lambda v, a, b: a * v + b, 1.0, 0.0),
    "leaky_relu": Facts(lambda v, a, b: _below_zero(v, a * v, v), 0.01, negative=False),
    "thresholded_relu": Facts(lambda v, a, b: np.where(v <= a, 0, v), 1.0, negative=False),
    "scaled_tanh": Facts(lambda v, a, b: a * np.tanh(b * v), 1.0, 1.0),
    "elu": Facts(lambda v, a, b: _below_zero(v, a * np.expm1(np.minimum(v, 0)), v), 1.0, negative=False),
    "softsign": Facts(lambda v, a, b: v / (1 + np.abs(v))),
    "softplus": Facts(lambda v, a, b: _softplus(v)),
    "selu": Facts(lambda v, a, b: _SELU[0] * _below_zero(v, _SELU[1] * np.expm1(np.minimum(v, 0)), v)),
    "silu": Facts(lambda v, a, b: v * _sigmoid(v)),
    "gelu": Facts(lambda v, a, b: v * (1 + _ERF(v / math.sqrt(2))) / 2),
    "gelu_tanh": Facts(lambda v, a, b: v * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3))) / 2),
    "exponential": Facts(lambda v, a, b: np.exp(v)),
    "relu6": Facts(lambda v, a, b: np.clip(v, 0, 6)),
    "hard_tanh": Facts(lambda v, a, b: np.clip(v, -1, 1)),
    "hard_silu": Facts(lambda v, a, b: v * np.clip(v / 6 + 0.5, 0, 1)),
    "mish": Facts(lambda v, a, b: v * np.tanh(_softplus(v))),
}

# Functions that are another one at certain alpha and beta.
_SAME = {("affine", 1.0, 0.0): "linear", ("leaky_relu", 0.0, 0.0): "relu", ("leaky_relu", 1.0, 0.0): "linear",
         ("thresholded_relu", 0.0, 0.0): "relu", ("scaled_tanh", 1.0, 1.0): "tanh", ("elu", 0.0, 0.0): "relu"}


@dataclass(frozen=True)
class Function:
    """A word of the table and its numbers; 0 where it has none."""
    word: str
    alpha: float = 0.0
    beta: float = 0.0

    def __call__(self, v: Numbers) -> Numbers:
        return TABLE[self.word].value(v, self.alpha, self.beta)

    def plain(self) -> Function:
        """The same function without numbers, if there is one."""
        same = _SAME.get((self.word, self.alpha, self.beta))
        return Function(same) if same else self

    def fault(self) -> str:
        """Why the library does not have it; "" if it does."""
        facts = TABLE.get(self.word)
        if facts is None:
            return f"expected one of {', '.join(TABLE)}"
        for name, number, default in (("alpha", self.alpha, facts.alpha), ("beta", self.beta, facts.beta)):
            if default is None:
                continue
            with np.errstate(over="ignore", under="ignore"):
                single = float(np.float32(number))
            if not np.isfinite(single) or number and not single:
                return f"expected a number that single precision holds for {name}"
            if not number and default:
                return f"expected another number than 0 for {name}"
            if name == "alpha" and number < 0 and not facts.negative:
                return f"expected an {name} above 0"
        return ""


def function(word: str, alpha: float, beta: float) -> Function:
    """As a file says it: a zero stands for the default. Refused for a number that the function does not take."""
    facts = TABLE[word]
    for name, number, default in (("alpha", alpha, facts.alpha), ("beta", beta, facts.beta)):
        if number and default is None:
            raise Refused(f"the metadata give {word} the {name} {number:g}, expected none")
    made = Function(word, alpha or facts.alpha or 0.0, beta or facts.beta or 0.0)
    if made.alpha < 0 and not facts.negative:
        raise Refused(f"the metadata give {word} the alpha {made.alpha:g}, expected a number above 0")
    return made
