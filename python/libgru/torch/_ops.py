"""The operators of torch.library: what torch.compile, export and autograd see.

    libgru::pack      weights -> packed weights
    libgru::infer     a pass of one layer, in one direction or two, from packed weights
    libgru::train     the same from weights, with what backward needs; the only one with a gradient
    libgru::backward  its gradient, which has none of its own
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._library.autograd import Info, make_autograd_impl

from libgru._errors import Unsupported
from libgru.torch import _plans
from libgru.torch._plans import shape_of


def _pack(weights: Sequence[Tensor], layer: str) -> Tensor:
    return _plans.pack(shape_of(layer), weights)


def _fake_pack(weights: Sequence[Tensor], layer: str) -> Tensor:
    shape = shape_of(layer)
    size = sum(_plans.plan(shape, bool(d)).packed for d in range(shape.directions))
    return weights[0].new_empty(size, dtype=torch.uint8)


def _infer(x: Tensor, h0: Tensor | None, packed: Tensor, steps: Tensor | None, layer: str) -> tuple[Tensor, Tensor]:
    return _plans.forward(shape_of(layer), x, h0, packed, steps, False)[:2]


def _outputs(x: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    shape = shape_of(layer)
    T, N = x.shape[0], x.shape[1]
    return x.new_empty(T, N, shape.directions * shape.hidden), x.new_empty(shape.directions, N, shape.hidden)


def _fake_infer(x: Tensor, h0: Tensor | None, packed: Tensor, steps: Tensor | None, layer: str) -> tuple[Tensor, Tensor]:
    return _outputs(x, layer)


def train_layer(x: Tensor, h0: Tensor | None, weights: Sequence[Tensor], steps: Tensor | None,
                layer: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape, packed = shape_of(layer), _plans.pack(shape_of(layer), weights)
    y, hT, reserve = _plans.forward(shape, x, h0, packed, steps, True)
    assert reserve is not None
    return y, hT, reserve, packed


def _fake_train(x: Tensor, h0: Tensor | None, weights: Sequence[Tensor], steps: Tensor | None,
      layer: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape, (T, N) = shape_of(layer), x.shape[:2]
    plans = [_plans.plan(shape, bool(d)) for d in range(shape.directions)]
    sizes = (sum(each.reserve_bytes(T, N) for each in plans), sum(each.packed for each in plans))
    return (*_outputs(x, layer), *(x.new_empty(size, dtype=torch.uint8) for size in sizes))


def _empty_gradients(x: Tensor, layer: str) -> tuple[Tensor, ...]:
    """dx, dh0, dW, dR, dbW, dbR; all but dx with the directions as first dimension."""
    shape = shape_of(layer)
    sizes = [(shape.directions, *size) for size in _plans.weight_sizes(shape)]
    return (x.new_empty(x.shape), x.new_empty(shape.directions, x.shape[1], shape.hidden),
            *(x.new_empty(size, dtype=_plans.gradient_type(shape)) for size in sizes))


def _backward(dy: Tensor | None, dhT: Tensor | None, x: Tensor, steps: Tensor | None, packed: Tensor, reserve: Tensor,
             layer: str) -> tuple[Tensor, ...]:
    made = dx, dh0, *weights = _empty_gradients(x, layer)
    out = _plans.Gradients(dx, dh0, [list(parts) for parts in zip(*(weight.unbind() for weight in weights))])
    _plans.backward(shape_of(layer), dy, dhT, x, steps, packed, reserve, out)
    return made


def _fake_backward(dy: Tensor | None, dhT: Tensor | None, x: Tensor, steps: Tensor | None, packed: Tensor, reserve: Tensor,
                   layer: str) -> tuple[Tensor, ...]:
    return _empty_gradients(x, layer)


# ---- autograd --------------------------------------------------------------------------------------------------------------

def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """For backward. The weights too, so that autograd finds a change in place between forward and backward."""
    x, h0, weights, steps, layer = inputs
    ctx.save_for_backward(x, steps, *output[2:], *weights)
    ctx.layer, ctx.has_h0 = layer, h0 is not None
    ctx.mark_non_differentiable(*output[2:])


def _train_gradients(ctx: Any, dy: Tensor | None, dhT: Tensor | None, *_: Any) -> tuple[Any, ...]:
    x, steps, reserve, packed, *weights = ctx.saved_tensors
    D = shape_of(ctx.layer).directions
    out = gradients(ctx.layer, dy, dhT, x, steps, packed, reserve, len(weights) // D)
    by_weight = [part.to(weights[0].dtype) for parts in out.weights for part in parts]
    dx, dh0, *by_weight = first_only([out.dx, out.dh0, *by_weight], [dy, dhT, x, *weights])
    return dx, dh0 if ctx.has_h0 else None, by_weight, None, None


def gradients(layer: str, dy: Tensor | None, dhT: Tensor | None, x: Tensor, steps: Tensor | None, packed: Tensor, reserve: Tensor,
              count: int) -> _plans.Gradients:
    """libgru::backward. count: of the weights of each direction."""
    dx, dh0, *parts = torch.ops.libgru.backward(dy, dhT, x, steps, packed, reserve, layer)
    return _plans.Gradients(dx, dh0, [list(own) for own in zip(*(part.unbind() for part in parts[:count]))])


class _FirstOnly(torch.autograd.Function):    # type: ignore[misc]
    """Hands the first count tensors on; their gradients raise."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(None if tensor is None else tensor.clone() for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        return _twice(ctx)


