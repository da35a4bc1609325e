"""PyTorch's tensors that stand for another: weight_norm, in both its forms, and pruning."""
from __future__ import annotations

import re

import numpy as np

from libgru.convert.gru import Part
from libgru.convert.refused import Refused
from libgru.convert.source import Source
from libgru.convert.tensor import WEIGHTS, Tensor

_GRU_NAME = r"(?:weight|bias)_(?:ih|hh)(?:_l\d+)?(?:_reverse)?"
_NEW = re.compile(rf"(?P<prefix>.*?)parametrizations\.(?P<name>{_GRU_NAME})\.(?P<part>.+)")
_OLD = re.compile(rf"(?P<prefix>.*?)(?P<name>{_GRU_NAME})_(?P<part>g|v|orig|mask|u)")


def _weight_norm(name: str, g: Tensor, v: Tensor) -> Tensor:
    """g v / |v|, where the norm is over the dimensions in which g has one element."""
    if len(g.shape) not in (0, len(v.shape)) or g.dtype != v.dtype or g.dtype not in WEIGHTS:
        raise Refused(f"{name}: weight_norm has g {g.dtype} {g.shape} and v {v.dtype} {v.shape}, which do not fit")
    over = tuple(i for i in range(len(v.shape)) if not g.shape or g.shape[i] == 1)
    if any(g.shape[i] != v.shape[i] for i in range(len(g.shape)) if i not in over):
        raise Refused(f"{name}: weight_norm has g {g.shape} and v {v.shape}, which do not fit")
    direction = v.values()
    return v.rounded(g.values() * direction / np.sqrt(np.sum(direction ** 2, axis=over, keepdims=bool(g.shape))))


def _masked(name: str, original: Tensor, mask: Tensor) -> Tensor:
    if original.shape != mask.shape or {original.dtype, mask.dtype} - {*WEIGHTS}:
        raise Refused(f"{name}: it is pruned by a mask {mask.dtype} {mask.shape}, expected {original.shape}")
    return original.rounded(original.values() * mask.values())


def _combined(name: str, parts: dict[str, str], source: Source) -> Tensor:
    """The tensor that its parts stand for. parts: what each is called, by its role."""
    tensors = {role: source.tensors[full] for role, full in parts.items() if full in source.tensors}
    if tensors.keys() == {"g", "v"} or tensors.keys() == {"original0", "original1"}:
        g, v = (tensors[role] for role in sorted(tensors))
        return _weight_norm(name, g, v)
    if tensors.keys() == {"orig", "mask"}:
        return _masked(name, tensors["orig"], tensors["mask"])
    raise Refused(f"{name} is parametrized as {', '.join(sorted(parts))}, of which only weight_norm (g and v) and "
                  "pruning (orig and mask) are read: remove the parametrization before saving")


def effective(source: Source) -> dict[str, Part]:
    """Every tensor by its own name, and those that parametrizations stand for by the name of what they make."""
    groups: dict[str, dict[str, str]] = {}
    for full in [*source.tensors, *source.unheld]:
        match = _NEW.fullmatch(full) or _OLD.fullmatch(full)
        if match:
            groups.setdefault(match["prefix"] + match["name"], {})[match["part"]] = full
    parts = {name: Part(tensor, (name,)) for name, tensor in source.tensors.items()}
    for name, roles in groups.items():
        if name not in parts:
            parts[name] = Part(_combined(name, roles, source), tuple(roles[role] for role in sorted(roles)))
    return parts
