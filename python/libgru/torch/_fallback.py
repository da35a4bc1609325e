"""When PyTorch's own GRU runs instead: because the caller wants it, or because libgru cannot do what is asked."""
from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils._expanded_weights.expanded_weights_impl import ExpandedWeight

from libgru._errors import Unsupported
from libgru.torch._plans import TYPES

depth = 0    # a plain number, because torch.compile guards on it


@contextlib.contextmanager
def fallback() -> Iterator[None]:
    """Inside it, in all threads, every libgru.torch.GRU runs PyTorch's own GRU: for second derivatives, or to compare. Layers
    whose variant PyTorch lacks raise Unsupported there."""
    global depth
    depth += 1
    try:
        yield
    finally:
        depth -= 1


def _in_transform(tensors: Sequence[Tensor]) -> bool:
    """Forward differentiation and functions of torch.func, under which an operator's gradient may be asked for in another way
    than libgru has it."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    from torch.autograd import forward_ad
    if getattr(forward_ad, "_current_level", -1) < 0:
        return False
    return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)


def reason(x: Tensor, tensors: Sequence[Tensor]) -> str | None:
    """Why libgru does not run this call; None: it runs it. x: the input. tensors: all else that the call reads."""
    if depth:
        return "it was asked for by fallback()"
    if x.device.type not in ("cpu", "meta"):
        return f"libgru.torch runs on the CPU, and the input is on {x.device.type}"
    if x.dtype not in TYPES:
        return f"libgru has no type {x.dtype}"
    if torch.compiler.is_compiling():
        return None
    if torch._C._get_tracing_state() is not None:
        return "torch.jit.trace records PyTorch's own operators"
    if _in_transform([x, *tensors]):
        return "functions of torch.func and forward differentiation need PyTorch's own operators"
    if ExpandedWeight in map(type, tensors):
        return "gradients per sample by expanded weights need PyTorch's own operators"
    return None


_told: set[str] = set()


def tell(why: str) -> None:
    """Once for each reason that the caller may not know of."""
    if why.startswith("libgru") and why not in _told and not torch.compiler.is_compiling():
        _told.add(why)
        warnings.warn(f"{why}: PyTorch's own GRU runs instead", stacklevel=4)


def check_default(is_default: bool, why: str) -> None:
    if not is_default:
        raise Unsupported(f"{why}, and PyTorch's own GRU has no such variant: reset, update, gate, candidate, clip and "
                          "inference_weights must be the defaults there")


def run(module: Any, x: Tensor, hx: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """PyTorch's own GRU. x is [T, N, I]."""
    y, hT = torch._VF.gru(x, hx, weights, module.bias, module.num_layers, module.dropout, module.training,
                          module.bidirectional, False)
    return y, hT


def run_packed(module: Any, data: Tensor, sizes: Tensor, hx: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The same for the data of a PackedSequence."""
    y, hT = torch._VF.gru(data, sizes, hx, weights, module.bias, module.num_layers, module.dropout, module.training,
                          module.bidirectional)
    return y, hT
