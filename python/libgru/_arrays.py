"""Finds the memory of any array: numpy's, those with __array_interface__, and those with DLPack (PyTorch, JAX, CuPy). Nothing
is copied or converted: an array that the library cannot read in place is refused."""
from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from libgru import _dlpack
from libgru._errors import BadArgument

# How the library calls types, and how numpy calls them.
TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64"}
_NAMES = {"<f4": "f32", "<f2": "f16", "<f8": "f64", "<i4": "int32", "<i8": "int64", "|b1": "byte", "|u1": "byte", "|i1": "int8"}
SIZES = {"f32": 4, "f16": 2, "bf16": 2, "f64": 8, "int32": 4, "int64": 8, "byte": 1, "int8": 1}


@dataclass(frozen=True)
class Memory:
    """An array's memory. Strides are in elements. owner keeps the memory alive."""
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    type: str
    cuda: bool
    writable: bool
    owner: Any


def _of_interface(name: str, array: Any, interface: dict[str, Any]) -> Memory:
    kind = str(interface.get("typestr"))
    if kind == "<V2" and getattr(getattr(array, "dtype", None), "name", "") == "bfloat16":
        kind = "bf16"
    found = "bf16" if kind == "bf16" else _NAMES.get(kind)
    if found is None:
        raise BadArgument(f"{name} has elements of type {getattr(array, 'dtype', kind)}, which the library does not read")
    size = SIZES[found]
    try:
        address, read_only = interface["data"]
        shape = tuple(map(operator.index, interface["shape"]))
        strides = interface.get("strides")
        if strides is not None:
            strides = tuple(map(operator.index, strides))
        longest = max((abs(stride) for stride in strides or ()), default=0)
        if (min(shape, default=0) < 0 or (strides is not None and len(strides) != len(shape)) or not 0 <= address < 2**64
                or max(longest, math.prod(shape) * size) >= 2**63):
            raise ValueError(f"data {address:#x}, shape {shape}, strides {strides}")
    except (KeyError, TypeError, ValueError) as error:
        raise BadArgument(f"{name} has an __array_interface__ that cannot be read: {type(error).__name__}: {error}") from None
    if strides is None:
        steps = np.cumprod((1, *shape[:0:-1])).tolist()[::-1] if shape else []
    elif any(stride % size for stride in strides):
        raise BadArgument(f"{name} has strides of {strides} bytes, which are no multiples of its elements of {size}")
    else:
        steps = [stride // size for stride in strides]
    return Memory(int(address), shape, tuple(steps), found, False, not read_only, array)


def memory(name: str, array: Any) -> Memory:
    """The memory of an array. name: how a sentence calls it. What is a Memory already stays as it is."""
    if isinstance(array, Memory):
        return array
    interface = getattr(array, "__array_interface__", None)
    if isinstance(interface, dict):
        return _of_interface(name, array, interface)
    if hasattr(array, "__dlpack__"):
        return Memory(*_dlpack.export(name, array))
    raise BadArgument(f"{name} is a {type(array).__name__}, expected an array: numpy's, or one with __array_interface__ or "
                      "__dlpack__")


def _shown(shape: Sequence[int | str]) -> str:
    return "".join(f"[{size}]" for size in shape) or "a scalar"


def check(name: str, found: Memory, kinds: Sequence[str], shape: Sequence[int], *, cuda: bool, write: bool = False, why: str = "") -> Memory:
    """The array, if it is of one of these types, of this shape (-1: any size), on this device and, to be written, writable. why:
    end of the sentence about types."""
    if found.type not in kinds:
        shown = {"byte": "bool or uint8"}
        raise BadArgument(f"{name} is {shown.get(found.type, found.type)}, expected "
                          f"{' or '.join(shown.get(kind, kind) for kind in kinds)}{why}")
    if len(found.shape) != len(shape) or any(want not in (-1, size) for want, size in zip(shape, found.shape)):
        wanted = _shown(["any" if size < 0 else size for size in shape])
        raise BadArgument(f"{name} has the shape {_shown(found.shape)}, expected {wanted}")
    if found.cuda != cuda:
        places = {True: "CUDA memory", False: "host memory"}
        raise BadArgument(f"{name} is in {places[found.cuda]}, but the context needs {places[cuda]}")
    if write and not found.writable:
        raise BadArgument(f"{name} is read-only, and it would be written")
    return found


def dense(name: str, found: Memory) -> int:
    """The address of an array without gaps, row-major."""
    step = 1
    for size, stride in zip(reversed(found.shape), reversed(found.strides)):
        if size > 1 and stride != step:
            raise BadArgument(f"{name} has strides of {found.strides} elements, expected an array without gaps, row-major: "
                              "pass a copy, such as numpy.ascontiguousarray makes")
        step *= size
    return found.address


def _stride(name: str, found: Memory, axis: int, least: int) -> int:
    """A stride for the library: above zero, because its 0 means the default."""
    stride = found.strides[axis]
    if found.shape[axis] <= 1 or 0 in found.shape:
        return max(least, 1)
    if stride <= 0:
        raise BadArgument(f"{name} has the stride {stride} in axis {axis}, expected one above zero: pass a copy")
    return stride


def rows(name: str, found: Memory) -> tuple[int, int]:
    """Address and stride of [N][H], whose rows have no gaps."""
    _check_last(name, found)
    return found.address, _stride(name, found, 0, found.shape[1])


def _check_last(name: str, found: Memory) -> None:
    if found.shape[-1] > 1 and found.strides[-1] != 1:
        raise BadArgument(f"{name} has the stride {found.strides[-1]} in its last axis, expected 1: pass a copy")


def set_view(view: Any, name: str, found: Memory, ragged: bool = False) -> None:
    """Fills in a gru_view or gru_const_view from [T][N][size], or from [T][N], whose rows have one element. ragged: from
    [rows][size] or [rows], one row after the other."""
    size = 1
    if len(found.shape) == (2 if ragged else 3):
        _check_last(name, found)
        size = found.shape[-1]
    view.data = found.address
    if ragged:
        view.time_stride = _stride(name, found, 0, size)
    else:
        view.batch_stride = _stride(name, found, 1, size)
        view.time_stride = _stride(name, found, 0, size * max(found.shape[1], 1))


def empty(name: str, kind: str, shape: Sequence[int], *, cuda: bool) -> Any:
    """A new numpy array of the library's type."""
    if cuda:
        raise BadArgument(f"{name} is not given: with a CUDA context the caller provides arrays in CUDA memory to write to")
    try:
        return np.empty(shape, np.dtype(TYPES[kind]))
    except TypeError:
        raise BadArgument(f"{name} is not given, and numpy knows no {TYPES[kind]} here: import ml_dtypes, or pass an array "
                          "to write to") from None


def scratch(bytes_: int) -> tuple[Any, int]:
    """Host memory without content, and its first address that is a multiple of 64."""
    block = np.empty(bytes_ + 63, np.uint8)
    address = block.ctypes.data
    return block, address + -address % 64


def addresses(values: Sequence[int | None]) -> Any:
    """A C array of pointers."""
    return (ctypes.c_void_p * len(values))(*values)
