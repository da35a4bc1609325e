"""The operators of libgru_jax.so in XLA, for one layer in one direction. Each is one call without checks of its own."""
from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from libgru._context import Context
from libgru._errors import NotBuilt
from libgru._library import HERE, library
from libgru._plan import Plan
from libgru._weights import Variant, fill_config

TYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16"}
_OPERATORS = ("pack", "infer", "train", "backward")


@lru_cache(maxsize=None)
def _register() -> None:
    library()    # a wrong library fails here, with a sentence
    path = HERE / "libgru_jax.so"
    try:
        operators = ctypes.CDLL(str(path))
    except OSError as error:
        raise NotBuilt(f"{path} cannot be loaded: {error}") from error
    for name in _OPERATORS:
        capsule = jax.ffi.pycapsule(getattr(operators, f"libgru_jax_{name}"))
        jax.ffi.register_ffi_target(f"libgru_jax_{name}", capsule, platform="cpu")


def _result(shape: tuple[int, ...], kind: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, kind)


class Layer:
    """What a layer computes, and the sizes that its calls need. layer_of() makes each but once, so that JAX knows it again."""

    def __init__(self, inputs: int, hidden: int, reverse: bool, threads: int, variant: Variant) -> None:
        _register()
        self.inputs, self.hidden, self.dtype = inputs, hidden, np.dtype(next(t for t in TYPES if TYPES[t] == variant.io_type))
        self.wide = np.dtype("float64" if variant.io_type == "f64" else "float32")
        config = library().new("gru_layer_config")
        fill_config(config, variant, (inputs, hidden), "reverse" if reverse else "forward")
        self.config = np.append(np.frombuffer(bytes(config), np.int32), np.int32(threads))
        self._plan = Plan(config, Context(threads=1))
        self.packed = self._plan.packed

    def _call(self, name: str, results: Any, *given: Any) -> Any:
        call = jax.ffi.ffi_call(f"libgru_jax_{name}", results, vmap_method="sequential")
        return call(*given, config=self.config)

    def pack(self, W: Any, R: Any, bW: Any, bR: Any) -> Any:
        return self._call("pack", _result((self.packed,), jnp.uint8), W, R, bW, bR)

    def _outputs(self, x: Any) -> tuple[Any, Any]:
        T, N, _ = x.shape
        return _result((T, N, self.hidden), self.dtype), _result((N, self.hidden), self.dtype)

    def infer(self, x: Any, h0: Any, packed: Any, *steps: Any) -> Any:
        return self._call("infer", self._outputs(x), x, h0, packed, *steps)

    def train(self, x: Any, h0: Any, packed: Any, *steps: Any) -> Any:
        T, N, _ = x.shape
        reserve = _result((self._plan.reserve_bytes(T, N),), jnp.uint8)
        return self._call("train", (*self._outputs(x), reserve), x, h0, packed, *steps)

    def backward(self, dy: Any, dhT: Any, x: Any, packed: Any, reserve: Any, *steps: Any) -> Any:
        (_, N, I), H = x.shape, self.hidden
        shapes = [(x.shape, self.dtype), ((N, H), self.dtype), ((3 * H, I), self.wide), ((3 * H, H), self.wide),
                  ((3 * H,), self.wide), ((3 * H,), self.wide)]
        return self._call("backward", [_result(*shape) for shape in shapes], dy, dhT, x, packed, reserve, *steps)


@lru_cache(maxsize=None)
def layer_of(inputs: int, hidden: int, reverse: bool, threads: int, variant: Variant) -> Layer:
    return Layer(inputs, hidden, reverse, threads, variant)
