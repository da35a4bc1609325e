"""Calls of the C library on tensors. Each function is one pass of one layer, in one direction or two; nothing here knows autograd."""
from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from libgru import _context
from libgru._errors import BadArgument
from libgru._library import library
from libgru._plan import Plan
from libgru._weights import Variant, fill_config
from libgru.torch import _native

TYPES = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16"}
DTYPES = {name: dtype for dtype, name in TYPES.items()}


class Shape(NamedTuple):
    """What a layer computes, apart from its weights. It travels through torch's operators as text."""
    inputs: int
    hidden: int
    both: bool                   # two directions; else the first
    reset: str = "after"
    update: str = "keep"
    gate: str = "sigmoid"
    candidate: str = "tanh"
    clip: float = 0.0
    hard_slope: float = 0.0
    io: str = "f32"              # of x, y, h0, hT and the parameters
    packed: str = "f32"          # of the packed weights

    @property
    def directions(self) -> int:
        return 2 if self.both else 1

    def text(self) -> str:
        return " ".join(map(str, (self.inputs, self.hidden, int(self.both), *self[3:])))


@lru_cache(maxsize=1024)
def shape_of(text: str) -> Shape:
    inputs, hidden, both, reset, update, gate, candidate, clip, slope, io, packed = text.split()
    return Shape(int(inputs), int(hidden), bool(int(both)), reset, update, gate, candidate, float(clip), float(slope), io, packed)


@lru_cache(maxsize=None)
def _context_of(threads: int) -> _context.Context:
    return _context.Context("cpu", threads=threads)


class _Plan(Plan):
    """For one number of threads. Sizes are rounded up, so that what follows for the next direction is aligned."""

    def __init__(self, shape: Shape, reverse: bool, threads: int) -> None:
        config = library().new("gru_layer_config")
        variant = Variant(shape.reset, shape.update, shape.gate, shape.candidate, shape.clip, shape.hard_slope, shape.io, shape.io,
                          shape.packed)
        fill_config(config, variant, (shape.inputs, shape.hidden), "reverse" if reverse else "forward")
        super().__init__(config, _context_of(threads))
        self.element = torch.empty(0, dtype=DTYPES[shape.io]).element_size()
        self.packed += -self.packed % 64

    def reserve_bytes(self, T: Any, N: Any) -> Any:
        return (super().reserve_bytes(T, N) + 63) // 64 * 64


@lru_cache(maxsize=None)
def _plan(shape: Shape, reverse: bool, threads: int) -> _Plan:
    return _Plan(shape, reverse, threads)


def plan(shape: Shape, reverse: bool) -> _Plan:
    return _plan(shape, reverse, torch.get_num_threads())


@lru_cache(maxsize=None)
def _addresses(shape: Shape, threads: int) -> list[int]:
    """For the operators of _native: the layers of all directions."""
    return [_plan(shape, bool(d), threads).handle.value or 0 for d in range(shape.directions)]


def readable(x: Tensor) -> Tensor:
    """The tensor, or a copy if the library cannot read its strides: rows have no gaps, and no stride is 0."""
    T, N, width = x.shape
    by_time, by_row, last = x.stride()
    if (last == 1 or width <= 1) and (by_time > 0 or T <= 1) and (by_row > 0 or N <= 1):
        return x
    return x.contiguous()


