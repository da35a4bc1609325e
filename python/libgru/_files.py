"""Makes layers of a stack of tensors with PyTorch's names: in a safetensors file, or in a mapping such as a state dict."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from libgru import _arrays
from libgru._errors import BadArgument, BadData
from libgru._stack import StackLayer
from libgru._weights import NUMBERS, Variant, Weights
from libgru.convert import metadata, safetensors
from libgru.convert.budget import Budget
from libgru.convert.refused import Refused
from libgru.convert.tensor import Tensor

_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_NAME = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")
_VARIANT = ("reset", "update", "gate", "candidate")
_KINDS = {"F32": "f32", "F16": "f16", "BF16": "bf16", "F64": "f64"}


def _count(names: Mapping[str, Any], prefix: str) -> int:
    """Number of layers under a prefix. A layer above a gap would be lost without a word."""
    found = {int(match[3]) for name in names if name.startswith(prefix) and (match := _NAME.fullmatch(name[len(prefix):]))}
    if not found:
        raise BadData(f"there is no GRU with the prefix {prefix!r}: no {prefix}weight_ih_l0")
    if max(found) + 1 != len(found):
        raise BadData(f"there is a layer {max(found)} under the prefix {prefix!r}, but not every layer below it")
    return len(found)


def _weights(names: Mapping[str, Any], prefix: str, end: str) -> Weights | None:
    parts = [names.get(f"{prefix}{part}{end}") for part in _PARTS]
    if all(part is None for part in parts):
        return None
    for part, name in zip(parts[:2], _PARTS):
        if part is None:
            raise BadData(f"there is no tensor {prefix}{name}{end}")
    if (parts[2] is None) != (parts[3] is None):
        raise BadData(f"there is only one of {prefix}bias_ih{end} and {prefix}bias_hh{end}, expected both or none")
    return Weights(*parts)


def layers_of(names: Mapping[str, Any], prefix: str, variant: Variant) -> list[StackLayer]:
    """The layers under a prefix, all of one variant."""
    layers = []
    for k in range(_count(names, prefix)):
        forward, reverse = _weights(names, prefix, f"_l{k}"), _weights(names, prefix, f"_l{k}_reverse")
        if forward is None:
            assert reverse is not None
            layers.append(StackLayer(reverse, None, variant, "reverse"))
        else:
            layers.append(StackLayer(forward, reverse, variant))
    return layers


# ---- files -------------------------------------------------------------------------------------------------------------

def _memory(tensor: Tensor) -> _arrays.Memory:
    """Bits of a file's tensor, which numpy has no type for if it is bf16."""
    bits = tensor.bits
    strides = tuple(stride // bits.itemsize for stride in bits.strides)
    return _arrays.Memory(bits.ctypes.data, tensor.shape, strides, _KINDS[tensor.dtype], False, False, bits)


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """Of every GRU: a first recurrent matrix of three gates."""
    found = set()
    for name, tensor in tensors.items():
        match = re.fullmatch(r"(.*)weight_hh_l0(?:_reverse)?", name, re.DOTALL)
        if match and len(tensor.shape) == 2 and tensor.shape[0] == 3 * tensor.shape[1] > 0:
            found.add(match[1])
    return sorted(found)


def _choose(path: Path, tensors: Mapping[str, Tensor], prefix: str | None) -> str:
    found = _prefixes(tensors)
    if prefix is None and len(found) > 1:
        raise BadArgument(f"prefix is None, but {path} has {len(found)} GRUs; expected one of {', '.join(map(repr, found))}")
    if prefix is None and not found:
        raise BadData(f"{path} has no GRU: no tensor weight_hh_l0 [3H][H] with any prefix")
    if prefix is not None and prefix not in found:
        raise BadData(f"{path} has no GRU with the prefix {prefix!r}; it has {', '.join(map(repr, found)) or 'none'}")
    return found[0] if prefix is None else prefix


def _with_words(layer: StackLayer, words: Mapping[str, str]) -> StackLayer:
    """The layer with what the metadata says of it."""
    named: dict[str, Any] = {key: words[key] for key in _VARIANT if key in words}
    named.update((key, float(words[key])) for key in NUMBERS if key in words)
    return replace(layer, variant=replace(layer.variant, **named), merge=words.get("merge", layer.merge))


def _described(layers: list[StackLayer], prefix: str, given: Mapping[str, str]) -> list[StackLayer]:
    described = []
    for k, layer in enumerate(layers):
        words = {key.rpartition(".")[2]: text for start in (f"{prefix}gru.", f"{prefix}gru.l{k}.")
                 for key, text in given.items() if key.startswith(start) and "." not in key[len(start):]}
        described.append(_with_words(layer, words))
    return described


def _with_initial_states(layers: list[StackLayer], prefix: str, held: Mapping[str, Any]) -> list[StackLayer]:
    found = []
    for k, layer in enumerate(layers):
        ends = ("_reverse",) if layer.direction == "reverse" else ("", "_reverse")[:1 if layer.reverse is None else 2]
        names = [f"{prefix}h0_l{k}{end}" for end in ends]
        for name in names:
            if name not in held:
                raise BadData(f"the metadata says that initial states are learned, but there is no tensor {name}")
        states = [held[name] for name in names]
        found.append(replace(layer, h0=states[0], h0_reverse=states[1] if len(states) > 1 else None))
    return found


def read(path: str | os.PathLike[str], prefix: str | None,
         types: tuple[str | None, str | None, str | None]) -> tuple[list[StackLayer], float]:
    """Layers and rate of dropout of the GRU in a safetensors file."""
    place = Path(path)
    try:
        source = safetensors.read(place, Budget(2 * place.stat().st_size))
        tensors = source.tensors
        prefix = _choose(place, tensors, prefix)
        held = {name: _memory(tensor) if tensor.dtype in _KINDS else tensor for name, tensor in tensors.items()
                if name.startswith(prefix)}
        variant = Variant(io_type=types[0], state_type=types[1], weight_type=types[2])
        layers = layers_of(held, prefix, variant)
        metadata.check(source.metadata, {prefix: len(layers)}, _prefixes(tensors))
        if source.metadata.get(f"{prefix}gru.initial_state") == "learned":
            layers = _with_initial_states(layers, prefix, held)
        rate = float(source.metadata.get(f"{prefix}gru.dropout", 0))
        return _described(layers, prefix, source.metadata), rate
    except Refused as error:
        raise BadData(f"{path}: {error}") from error