def first_only(gradients: Sequence[Tensor | None], read: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """The gradients. Under create_graph=True they depend, for autograd, on all tensors that were read for them: by libgru::backward
    alone they would not depend on the weights, whose packed copy it reads, and a second derivative would be 0 without a word."""
    if not torch.is_grad_enabled():
        return gradients
    made: tuple[Tensor | None, ...] = _FirstOnly.apply(len(gradients), *gradients, *read)
    return made


def _twice(ctx: Any, *_: Any) -> Any:
    raise Unsupported("libgru computes no second derivatives. Inside libgru.torch.fallback() PyTorch's own GRU runs, which does")


def _never(ctx: Any, *_: Any) -> Any:
    raise Unsupported("the operators libgru::pack and libgru::infer have no gradients. libgru::train has")


def _nothing(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """Saves nothing: the gradient only raises."""


def _refuse_tangents() -> None:
    """torch would drop tangents without a word. torch.func.jvp has an interpreter on top; dual tensors have a level."""
    interpreter = torch._C._functorch.peek_interpreter_stack()
    if interpreter is not None and interpreter.key() == torch._C._functorch.TransformType.Jvp or \
            getattr(torch.autograd.forward_ad, "_current_level", -1) >= 0:
        raise Unsupported("libgru has no forward differentiation. Inside libgru.torch.fallback() PyTorch's own GRU runs, which has")


def _register(schema: str, kernel: Any, fake: Any, gradient: Any, save: Any) -> None:
    """Defines an operator. Each has a gradient, if only one that raises: torch would take a missing one for zeros."""
    name = schema.partition("(")[0]
    _library.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(name, kernel, "CPU")
    torch.library.register_fake(f"libgru::{name}", fake, lib=_library)
    differentiated = make_autograd_impl(getattr(torch.ops.libgru, name).default, Info(gradient, save))

    def checked(keyset: Any, *given: Any, **named: Any) -> Any:
        _refuse_tangents()
        return differentiated(keyset, *given, **named)
    _library.impl(name, checked, "Autograd", with_keyset=True)


_library = torch.library.Library("libgru", "DEF")
_register("pack(Tensor[] weights, str layer) -> Tensor", _pack, _fake_pack, _never, _nothing)
_register("infer(Tensor x, Tensor? h0, Tensor packed, Tensor? steps, str layer) -> (Tensor, Tensor)",
          _infer, _fake_infer, _never, _nothing)
_register("train(Tensor x, Tensor? h0, Tensor[] weights, Tensor? steps, str layer) -> (Tensor, Tensor, Tensor, Tensor)",
          train_layer, _fake_train, _train_gradients, _save)
_register("backward(Tensor? dy, Tensor? dhT, Tensor x, Tensor? steps, Tensor packed, Tensor reserve, str layer) -> "
          "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)", _backward, _fake_backward, _twice, _nothing)
