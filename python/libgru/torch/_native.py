"""The extension libgru_torch.so: the calls of _plans.py on PyTorch's stable ABI, without the time that Python and ctypes take for them.
It is there where the package was built beside torch 2.10 or later; without it everything works, and gives the same bits."""
from __future__ import annotations

import os
import re
import warnings
from typing import Any

import torch

from libgru._errors import BY_STATUS, Error
from libgru._library import HERE


def _load() -> Any:
    """The operators, or None. LIBGRU_LIBRARY names a library that the extension is not linked with."""
    path = HERE / "libgru_torch.so"
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < (2, 10) or not path.is_file() or "LIBGRU_LIBRARY" in os.environ:
        return None
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        warnings.warn(f"{path} cannot be loaded, so that small calls take longer: {error}", stacklevel=2)
        return None
    return torch.ops.libgru_calls


operators = _load()    # None: _plans.py calls the C library itself


def call(operator: Any, *given: Any) -> Any:
    """Calls one of the operators. Raises the exceptions of the package."""
    try:
        return operator.default(*given)
    except RuntimeError as error:
        found = re.match(r"libgru (\d+): (.*)", str(error))
        if found is None:
            raise
        raise BY_STATUS.get(int(found[1]), Error)(found[2]) from None
