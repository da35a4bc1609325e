"""The functions of libgru.jax: arguments, gradients, batches of batches."""
from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from libgru._context import check_threads
from libgru._errors import BadArgument
from libgru._weights import Variant
from libgru.jax._operators import TYPES, Layer, layer_of


def gru(x: Any, h0: Any, W: Any, R: Any, bW: Any = None, bR: Any = None, *, reverse: bool = False, lengths: Any = None,
        mask: Any = None, threads: int = 1, reset: str = "after", update: str = "keep", gate: str = "sigmoid",
        candidate: str = "tanh", clip: float = 0.0, hard_slope: float = 0.0) -> tuple[Any, Any]:
    """Runs a layer in one direction: (y [T, N, H], hT [N, H]). T steps, N sequences, I inputs, H units.

    x [T, N, I]; h0 [N, H] or None: zeros; W [3H, I], R [3H, H], bW [3H], bR [3H], None: zeros; gates in the order r, z, n. All
    of one type: float32, float64, bfloat16 or float16. Without N in x and h0 there is none in y and hT. lengths [N]: steps of
    each sequence; or mask [T, N] of bools: False where a sequence has no such step. There y is 0, and the state stays.
    threads: CPU threads of libgru's own, 0: as many as processors. The other words are those of libgru.Layer.

    Has gradients of x, h0 and the weights; no second ones, and no forward differentiation: JAX raises. Raises BadArgument.
    """
    if getattr(x, "ndim", None) == 2:
        batch = [None if a is None else jnp.expand_dims(jnp.asarray(a), axis) for a, axis in ((h0, 0), (lengths, 0), (mask, 1))]
        y, hT = gru(jnp.expand_dims(x, 1), batch[0], W, R, bW, bR, reverse=reverse, lengths=batch[1], mask=batch[2], threads=threads,
                    reset=reset, update=update, gate=gate, candidate=candidate, clip=clip, hard_slope=hard_slope)
        return y[:, 0], hT[0]
    variant = Variant(reset, update, gate, candidate, float(clip), float(hard_slope))
    layer, weights = _weights(variant, reverse, threads, W, R, bW, bR)
    x, h0, steps = _inputs(layer, x, h0, lengths, mask)
    if 0 in x.shape[:2]:
        return jnp.zeros((*x.shape[:2], layer.hidden), layer.dtype), h0
    result: tuple[Any, Any] = _gru(layer, x, h0, *weights, steps)
    return result


def pack(W: Any, R: Any, bW: Any = None, bR: Any = None, *, reverse: bool = False, threads: int = 1, reset: str = "after",
         update: str = "keep", gate: str = "sigmoid", candidate: str = "tanh", clip: float = 0.0,
         hard_slope: float = 0.0) -> Packed:
    """Packs weights, for gru_packed(). Arguments as in gru(). Has no gradient."""
    variant = Variant(reset, update, gate, candidate, float(clip), float(hard_slope))
    layer, weights = _weights(variant, reverse, threads, W, R, bW, bR)
    return Packed(layer, layer.pack(*weights))


def gru_packed(x: Any, h0: Any, packed: Packed, *, lengths: Any = None, mask: Any = None) -> tuple[Any, Any]:
    """The same as gru(), with packed weights and without a gradient. packed: of pack(), which may have been called outside of jit:
    at one step at a time packing takes most of a call."""
    if not isinstance(packed, Packed):
        raise BadArgument(f"packed is a {type(packed).__name__}, expected what pack() returns")
    layer = packed.layer
    x, h0, steps = _inputs(layer, x, h0, lengths, mask)
    if 0 in x.shape[:2]:
        return jnp.zeros((*x.shape[:2], layer.hidden), layer.dtype), h0
    result: tuple[Any, Any] = _infer_of(layer)(x, h0, packed.data, *steps)
    return result


@jax.tree_util.register_pytree_node_class
class Packed:
    """Packed weights and what they compute: a pytree with one leaf."""

    def __init__(self, layer: Layer, data: Any) -> None:
        self.layer, self.data = layer, data

    def tree_flatten(self) -> tuple[tuple[Any], Layer]:
        return (self.data,), self.layer

    @classmethod
    def tree_unflatten(cls, layer: Layer, leaves: tuple[Any]) -> Packed:
        return cls(layer, leaves[0])


# ---- arguments ---------------------------------------------------------------------------------------------------------

