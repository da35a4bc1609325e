"""Reads what an array's __dlpack__ exports. The capsule is left as it is: while it lives, so does the array's memory."""
from __future__ import annotations

import ctypes
from typing import Any

from libgru._errors import BadArgument

_CPU, _CUDA, _CUDA_HOST, _CUDA_MANAGED = 1, 2, 3, 13
_KINDS = {(2, 32): "f32", (2, 16): "f16", (2, 64): "f64", (4, 16): "bf16", (0, 32): "int32", (0, 64): "int64",
          (0, 8): "int8", (1, 8): "byte", (6, 8): "byte"}    # by code and bits


class _Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", ctypes.c_int32), ("device_id", ctypes.c_int32), ("rank", ctypes.c_int32),
                ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


class _Versioned(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("manager", ctypes.c_void_p),
                ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", _Tensor)]


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]


def _capsule(name: str, array: Any) -> Any:
    try:
        try:
            return array.__dlpack__(max_version=(1, 0))
        except TypeError:    # older than the version
            return array.__dlpack__()
    except (BufferError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise BadArgument(f"{name} cannot be read through DLPack: {error}") from error


def export(name: str, array: Any) -> tuple[int, tuple[int, ...], tuple[int, ...], str, bool, bool, Any]:
    """Address, shape, strides in elements, type, whether in CUDA memory, whether it may be written, and what keeps it alive."""
    capsule = _capsule(name, array)
    writable = True
    if _is_valid(capsule, b"dltensor_versioned"):
        managed = _Versioned.from_address(_pointer(capsule, b"dltensor_versioned"))
        if managed.major != 1:
            raise BadArgument(f"{name} comes by DLPack {managed.major}, expected version 1")
        tensor, writable = managed.tensor, not managed.flags & 1
    elif _is_valid(capsule, b"dltensor"):
        tensor = _Tensor.from_address(_pointer(capsule, b"dltensor"))
    else:
        raise BadArgument(f"{name}.__dlpack__() gave {capsule!r}, expected a capsule with an unused tensor")
    kind = _KINDS.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
    if kind is None:
        raise BadArgument(f"{name} has elements of DLPack type {tensor.code} with {tensor.bits} bits and {tensor.lanes} lanes, "
                          "which the library does not read")
    if tensor.device not in (_CPU, _CUDA, _CUDA_HOST, _CUDA_MANAGED):
        raise BadArgument(f"{name} is on DLPack device {tensor.device}, expected host or CUDA memory")
    shape = tuple(tensor.shape[:tensor.rank])
    if tensor.strides:
        strides = tuple(tensor.strides[:tensor.rank])
    else:
        strides = _row_major(shape)
    return ((tensor.data or 0) + tensor.byte_offset, shape, strides, kind, tensor.device in (_CUDA, _CUDA_MANAGED), writable,
            (array, capsule))


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
