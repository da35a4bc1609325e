"""Reads the pickles of PyTorch without running anything of them: whatever is no tensor becomes an inert object."""
from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from libgru.convert.budget import Budget
from libgru.convert.refused import Refused
from libgru.convert.tensor import Array, bits_type

_STORAGES = {"DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
             "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
             "ByteStorage": "U8", "BoolStorage": "BOOL", "ComplexFloatStorage": "C64"}
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
           "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
           "bool": "BOOL", "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
           "float8_e8m0fnu": "F8_E8M0"}


class Inert:
    """What stands for any object that is no tensor: its class by name, what it was called with, and its state."""

    def __init__(self, kind: str, state: Any = None, arguments: tuple[Any, ...] = ()) -> None:
        self.kind, self.state, self.arguments = kind, state, arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """What a pickle puts into an unknown list counts as what it was called with."""
        self.arguments += (item,)

    def __setitem__(self, key: Any, item: Any) -> None:
        """The same of an unknown dict."""
        self.arguments += (key, item)


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors are views of. dtype None: each tensor tells it."""
    dtype: str | None
    key: str
    count: int


@dataclass
class View:
    """A tensor, not yet read. A file may put anything into its fields: read checks them."""
    storage: Storage
    dtype: Any
    offset: Any
    shape: Any
    strides: Any

    def __setstate__(self, _: Any) -> None:
        """Attributes that a program gave its tensor."""

    def read(self, name: str, content: Callable[[Storage], bytes], budget: Budget) -> Array:
        """Its bits, of shape. A view may repeat numbers without end: the budget is asked first."""
        if not _naturals((self.offset,)) or not _naturals(self.shape) or not _naturals(self.strides) \
                or len(self.shape) != len(self.strides) or len(self.shape) > 64:
            raise Refused(f"tensor {name} has an offset, a shape or strides that are no integers from 0")
        kind, count = bits_type(self.dtype), math.prod(self.shape)
        budget.take(count * kind.itemsize, f"tensor {name}")
        if count == 0:
            return np.zeros(self.shape, kind)
        data = content(self.storage)
        numbers = np.frombuffer(data, kind, len(data) // kind.itemsize)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides))
        if last >= len(numbers):
            raise Refused(f"tensor {name} lies at elements {self.offset} to {last} of {len(numbers)}")
        steps = [step * kind.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset:], self.shape, steps).copy()


def _naturals(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and value >= 0 for value in values)


def _view(storage: Any, offset: Any, shape: Any, strides: Any, dtype: str | None) -> Any:
    if not isinstance(storage, Storage) or dtype is None:
        return Inert("a tensor without a storage", arguments=(storage,))
    return View(storage, dtype, offset, shape, strides)


def _tensor_v2(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Any:
    return _view(storage, offset, shape, strides, storage.dtype if isinstance(storage, Storage) else None)


def _tensor_v3(storage: Any, offset: Any, shape: Any, strides: Any, _: Any, __: Any, dtype: Any, *___: Any) -> Any:
    return _view(storage, offset, shape, strides, dtype.state if isinstance(dtype, Inert) else None)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _typed(rebuild: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """A tensor of a class derived from torch.Tensor."""
    return rebuild(*arguments)


def _dict(*_: Any) -> OrderedDict[Any, Any]:
    return OrderedDict()


_KNOWN: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict, "torch._utils._rebuild_tensor": _tensor_v2,
    "torch._utils._rebuild_tensor_v2": _tensor_v2, "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter, "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _typed, "torch.nn.parameter.Parameter": _parameter, "torch.Size": tuple,
    "builtins.dict": _dict, "collections.defaultdict": _dict,
}


class Unpickler(pickle._Unpickler):
    """find_class never imports anything. The one in Python: the C one lets a file grow its memo at will."""
    # A byte array allocates what the file says before it reads; no file of PyTorch has one.
    dispatch = {code: rule for code, rule in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _KNOWN:
            return _KNOWN[full]
        if module in ("torch", "torch.storage") and name.endswith("Storage"):
            return Inert("storage", None if name == "UntypedStorage" else _STORAGES.get(name, name))
        if module == "torch" and name in _DTYPES:
            return Inert("dtype", _DTYPES[name])
        return _unknown(full)

    def persistent_load(self, pid: Any) -> Any:
        """("storage", type, key, location, count, ...)."""
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], Inert):
            raise Refused("the pickle refers to something that is no storage")
        if len(pid) > 5 and pid[5] is not None:
            raise Refused("the pickle has storages that are views of others, as PyTorch before 0.4 wrote them")
        return Storage(pid[1].state, str(pid[2]), pid[4] if type(pid[4]) is int else 0)


def _unknown(full: str) -> type[Inert]:
    """A class, because a pickle may ask for an instance without calling it."""
    class Unknown(Inert):
        def __new__(cls, *arguments: Any, **_: Any) -> Unknown:
            made = object.__new__(cls)
            Inert.__init__(made, full, None, arguments)
            return made

        def __init__(self, *_: Any, **__: Any) -> None:
            """All done."""
    return Unknown


def load(file: IO[bytes]) -> Any:
    """The object of one pickle."""
    return Unpickler(file).load()
