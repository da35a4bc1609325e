"""Packed weights of a module in eval mode, kept as long as its parameters stay the same."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from libgru.torch import _plans


class _Entry(NamedTuple):
    """The tensors themselves and their storages are held, so that no other tensor can take their places in memory."""
    tensors: list[Tensor]
    versions: list[int]
    places: list[int]
    storages: list[Any]
    layer: str
    packed: Tensor


def is_plain(*tensors: Tensor) -> bool:
    """Whether these are ordinary tensors in an ordinary call, for which torch's dispatcher has nothing to do."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack():
        return False
    return all(type(tensor) in (Tensor, torch.nn.Parameter) and tensor.device.type == "cpu" for tensor in tensors)


def round_int8(weight: Tensor) -> Tensor:
    """A matrix as int8 numbers would hold it, with one factor for each row."""
    scale = weight.abs().amax(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny) / 127
    return (weight / scale).round() * scale


def _pack(weights: list[Tensor], layer: str, to_int8: bool, plain: bool) -> Tensor:
    if to_int8:
        weights = [round_int8(weight) if weight.dim() == 2 else weight for weight in weights]
    if plain:
        return _plans.pack(_plans.shape_of(layer), weights)
    packed: Tensor = torch.ops.libgru.pack(weights, layer)
    return packed


class PackedWeights:
    """By layer. Neither copied nor pickled with the module."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    def __deepcopy__(self, memo: Any) -> PackedWeights:
        return PackedWeights()

    def __reduce__(self) -> Any:
        return PackedWeights, ()

    def clear(self) -> None:
        self._entries.clear()

    def of(self, k: int, weights: list[Tensor], layer: str, to_int8: bool, plain: bool, keep: bool) -> Tensor:
        """Packed weights of layer k. layer: what it computes. to_int8: rounded so. plain: is_plain() of the weights. keep: they
        may come from an earlier call, and serve later ones."""
        if not keep or not plain or weights[0].is_inference():
            return _pack(weights, layer, to_int8, plain)
        entry = self._entries.get(k)
        if entry is not None and entry.layer == layer and self._is_current(entry, weights):
            return entry.packed
        packed = _pack(weights, layer, to_int8, plain)
        self._entries[k] = _Entry(list(weights), [weight._version for weight in weights], [weight.data_ptr() for weight in weights],
                                  [weight.untyped_storage() for weight in weights], layer, packed)
        return packed

    def _is_current(self, entry: _Entry, weights: list[Tensor]) -> bool:
        return (len(entry.tensors) == len(weights) and all(map(_is_same, weights, entry.tensors))
                and [weight._version for weight in weights] == entry.versions
                and [weight.data_ptr() for weight in weights] == entry.places)


def _is_same(a: Tensor, b: Tensor) -> bool:
    return a is b