def _array(name: str, given: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    array = jnp.asarray(given)
    if array.shape != shape or array.dtype != dtype:
        raise BadArgument(f"{name} is {array.dtype}{list(array.shape)}, expected {dtype}{list(shape)}")
    return array


def _weights(variant: Variant, reverse: bool, threads: int, W: Any, R: Any, bW: Any, bR: Any) -> tuple[Layer, list[Any]]:
    W, R = jnp.asarray(W), jnp.asarray(R)
    if W.ndim != 2 or R.ndim != 2 or not R.shape[1] or R.shape[0] != 3 * R.shape[1]:
        raise BadArgument(f"W is {list(W.shape)} and R is {list(R.shape)}, expected [3H, I] and [3H, H]")
    io, H = TYPES.get(str(R.dtype)), R.shape[1]
    if io is None:
        raise BadArgument(f"R is {R.dtype}, expected {', '.join(TYPES)}")
    check_threads(threads)
    typed = replace(variant, io_type=io, state_type=io, weight_type=io)
    layer = layer_of(W.shape[1], H, bool(reverse), threads, typed)
    biases = [jnp.zeros(3 * H, R.dtype) if b is None else _array(name, b, (3 * H,), R.dtype) for name, b in (("bW", bW), ("bR", bR))]
    return layer, [_array("W", W, (3 * H, W.shape[1]), R.dtype), R, *biases]


def _inputs(layer: Layer, x: Any, h0: Any, lengths: Any, mask: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    x = jnp.asarray(x)
    if x.ndim != 3 or x.shape[2] != layer.inputs or x.dtype != layer.dtype:
        raise BadArgument(f"x is {x.dtype}{list(x.shape)}, expected {layer.dtype}[T, N, {layer.inputs}]")
    T, N, _ = x.shape
    state = jnp.zeros((N, layer.hidden), layer.dtype) if h0 is None else _array("h0", h0, (N, layer.hidden), layer.dtype)
    if lengths is not None and mask is not None:
        raise BadArgument("lengths and a mask are given, expected one of them")
    if lengths is not None:
        numbers = jnp.asarray(lengths)
        if not jnp.issubdtype(numbers.dtype, jnp.integer):
            raise BadArgument(f"lengths is {numbers.dtype}, expected integers")
        return x, state, (_array("lengths", numbers.astype(jnp.int32), (N,), jnp.int32),)
    return x, state, () if mask is None else (_array("mask", mask, (T, N), np.dtype(bool)),)


# ---- gradients ---------------------------------------------------------------------------------------------------------

@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gru(layer: Layer, x: Any, h0: Any, W: Any, R: Any, bW: Any, bR: Any, steps: tuple[Any, ...]) -> Any:
    return _infer_of(layer)(x, h0, layer.pack(W, R, bW, bR), *steps)


def _train(layer: Layer, x: Any, h0: Any, W: Any, R: Any, bW: Any, bR: Any, steps: tuple[Any, ...]) -> Any:
    packed = layer.pack(W, R, bW, bR)
    y, hT, reserve = layer.train(x, h0, packed, *steps)
    return (y, hT), (x, packed, reserve, steps)


def _backward(layer: Layer, kept: Any, cotangents: Any) -> Any:
    x, packed, reserve, steps = kept
    dx, dh0, *weights = layer.backward(*cotangents, x, packed, reserve, *steps)
    nothing = tuple(np.zeros(array.shape, jax.dtypes.float0) for array in steps)
    return dx, dh0, *(gradient.astype(layer.dtype) for gradient in weights), nothing


_gru.defvjp(_train, _backward)


# ---- vmap --------------------------------------------------------------------------------------------------------------

@lru_cache(maxsize=None)
def _infer_of(layer: Layer) -> Any:
    """Inference, of which vmap over sequences makes one call with more of them. With weights of its own for each it makes a loop,
    as with gradients."""
    call = jax.custom_batching.custom_vmap(layer.infer)

    def fold(count: int, is_batched: bool, array: Any, axis: int) -> Any:
        """[count][...][N][...] -> [...][count N][...]"""
        whole = array if is_batched else jnp.broadcast_to(array, (count, *array.shape))
        moved = jnp.moveaxis(whole, 0, axis)
        return moved.reshape(*moved.shape[:axis], -1, *moved.shape[axis + 2:])

    @call.def_vmap    # type: ignore[untyped-decorator]
    def batched(count: int, is_batched: Any, x: Any, h0: Any, packed: Any, *steps: Any) -> Any:
        if is_batched[2]:
            whole = [array if flag else jnp.broadcast_to(array, (count, *array.shape))
                     for flag, array in zip(is_batched, (x, h0, packed, *steps))]
            return jax.lax.map(lambda each: call(*each), tuple(whole)), (True, True)
        axes = [1, 0, *(array.ndim - 1 - flag for flag, array in zip(is_batched[3:], steps))]
        folded = [fold(count, flag, array, axis) for flag, array, axis in
                  zip([*is_batched[:2], *is_batched[3:]], (x, h0, *steps), axes)]
        y, hT = call(*folded[:2], packed, *folded[2:])
        y = y.reshape(y.shape[0], count, -1, y.shape[2])
        return (jnp.moveaxis(y, 1, 0), hT.reshape(count, -1, hT.shape[1])), (True, True)

    return call
