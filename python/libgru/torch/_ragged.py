"""PackedSequence: without a copy where no gradient is needed, else through rows with lengths."""
from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from libgru import _context
from libgru._library import library
from libgru.torch import _fallback, _plans
from libgru.torch._packed_weights import is_plain
from libgru.torch._plans import Shape, shape_of


def forward(module: Any, given: PackedSequence, hx: Tensor | None) -> tuple[PackedSequence, Tensor]:
    data, sizes, order, back = given
    if data.dim() != 2:
        raise RuntimeError(f"the data of a PackedSequence is 2-D, got {data.dim()}-D")
    count = module.num_layers * module._directions
    if hx is None:
        hx = data.new_zeros(count, int(sizes[0]), module.hidden_size)
    else:
        hx = hx if order is None else hx.index_select(1, order)
    module.check_forward_args(data, hx, sizes)
    y, hT = _run(module, given, hx)
    return PackedSequence(y, sizes, order, back), hT if back is None else hT.index_select(1, back)


def _run(module: Any, given: PackedSequence, hx: Tensor) -> tuple[Tensor, Tensor]:
    """The data of the output, and the last states in the order of the data."""
    data, sizes = given.data, given.batch_sizes
    layers = [module._weights(k) for k in range(module.num_layers)]
    every = [weight for weights in layers for weight in weights]
    why = _fallback.reason(data, [hx, *every])
    if why is not None:
        module.check_default(why)
        _fallback.tell(why)
        return _fallback.run_packed(module, data, sizes, hx, every)
    needs = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (data, hx, *every))
    if needs or not is_plain(data, hx, *every) or module._is_autocast(data) or (module.dropout and module.training):
        return _through_rows(module, PackedSequence(data, sizes), hx)
    module._check_types(data, hx, layers[0])
    last = []
    for k, weights in enumerate(layers):
        packed, text = module._packed_layer(k, data, weights, True)
        data, hT = _stretches(shape_of(text), data, sizes, hx[k * module._directions:(k + 1) * module._directions], packed)
        last.append(hT)
    return data, torch.cat(last)


def _through_rows(module: Any, given: PackedSequence, hx: Tensor) -> tuple[Tensor, Tensor]:
    x, lengths = pad_packed_sequence(given)
    y, hT = module._run(x, hx, lengths.to(torch.int32))
    return pack_padded_sequence(y, lengths).data, hT


def _parts(sizes: Tensor) -> Iterator[tuple[int, int, int]]:
    """First row, steps and sequences of each stretch of steps with equally many sequences."""
    counts, steps = torch.unique_consecutive(sizes, return_counts=True)
    first = 0
    for N, T in zip(counts.tolist(), steps.tolist()):
        yield first, T, N
        first += T * N


def _stretches(shape: Shape, data: Tensor, sizes: Tensor, h0: Tensor, packed: Tensor) -> tuple[Tensor, Tensor]:
    """One call for each stretch, with the state updated in place: rows that have ended are behind those that go on."""
    lib, D, H, I = library(), shape.directions, shape.hidden, shape.inputs
    data = data.contiguous()
    y, hT, parts = data.new_empty(data.shape[0], D * H), h0.clone(memory_format=torch.contiguous_format), list(_parts(sizes))
    weights = packed.data_ptr()
    for d in range(D):
        each = _plans.plan(shape, bool(d))
        need = each.sizes(len(sizes), int(sizes[0]))
        run = lib.new("gru_run")
        owner, run.workspace = _context.workspace(each.context, need.workspace)
        run.workspace_size, run.packed, run.h0 = need.workspace, weights, hT[d].data_ptr()
        run.hT = run.h0
        for first, T, N in reversed(parts) if d else parts:
            run.T, run.N, run.x.data = T, N, data.data_ptr() + first * I * each.element
            run.y.data = y.data_ptr() + (first * D + d) * H * each.element
            run.y.time_stride, run.y.batch_stride = N * D * H, D * H
            lib.call("gru_layer_forward", each.handle, ctypes.byref(run))
        del owner
        weights += each.packed
    return y, hT
