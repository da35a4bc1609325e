"""libgru in JAX, on the CPU: `gru`, a layer with gradients, under jit, grad, vmap, scan and remat; `pack` and `gru_packed` for
weights that do not change; `GRU`, a drop-in for flax.nnx.RNN over an nnx.GRUCell (needs flax). Needs jax 0.5 or later."""
from typing import Any

from libgru._errors import NotBuilt

try:
    import jax as _jax
except ImportError as _error:
    raise NotBuilt(f"libgru.jax needs the package jax: {_error}") from _error
if tuple(int(_part) for _part in _jax.__version__.split(".")[:2]) < (0, 5):
    raise NotBuilt(f"libgru.jax needs jax 0.5 or later, and this is {_jax.__version__}")

from libgru.jax._gru import gru, gru_packed, pack    # noqa: E402

__all__ = ["GRU", "gru", "gru_packed", "pack"]


def __getattr__(name: str) -> Any:
    """Imports flax only where it is used."""
    if name != "GRU":
        raise AttributeError(f"module 'libgru.jax' has no attribute {name!r}")
    try:
        from libgru.jax._flax import GRU
    except ImportError as error:
        raise NotBuilt(f"libgru.jax.GRU needs the package flax: {error}") from error
    return GRU
