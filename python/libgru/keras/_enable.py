"""Puts libgru in the place of the loop of keras.layers.GRU."""
from __future__ import annotations

import warnings
from typing import Any

import keras
from keras import tree
from keras.layers import GRU

from libgru._errors import Unsupported

_own_loop = GRU.inner_loop    # Keras'
_WORDS = ("sigmoid", "tanh", "relu", "linear", "silu", "selu", "softsign", "softplus", "exponential", "relu6", "gelu", "mish",
          "hard_sigmoid")
_told: set[str] = set()
_threads = 1


def enable(*, threads: int = 1) -> None:
    """From now on every keras.layers.GRU of the process runs on libgru, also those of models that there are already. threads: CPU
    threads with JAX, 0: as many as processors; with PyTorch they are torch.get_num_threads().

    A layer for which libgru lacks something runs as before; a warning says once what it lacks: recurrent_dropout, dropout in
    training, use_cudnn=False, a function, a type, a device. Raises Unsupported for other backends.
    """
    global _threads
    if keras.backend.backend() not in ("jax", "torch"):
        raise Unsupported(f"the backend of Keras is {keras.backend.backend()}, expected jax or torch")
    _pass()    # fails now if the framework or the library is missing
    _threads = threads
    GRU.inner_loop = _loop


def disable() -> None:
    """keras.layers.GRU runs on Keras' own operators again."""
    GRU.inner_loop = _own_loop


def _pass() -> Any:
    """What runs a layer with this backend."""
    if keras.backend.backend() == "jax":
        from libgru.keras import _jax
        return _jax
    from libgru.keras import _torch
    return _torch


def _word(function: Any) -> str | None:
    """libgru's word for one of Keras' own functions."""
    word = getattr(function, "__name__", "")
    return word if word in _WORDS and getattr(keras.activations, word, None) is function else None


def _reason(layer: Any, sequences: Any, training: bool) -> str | None:
    """Why Keras runs this call; None: libgru does."""
    cell = layer.cell
    if layer.recurrent_dropout and training:
        return "libgru has no recurrent_dropout"
    if layer.dropout and training:
        return "libgru has no dropout of inputs"
    if layer.use_cudnn is False:
        return "use_cudnn is False"
    if _word(cell.recurrent_activation) not in ("sigmoid", "hard_sigmoid") or _word(cell.activation) in (None, "hard_sigmoid"):
        return "libgru lacks one of its functions"
    found: str | None = _pass().reason(sequences, keras.ops.convert_to_tensor(cell.kernel))
    return found


def _loop(layer: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
    """GRU.inner_loop: the last output, all outputs, the last states."""
    why = _reason(layer, sequences, training)
    if why is not None:
        if why not in _told:
            _told.add(why)
            warnings.warn(f"{layer.name} runs on Keras' own operators: {why}", stacklevel=2)
        return _own_loop(layer, sequences, initial_state, mask, training)
    h0 = initial_state[0] if tree.is_nested(initial_state) else initial_state
    y, hT = _run(layer, sequences, h0, mask[0] if tree.is_nested(mask) else mask)
    last = hT if mask is None else y[:, -1]
    return last, (y if layer.return_sequences else last[:, None]), [hT]


def _run(layer: Any, x: Any, h0: Any, mask: Any) -> tuple[Any, Any]:
    """x [N, T, I] -> y [N, T, H] in the order in which the layer visits the steps, hT [N, H]."""
    ops, cell = keras.ops, layer.cell
    W, R, bW, bR = _weights(cell)
    h0 = ops.cast(ops.convert_to_tensor(h0), R.dtype)
    x = ops.cast(ops.convert_to_tensor(x), R.dtype)
    if layer.go_backwards:
        x, mask = ops.flip(x, 1), None if mask is None else ops.flip(mask, 1)
    mask = None if mask is None else ops.transpose(ops.cast(mask, "bool"))
    gate = _word(cell.recurrent_activation)
    words = {"reset": "after" if layer.reset_after else "before", "gate": gate, "candidate": _word(cell.activation),
             "hard_slope": 1 / 6 if gate == "hard_sigmoid" else 0.0}
    y, hT = _pass().run(ops.swapaxes(x, 0, 1), h0, (W, R, bW, bR), mask, _threads, words)
    if mask is not None and not layer.zero_output_for_mask:
        y = _repeated(y, h0 if keras.backend.backend() == "jax" and not layer.unroll else ops.zeros_like(h0), mask)
    return ops.swapaxes(y, 0, 1), hT


def _weights(cell: Any) -> list[Any]:
    """[3H, I], [3H, H], [3H], [3H], with gates in the order r, z, n; Keras' are z, r, n in columns."""
    ops, H = keras.ops, cell.units

    def turned(array: Any) -> Any:
        return ops.concatenate([array[..., H:2 * H], array[..., :H], array[..., 2 * H:]], axis=-1)
    kernel, recurrent = (ops.transpose(turned(ops.convert_to_tensor(each))) for each in (cell.kernel, cell.recurrent_kernel))
    if not cell.use_bias:
        zeros = ops.zeros((3 * H,), recurrent.dtype)
        return [kernel, recurrent, zeros, zeros]
    bias = turned(ops.convert_to_tensor(cell.bias))
    return [kernel, recurrent, *((bias[0], bias[1]) if cell.reset_after else (bias, ops.zeros_like(bias)))]


def _repeated(y: Any, first: Any, mask: Any) -> Any:
    """y [T, N, H], with the output before in the place of the zeros of steps that are left out; first [N, H]: before all. Keras'
    loops take the first state for it, or zeros."""
    ops = keras.ops
    steps = ops.where(mask, ops.expand_dims(ops.arange(1, mask.shape[0] + 1), 1), 0)
    last = ops.associative_scan(ops.maximum, steps)    # [T, N]: the step whose output counts, from 1; 0: first
    return ops.take_along_axis(ops.concatenate([ops.expand_dims(first, 0), y]), ops.expand_dims(last, 2), 0)
