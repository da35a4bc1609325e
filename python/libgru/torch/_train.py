"""Training of one layer or more, by torch's operators or, in an ordinary call, without its dispatcher."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor

from libgru.torch import _ops, _plans
from libgru.torch._packed_weights import is_plain
from libgru.torch._plans import shape_of


class _Plain(torch.autograd.Function):    # type: ignore[misc]
    """libgru::train of all layers and its gradient in one node of autograd, for calls that are plain: the dispatcher, and a node for
    each layer, take longer than a step of a small layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor | None, steps: Tensor | None, layers: tuple[str, ...],
                *weights: Tensor) -> tuple[Tensor, Tensor]:
        count, kept, last = len(weights) // len(layers), list[Tensor](), list[Tensor]()
        states = [None] * len(layers) if h0 is None else h0.chunk(len(layers))
        for k, layer in enumerate(layers):
            y, hT, reserve, packed = _ops.train_layer(x, states[k], weights[k * count:(k + 1) * count], steps, layer)
            kept += (x, packed, reserve)
            last.append(hT)
            x = y
        # The weights too, so that autograd finds a change in place between forward and backward.
        ctx.save_for_backward(steps, *kept, *weights)
        ctx.layers, ctx.has_h0 = layers, h0 is not None
        ctx.set_materialize_grads(False)
        return x, last[0] if len(last) == 1 else torch.cat(last)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None) -> tuple[Tensor | None, ...]:
        steps, *saved = ctx.saved_tensors
        layers, D = ctx.layers, shape_of(ctx.layers[0]).directions
        kept, weights = saved[:3 * len(layers)], saved[3 * len(layers):]
        count, dtype = len(weights) // len(layers) // D, weights[0].dtype
        given = [each for each in (dy, dhT) if each is not None]
        plain = is_plain(kept[0], *given) and not any(map(is_legacy_batchedtensor, given))    # is_grads_batched
        states: list[Tensor] = []
        by_weight: list[Tensor] = []
        for k in reversed(range(len(layers))):
            x, packed, reserve = kept[3 * k:3 * k + 3]
            read = dy, None if dhT is None else dhT[k * D:(k + 1) * D], x, steps, packed, reserve, count
            out = (_plans.gradients(shape_of(layers[k]), *read, k > 0 or ctx.needs_input_grad[0]) if plain else
                   _ops.gradients(layers[k], *read))
            dy = out.dx
            states.insert(0, out.dh0)
            by_weight[:0] = [part if part.dtype == dtype else part.to(dtype) for parts in out.weights for part in parts]
        dh0 = None if not ctx.has_h0 else states[0] if len(states) == 1 else torch.cat(states)
        dx, dh0, *by_weight = _ops.first_only([dy, dh0, *by_weight], [*given, kept[0], *weights])
        return dx, dh0, None, None, *by_weight


def train(x: Tensor, h0: Tensor | None, weights: Sequence[Sequence[Tensor]], steps: Tensor | None,
          layers: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Outputs of the last layer and the last states [layers * directions, N, H], with their gradients. weights, layers: of each
    layer, from the first. h0 [layers * directions, N, H] or None."""
    every = [weight for own in weights for weight in own]
    if is_plain(x, *every) and (h0 is None or is_plain(h0)):
        y, hT = _Plain.apply(x, h0, steps, tuple(layers), *every)
        return y, hT
    last = []
    states = [None] * len(layers) if h0 is None else h0.chunk(len(layers))
    for own, initial, layer in zip(weights, states, layers):
        x, hT, _, _ = torch.ops.libgru.train(x, initial, own, steps, layer)
        last.append(hT)
    return x, last[0] if len(last) == 1 else torch.cat(last)
