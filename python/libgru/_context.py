"""Contexts: the device that layers run on."""
from __future__ import annotations

import ctypes
import threading
import weakref
from functools import cache
from typing import Any

from libgru import _arrays, _check
from libgru._library import library


class Context:
    """A device: the CPU with its threads, or one CUDA device.

    backend: "cpu", "cuda", or "auto" for CUDA where there is a usable device.
    threads: CPU threads; 0: as many as processors this process may use; 1: only the caller's.
    device: ordinal of the CUDA device.
    engine: use only this engine, such as "cpu_reference"; None: the best one.
    allow_tf32, allow_bf16, batch_invariant, check_weights: the flags GRU_ALLOW_TF32, GRU_ALLOW_BF16, GRU_BATCH_INVARIANT and
    GRU_CHECK_WEIGHTS of gru.h.

    Raises BadArgument, NotBuilt (no CUDA in this library), NoDevice. Any number of threads may use one context at once. After
    a fork, the child's calls run on the calling thread alone.
    """

    def __init__(self, backend: str = "cpu", *, threads: int = 0, device: int = 0, engine: str | None = None,
                 allow_tf32: bool = False, allow_bf16: bool = False, batch_invariant: bool = False,
                 check_weights: bool = False) -> None:
        lib = library()
        config = lib.new("gru_context_config")
        config.backend = lib.choice(["GRU_BACKEND_"], backend, "backend")
        config.threads, config.device = check_threads(threads), _check.integer("device", device, 0, 2**31 - 1)
        config.engine = None if engine is None else _check.text("engine", engine)
        config.flags = (allow_tf32 * lib["GRU_ALLOW_TF32"] | allow_bf16 * lib["GRU_ALLOW_BF16"]
                        | batch_invariant * lib["GRU_BATCH_INVARIANT"] | check_weights * lib["GRU_CHECK_WEIGHTS"])
        handle = ctypes.c_void_p()
        lib.call("gru_context_create", ctypes.byref(config), ctypes.byref(handle))
        self._handle = handle
        weakref.finalize(self, lib.c.gru_context_release, handle)
        self.is_cuda: bool = lib.c.gru_context_backend(handle) == lib["GRU_BACKEND_CUDA"]

    def __repr__(self) -> str:
        return f"libgru.Context({'cuda' if self.is_cuda else 'cpu'!r})"

    def check(self, stream: int = 0) -> None:
        """CUDA: waits for the stream (a cudaStream_t as a number), then raises BadData if kernels found lengths, slots or
        weights wrong since the last call. CPU: does nothing, because calls check them."""
        library().call("gru_context_check", self._handle, stream or None)


def check_threads(threads: Any) -> int:
    """Also for callers whose contexts are made later, elsewhere."""
    return _check.integer("threads", threads, 0, 1024)


def context_of(context: Context | None) -> Context:
    """The caller's, or the default."""
    if context is None:
        return default_context()
    _check.instance("context", context, Context)
    return context


@cache
def default_context() -> Context:
    """The context of layers that name none: the CPU with all its processors."""
    return Context()


class DeviceMemory:
    """Memory of a CUDA context, freed with the object."""

    def __init__(self, context: Context, size: int) -> None:
        lib, place = library(), ctypes.c_void_p()
        lib.call("gru_allocate", context._handle, size, ctypes.byref(place))
        self.address = place.value or 0
        self._context = context
        weakref.finalize(self, lib.c.gru_free, context._handle, place)


_threads = threading.local()


def workspace(context: Context, size: int) -> tuple[Any, int]:
    """Scratch memory for one call and its address: on the CPU one growing buffer for each thread."""
    if context.is_cuda:
        memory = DeviceMemory(context, size)
        return memory, memory.address
    kept: tuple[int, Any, int] = getattr(_threads, "buffer", (-1, None, 0))
    if kept[0] < size:
        kept = _threads.buffer = (size, *_arrays.scratch(size))
    return kept[1:]


def memory(context: Context, size: int) -> tuple[Any, int]:
    """Memory that outlives the call, and its address."""
    if context.is_cuda:
        device = DeviceMemory(context, size)
        return device, device.address
    return _arrays.scratch(size)
