"""A layer whose weights are arguments of each call, and the sizes that its calls need."""
from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from libgru._context import Context
from libgru._library import library


class Plan:
    """handle: a gru_layer without weights. packed: bytes of its packed weights."""

    def __init__(self, config: Any, context: Context) -> None:
        """config: a gru_layer_config."""
        self.context, self.handle = context, ctypes.c_void_p()
        library().call("gru_layer_create", context._handle, ctypes.byref(config), None, ctypes.byref(self.handle))
        least, one = self._measure(0, 0), self._measure(1, 1)
        self.packed: int = one.packed
        self._reserve, self._reserve_row = least.reserve, one.reserve - least.reserve
        self.sizes = lru_cache(maxsize=256)(self._measure)

    def reserve_bytes(self, T: Any, N: Any) -> Any:
        """For numbers and for symbols."""
        return self._reserve + T * N * self._reserve_row

    def _measure(self, T: int, N: int) -> Any:
        sizes = library().new("gru_sizes")
        library().call("gru_layer_sizes", self.handle, T, N, ctypes.byref(sizes))
        return sizes
