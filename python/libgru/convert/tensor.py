"""Tensors as a safetensors file holds them: a type by name, and bits. numpy needs no type of its own for them."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The file's name of a type, numpy's (or ml_dtypes') name, and the numpy type of its bits.
_TYPES = {
    "F64": ("float64", "<f8"), "F32": ("float32", "<f4"), "F16": ("float16", "<f2"), "BF16": ("bfloat16", "<u2"),
    "I64": ("int64", "<i8"), "I32": ("int32", "<i4"), "I16": ("int16", "<i2"), "I8": ("int8", "i1"),
    "U64": ("uint64", "<u8"), "U32": ("uint32", "<u4"), "U16": ("uint16", "<u2"), "U8": ("uint8", "u1"),
    "BOOL": ("bool", "u1"), "C64": ("complex64", "<c8"), "F8_E4M3": ("float8_e4m3fn", "u1"),
    "F8_E5M2": ("float8_e5m2", "u1"), "F8_E8M0": ("float8_e8m0fnu", "u1"), "F8_E4M3FNUZ": ("float8_e4m3fnuz", "u1"),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", "u1"),
}
_BY_NUMPY = {numpy_name: name for name, (numpy_name, _) in _TYPES.items()}
WEIGHTS = ("F32", "F16", "BF16", "F64")    # what a GRU's weights may be
MOST_DIMENSIONS = 8                        # of a tensor that the library reads


class Unheld(Exception):
    """Why a tensor cannot be held in the file."""


def bits_type(dtype: str) -> np.dtype[Any]:
    """The numpy type of a dtype's bits; Unheld for a dtype that the library does not know."""
    if dtype not in _TYPES:
        raise Unheld(f"the library reads no tensor of type {dtype}")
    return np.dtype(_TYPES[dtype][1])


def dtype_of(numpy_name: str) -> str:
    """"float32" -> "F32"; Unheld where there is no such type."""
    if numpy_name not in _BY_NUMPY:
        raise Unheld(f"the file has no type for {numpy_name}")
    return _BY_NUMPY[numpy_name]


@dataclass(frozen=True)
class Tensor:
    """dtype is the file's name for the type of one element; bits holds them little-endian."""
    dtype: str
    bits: Array

    @staticmethod
    def of(array: Array) -> Tensor:
        """Of numpy's and ml_dtypes' types; Unheld for strings, objects, records and 4-bit numbers."""
        if array.dtype.kind in "OSUTmM" or array.dtype.names is not None:
            raise Unheld(f"the file has no type for {array.dtype}")
        return Tensor.of_bits(dtype_of(array.dtype.name), array)

    @staticmethod
    def of_bits(dtype: str, array: Array) -> Tensor:
        """The bytes of an array, which may be of any type of that size."""
        if array.ndim > MOST_DIMENSIONS:
            raise Unheld(f"it has {array.ndim} dimensions, and the library reads at most {MOST_DIMENSIONS}")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return Tensor(dtype, np.asarray(array, order="C").view(bits_type(dtype)))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.bits.shape)

    def like(self, bits: Array) -> Tensor:
        """The same type with other bits, such as a transposed view of these."""
        return Tensor(self.dtype, bits)

    def values(self) -> NDArray[np.float64]:
        """The numbers, of one of the types of weights."""
        if self.dtype == "BF16":
            return (self.bits.astype("<u4") << 16).view("<f4").astype(np.float64)
        return self.bits.astype(np.float64)

    def rounded(self, numbers: NDArray[np.float64]) -> Tensor:
        """Numbers in this tensor's type, to nearest even."""
        if self.dtype != "BF16":
            return self.like(numbers.astype(self.bits.dtype))
        wide = numbers.astype("<f4").view("<u4")
        return self.like(((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype("<u2"))