def _readable(x: Tensor, dy: Tensor | None, dhT: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
    return readable(x), None if dy is None else readable(dy), None if dhT is None else dhT.contiguous()


def _strides(tensor: Tensor) -> tuple[int, int]:
    """Of steps and rows; those of a single step or row are made up, since torch leaves them anything."""
    T, N, width = tensor.shape
    by_row = tensor.stride(1) if N > 1 else max(width, 1)
    return (tensor.stride(0) if T > 1 else max(N, 1) * by_row), by_row


@lru_cache(maxsize=None)
def weight_sizes(shape: Shape) -> list[tuple[int, ...]]:
    """Of W, R, bW, bR, and of their gradients."""
    return [(3 * shape.hidden, shape.inputs), (3 * shape.hidden, shape.hidden), (3 * shape.hidden,), (3 * shape.hidden,)]


def _check_weights(shape: Shape, weights: Sequence[Tensor], count: int) -> None:
    """count: for each direction."""
    sizes, dtype = weight_sizes(shape), DTYPES[shape.io]
    for k, weight in enumerate(weights):
        wanted = sizes[k % count]
        if weight.shape != wanted or weight.dtype != dtype or not weight.is_cpu:
            raise BadArgument(f"weight {k} is {weight.dtype} {tuple(weight.shape)} on {weight.device}, expected "
                              f"{DTYPES[shape.io]} {wanted} on the CPU")


def pack(shape: Shape, weights: Sequence[Tensor]) -> Tensor:
    """Packed weights of all directions. weights: W, R and, where there are biases, bW, bR of each."""
    lib = library()
    count = len(weights) // shape.directions
    if len(weights) != count * shape.directions or count not in (2, 4):
        raise BadArgument(f"there are {len(weights)} weights, expected 2 or 4 for each direction")
    _check_weights(shape, weights, count)
    if _native.operators is not None:
        packed: Tensor = _native.call(_native.operators.pack, [weight.contiguous() for weight in weights],
                                      _addresses(shape, torch.get_num_threads()))
        return packed
    plans = [plan(shape, bool(d)) for d in range(shape.directions)]
    out = torch.empty(sum(each.packed for each in plans), dtype=torch.uint8)
    place = out.data_ptr()
    for d, each in enumerate(plans):
        dense = [weight.contiguous() for weight in weights[d * count:(d + 1) * count]]
        struct = lib.new("gru_weights")
        struct.W, struct.R = dense[0].data_ptr(), dense[1].data_ptr()
        if count == 4:
            struct.bW, struct.bR = dense[2].data_ptr(), dense[3].data_ptr()
        struct.type = lib["GRU_" + shape.io.upper()]
        lib.call("gru_layer_pack", each.handle, ctypes.byref(struct), place, None)
        place += each.packed
    return out


def _run(x: Tensor, packed: int, steps: Tensor | None) -> Any:
    run = library().new("gru_run")
    run.T, run.N = x.shape[0], x.shape[1]
    run.x.data = x.data_ptr()
    run.x.time_stride, run.x.batch_stride = _strides(x)
    run.packed = packed
    if steps is not None:
        _set_steps(run, steps)
    return run


def _set_steps(run: Any, steps: Tensor) -> None:
    """Which steps there are: lengths [N] of int32, or a mask [T, N] of bools. Both dense."""
    T, N = run.T, run.N
    name, kind, shape = ("lengths", torch.int32, (N,)) if steps.dim() == 1 else ("mask", torch.bool, (T, N))
    if tuple(steps.shape) != shape or steps.dtype != kind or steps.device.type != "cpu" or not steps.is_contiguous():
        raise BadArgument(f"{name} is {list(steps.shape)} of {steps.dtype} on {steps.device}, expected {list(shape)} of {kind} on "
                          "the CPU, without gaps")
    if steps.dim() == 1:
        run.lengths = steps.data_ptr()
    else:
        run.mask.data = steps.data_ptr()


def forward(shape: Shape, x: Tensor, h0: Tensor | None, packed: Tensor, steps: Tensor | None,
            training: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """y [T, N, directions * H], hT [directions, N, H] and, in training, the reserve."""
    x, h0 = readable(x), None if h0 is None else h0.contiguous()
    if _native.operators is not None and steps is None:
        y, hT, *saved = _native.call(_native.operators.forward, x, h0, packed, shape.hidden,
                                     _addresses(shape, torch.get_num_threads()), training)
        return y, hT, saved[0] if training else None
    lib = library()
    T, N, H, D = x.shape[0], x.shape[1], shape.hidden, shape.directions
    y, hT = x.new_empty(T, N, D * H), x.new_empty(D, N, H)
    plans = [plan(shape, bool(d)) for d in range(D)]
    reserve = torch.empty(sum(each.reserve_bytes(T, N) for each in plans), dtype=torch.uint8) if training else None
    weights, place = packed.data_ptr(), 0 if reserve is None else reserve.data_ptr()
    for d, each in enumerate(plans):
        run, sizes = _run(x, weights, steps), each.sizes(T, N)
        run.y.data, run.y.time_stride, run.y.batch_stride = y.data_ptr() + d * H * each.element, N * D * H, D * H
        run.hT = hT.data_ptr() + d * N * H * each.element
        if h0 is not None:
            run.h0 = h0.data_ptr() + d * N * H * each.element
        owner, run.workspace = _context.workspace(each.context, sizes.workspace)
        run.workspace_size = sizes.workspace
        if training:
            run.mode, run.reserve, run.reserve_size = lib["GRU_TRAIN"], place, sizes.reserve
            padded = each.reserve_bytes(T, N)
            ctypes.memset(place + sizes.reserve, 0, padded - sizes.reserve)
            place += padded
        lib.call("gru_layer_forward", each.handle, ctypes.byref(run))
        del owner
        weights += each.packed
    return y, hT, reserve


class Gradients(NamedTuple):
    """What a backward pass writes: dx [T, N, I] or None; dh0 [D, N, H]; weights: for each direction dW [3H, I], dR [3H, H]
    and, if wanted, dbW [3H], dbR [3H], all of gradient_type()."""
    dx: Tensor | None
    dh0: Tensor
    weights: list[list[Tensor]]


def gradient_type(shape: Shape) -> torch.dtype:
    """Of weights."""
    return torch.float64 if shape.io == "f64" else torch.float32


def gradients(shape: Shape, dy: Tensor | None, dhT: Tensor | None, x: Tensor, steps: Tensor | None, packed: Tensor,
              reserve: Tensor, count: int, with_dx: bool) -> Gradients:
    """backward() into new tensors. count: of the weights of each direction."""
    if _native.operators is None or steps is not None:
        out = _new_gradients(shape, x, count, with_dx)
        backward(shape, dy, dhT, x, steps, packed, reserve, out)
        return out
    x, dy, dhT = _readable(x, dy, dhT)
    D = shape.directions
    made = _native.call(_native.operators.backward, dy, dhT, x, packed, reserve, shape.hidden,
                        _addresses(shape, torch.get_num_threads()), count, with_dx)
    dx = made[0] if with_dx else None
    if dx is not None and D > 1:
        dx.add_(made[1])
    weights = made[-D * count:]
    return Gradients(dx, made[-D * count - 1], [weights[d * count:(d + 1) * count] for d in range(D)])


def _new_gradients(shape: Shape, x: Tensor, count: int, with_dx: bool) -> Gradients:
    dtype = gradient_type(shape)
    weights = [[torch.empty(size, dtype=dtype) for size in weight_sizes(shape)[:count]] for _ in range(shape.directions)]
    return Gradients(x.new_empty(x.shape) if with_dx else None, x.new_empty(shape.directions, x.shape[1], shape.hidden), weights)


def _set_gradients(struct: Any, out: Gradients, d: int, dx: Tensor | None, dy: Tensor | None, dhT: Tensor | None) -> None:
    lib, size, H = library(), out.dh0.element_size(), out.dh0.shape[2]
    states = d * out.dh0.shape[1] * H * size    # bytes before those of this direction
    struct.parts = lib["GRU_GRAD_DATA"] | lib["GRU_GRAD_WEIGHTS"] | lib["GRU_GRAD_OVERWRITE"]
    if dy is not None:
        struct.dy.data = dy.data_ptr() + d * H * size
        struct.dy.time_stride, struct.dy.batch_stride = _strides(dy)
    if dhT is not None:
        struct.dhT = dhT.data_ptr() + states
    if dx is not None:
        struct.dx.data = dx.data_ptr()
    struct.dh0 = out.dh0.data_ptr() + states
    for name, gradient in zip(("dW", "dR", "dbW", "dbR"), out.weights[d]):
        setattr(struct, name, gradient.data_ptr())


def backward(shape: Shape, dy: Tensor | None, dhT: Tensor | None, x: Tensor, steps: Tensor | None, packed: Tensor,
             reserve: Tensor, out: Gradients) -> None:
    """x, steps, packed and reserve as forward() had them."""
    x, dy, dhT = _readable(x, dy, dhT)
    lib, T, N = library(), x.shape[0], x.shape[1]
    weights, saved = packed.data_ptr(), reserve.data_ptr()
    for d in range(shape.directions):
        each = plan(shape, bool(d))
        run, sizes, struct = _run(x, weights, steps), each.sizes(T, N), lib.new("gru_gradients")
        dx = torch.empty_like(out.dx) if d and out.dx is not None else out.dx
        _set_gradients(struct, out, d, dx, dy, dhT)
        run.mode, run.reserve, run.reserve_size = lib["GRU_TRAIN"], saved, sizes.reserve
        owner, run.workspace = _context.workspace(each.context, sizes.backward_workspace)
        run.workspace_size = sizes.backward_workspace
        lib.call("gru_layer_backward", each.handle, ctypes.byref(run), ctypes.byref(struct))
        del owner
        if d and out.dx is not None:
            out.dx.add_(dx)
        weights += each.packed
        saved += each.reserve_bytes(T, N)
