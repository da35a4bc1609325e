"""Makes layers of a stack of a mapping with PyTorch's names, such as a state dict."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from libgru._errors import BadData
from libgru._stack import StackLayer
from libgru._weights import Variant, Weights

_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_NAME = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")


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
