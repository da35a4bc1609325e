"""Packed weights of a module in eval mode, kept as long as its parameters stay the same."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from libgru.torch import _plans


_ORDINARY = (Tensor, torch.nn.Parameter)


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
    if (torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack()
            or torch._C._functorch.peek_interpreter_stack() is not None):
        return False
    for tensor in tensors:    # not all(), which would make a generator for each call
        if type(tensor) not in _ORDINARY or not tensor.is_cpu:
            return False
    return True


def _pack(weights: list[Tensor], layer: str, plain: bool) -> Tensor:
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

    def of(self, k: int, weights: list[Tensor], layer: str, plain: bool, keep: bool) -> Tensor:
        """Packed weights of layer k. layer: what it computes. plain: is_plain() of the weights. keep: they may come from an earlier
        call, and serve later ones."""
        if not keep or not plain or weights[0].is_inference():
            return _pack(weights, layer, plain)
        entry = self._entries.get(k)
        if entry is not None and entry.layer == layer and self._is_current(entry, weights):
            return entry.packed
        packed = _pack(weights, layer, plain)
        self._entries[k] = _Entry(list(weights), [weight._version for weight in weights], [weight.data_ptr() for weight in weights],
                                  [weight.untyped_storage() for weight in weights], layer, packed)
        return packed

    def _is_current(self, entry: _Entry, weights: list[Tensor]) -> bool:
        return (len(entry.tensors) == len(weights) and all(map(_is_same, weights, entry.tensors))
                and [weight._version for weight in weights] == entry.versions
                and [weight.data_ptr() for weight in weights] == entry.places)


def _is_same(a: Tensor, b: Tensor) -> bool:
    return a is b
