"""One Keras cell: kernel, recurrent_kernel and bias to W, R, bW, bR."""
from __future__ import annotations

import numpy as np

from libgru.convert.gru import Cell, Part, Variant, zrn_to_rzn
from libgru.convert.keras_config import Layer
from libgru.convert.refused import Refused
from libgru.convert.tensor import Array, Tensor

Weights = dict[str, tuple[str, Tensor]]    # by Keras' word for it: the name in the file, and the tensor

_OLD = [f"{letter}_{gate}" for gate in "zrh" for letter in "WUb"]    # Keras 1: nine arrays, or three


def _units(layer: Layer, recurrent: tuple[int, ...]) -> int:
    """H, as the configuration says and the recurrent kernel has it."""
    units = layer.config.get("units", layer.config.get("output_dim"))
    if len(recurrent) != 2 or recurrent[1] != 3 * recurrent[0] or recurrent[0] < 1:
        raise Refused(f"{layer.text()}: its recurrent kernel is {list(recurrent)}, expected [H][3H]")
    if units != recurrent[0]:
        raise Refused(f"{layer.text()}: units is {units}, but its recurrent kernel is {list(recurrent)}")
    return recurrent[0]


def _joined_old(weights: Weights) -> Weights | None:
    """Keras 1's arrays as kernel, recurrent_kernel and bias; None if these are not they."""
    words = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
    if weights.keys() == set(words):
        return {words[letter]: pair for letter, pair in weights.items()}
    if weights.keys() != set(_OLD):
        return None
    joined: Weights = {}
    for letter, word in words.items():
        pairs = [weights[f"{letter}_{gate}"] for gate in "zrh"]
        bits = np.concatenate([tensor.bits for _, tensor in pairs], axis=-1)
        joined[word] = ("\n".join(name for name, _ in pairs), pairs[0][1].like(bits))
    return joined


def _rows(layer: Layer, kernel: Array, recurrent: Array) -> tuple[Array, Array]:
    """[3H][I] and [3H][H], gates z, r, n. In a CuDNNGRU each gate of the kernel holds cuDNN's [H][I] numbers in the
    shape [I][H]."""
    if layer.kind == "CuDNNGRU":
        H = recurrent.shape[0]
        return (np.concatenate([gate.ravel().reshape(H, -1) for gate in np.split(kernel, 3, axis=1)]),
                np.concatenate(np.split(recurrent, 3, axis=1)))
    return kernel.T, recurrent.T


def _part(pair: tuple[str, Tensor], bits: Array) -> Part:
    return Part(pair[1].like(bits), tuple(pair[0].split("\n")))


def cell(layer: Layer, variant: Variant, weights: Weights) -> Cell:
    """Refused where the arrays are not those that the configuration promises."""
    weights = _joined_old(weights) or weights
    has_bias = layer.kind == "CuDNNGRU" or layer.config.get("use_bias", True)
    expected = {"kernel", "recurrent_kernel"} | ({"bias"} if has_bias else set())
    if weights.keys() != expected:
        raise Refused(f"{layer.text()}: it has the arrays {', '.join(sorted(weights)) or 'none'}, expected "
                      f"{', '.join(sorted(expected))}")
    kernel, recurrent = weights["kernel"], weights["recurrent_kernel"]
    H, shape = _units(layer, recurrent[1].shape), kernel[1].shape
    if len(shape) != 2 or shape[1] != 3 * H:
        raise Refused(f"{layer.text()}: its kernel is {list(shape)}, expected [I][{3 * H}]")
    W, R = _rows(layer, kernel[1].bits, recurrent[1].bits)
    biases = _biases(layer, variant, weights["bias"], H) if has_bias else (None, None)
    return Cell(_part(kernel, zrn_to_rzn(W)), _part(recurrent, zrn_to_rzn(R)), *biases).checked(layer.text())


def _biases(layer: Layer, variant: Variant, bias: tuple[str, Tensor], H: int) -> tuple[Part, Part | None]:
    after = variant.reset == "after"
    if bias[1].bits.size != (6 if after else 3) * H:
        raise Refused(f"{layer.text()}: its bias is {list(bias[1].shape)}, expected {6 if after else 3} times {H} numbers "
                      f"with the reset {variant.reset}")
    rows = bias[1].bits.reshape(-1, 3 * H)
    return _part(bias, zrn_to_rzn(rows[0])), _part(bias, zrn_to_rzn(rows[1])) if after else None
