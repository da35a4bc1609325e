"""A layer of Keras on libgru with the backend PyTorch."""
from __future__ import annotations

from typing import Any

import torch

from libgru.torch import _fallback, _train
from libgru.torch._plans import TYPES, Shape


def reason(x: Any, kernel: Any) -> str | None:
    found = _fallback.reason(kernel, [x] if isinstance(x, torch.Tensor) else [])
    return "a model is being described" if found is None and kernel.device.type == "meta" else found


def run(x: Any, h0: Any, weights: tuple[Any, ...], mask: Any, threads: int, words: dict[str, Any]) -> tuple[Any, Any]:
    H, io = h0.shape[-1], TYPES[x.dtype]
    layer = Shape(x.shape[2], H, False, **words, io=io, packed=io).text()
    steps = None if mask is None else mask.contiguous()
    given = [weight.contiguous() for weight in weights]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, h0, *given)):
        y, hT = _train.train(x, h0[None], [given], steps, [layer])
    else:
        y, hT = torch.ops.libgru.infer(x, h0[None], torch.ops.libgru.pack(given, layer), steps, layer)
    return y, hT[0]
