"""A drop-in for flax.nnx.RNN over an nnx.GRUCell."""
from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.recurrent import flip_sequences

from libgru._errors import BadArgument, Unsupported
from libgru.jax._gru import gru

_GATES = {jax.nn.sigmoid: "sigmoid", nnx.sigmoid: "sigmoid", jax.nn.hard_sigmoid: "hard_sigmoid"}
_CANDIDATES = {jnp.tanh: "tanh", jax.nn.tanh: "tanh", nnx.tanh: "tanh", jax.nn.relu: "relu", jax.nn.silu: "silu"}


class GRU(nnx.Module):    # type: ignore[misc]
    """nnx.RNN(cell) on libgru: the same constructor, call and state, for cells that are nnx.GRUCell.

    Outputs beyond seq_lengths are 0 here; nnx.RNN goes on computing there. Works in nnx.Bidirectional. threads: CPU threads.
    Raises Unsupported for other cells, and for functions that libgru lacks.
    """

    def __init__(self, cell: nnx.GRUCell, *, time_major: bool = False, return_carry: bool = False, reverse: bool = False,
                 keep_order: bool = False, threads: int = 1) -> None:
        if type(cell) is not nnx.GRUCell:
            raise Unsupported(f"cell is a {type(cell).__name__}, expected an nnx.GRUCell")
        for name, function, known in (("gate_fn", cell.gate_fn, _GATES), ("activation_fn", cell.activation_fn, _CANDIDATES)):
            if function not in known:
                raise Unsupported(f"{name} is {getattr(function, '__name__', function)}, expected {', '.join(sorted(set(known.values())))}")
        self.cell = cell
        self.time_major, self.return_carry, self.reverse, self.keep_order = time_major, return_carry, reverse, keep_order
        self.threads = threads

    def __call__(self, inputs: Any, *, initial_carry: Any = None, seq_lengths: Any = None, return_carry: bool | None = None,
                 time_major: bool | None = None, reverse: bool | None = None, keep_order: bool | None = None, rngs: Any = None) -> Any:
        """inputs [batch..., T, features], or [T, batch..., features] if time_major. Returns the outputs, or with return_carry
        (carry, outputs)."""
        chosen = [own if given is None else given for own, given in
                  ((self.return_carry, return_carry), (self.time_major, time_major), (self.reverse, reverse),
                   (self.keep_order, keep_order))]
        has_carry, is_time_major, is_reverse, keeps_order = chosen
        if inputs.ndim < 2:
            raise BadArgument(f"inputs have {inputs.ndim} axes, expected time and features")
        x = inputs if is_time_major else jnp.moveaxis(inputs, -2, 0)
        batch = x.shape[1:-1]
        if initial_carry is None:
            initial_carry = self._first_carry(x.shape[1:], rngs)
        weights, kind = self._weights(x, initial_carry)
        lengths = None if seq_lengths is None else jnp.asarray(seq_lengths).reshape(-1)
        H, cell = self.cell.hidden_features, self.cell
        y, carry = gru(x.reshape(x.shape[0], -1, x.shape[-1]).astype(kind), initial_carry.reshape(-1, H).astype(kind), *weights,
                       reverse=is_reverse, lengths=lengths, threads=self.threads, gate=_GATES[cell.gate_fn],
                       candidate=_CANDIDATES[cell.activation_fn], hard_slope=1 / 6 if _GATES[cell.gate_fn] == "hard_sigmoid" else 0.0)
        if is_reverse and not keeps_order:
            y = flip_sequences(y, lengths, num_batch_dims=1, time_major=True)
        y, carry = y.reshape(x.shape[0], *batch, H), carry.reshape(*batch, H)
        if not is_time_major:
            y = jnp.moveaxis(y, 0, -2)
        return (carry, y) if has_carry else y

    def _first_carry(self, shape: tuple[int, ...], rngs: Any) -> Any:
        """Zeros, or what the cell draws."""
        if self.cell.carry_init is None:
            return jnp.zeros((*shape[:-1], self.cell.hidden_features), self.cell.param_dtype)
        return self.cell.initialize_carry(shape, rngs)

    def _weights(self, x: Any, carry: Any) -> tuple[list[Any], Any]:
        """As libgru has them, and the type that flax computes in."""
        cell = self.cell
        given = [cell.dense_i.kernel[...], cell.dense_h.kernel[...], cell.dense_i.bias[...]]
        kind = cell.dtype or jnp.result_type(x, carry, *given)
        W, R, bW = (array.astype(kind) for array in given)
        return [W.T, R.T, bW], kind
