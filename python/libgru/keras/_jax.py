"""A layer of Keras on libgru with the backend JAX."""
from __future__ import annotations

from typing import Any

import jax

from libgru.jax import gru
from libgru.jax._operators import TYPES


def reason(x: Any, kernel: Any) -> str | None:
    if jax.default_backend() != "cpu":
        return f"libgru runs on the CPU, and JAX on {jax.default_backend()}"
    return None if str(kernel.dtype) in TYPES else f"libgru has no type {kernel.dtype}"


def run(x: Any, h0: Any, weights: tuple[Any, ...], mask: Any, threads: int, words: dict[str, Any]) -> tuple[Any, Any]:
    return gru(x, h0, *weights, mask=mask, threads=threads, **words)
