"""libgru in PyTorch: `GRU`, a drop-in for torch.nn.GRU; `replace(model)`, which swaps every nn.GRU of a model; `fallback()`,
inside which PyTorch's own GRU runs. Needs torch 2.4 or later."""
from libgru._errors import NotBuilt

try:
    import torch as _torch
except ImportError as _error:
    raise NotBuilt(f"libgru.torch needs the package torch: {_error}") from _error
if tuple(int(_part) for _part in _torch.__version__.split(".")[:2]) < (2, 4):
    raise NotBuilt(f"libgru.torch needs torch 2.4 or later, and this is {_torch.__version__}")

from libgru.torch._fallback import fallback    # noqa: E402
from libgru.torch._module import GRU           # noqa: E402
from libgru.torch._replace import replace      # noqa: E402

__all__ = ["GRU", "fallback", "replace"]
