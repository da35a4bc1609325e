"""A plugin of pytest: PyTorch's own test files with libgru.torch.GRU as torch.nn.GRU. At the end it prints how many calls libgru ran.
The files may be older than the PyTorch that is installed: names that they import and no longer exist are made up."""
from __future__ import annotations

from typing import Any

import torch

import libgru.torch
from libgru.torch import _plans

GRU = libgru.torch.GRU
GRU.__module__, GRU.__qualname__ = "torch.nn", "GRU"    # names of tests have the module's
torch.nn.GRU = torch.nn.modules.GRU = torch.nn.modules.rnn.GRU = GRU    # before torch.testing lists the modules

from torch.testing._internal import common_cuda, common_mkldnn, common_nn    # noqa: E402

GONE = {common_nn: {"new_module_tests": []}, common_cuda: {"tf32_is_not_fp32": lambda: False},
        common_mkldnn: {"bf32_on_and_off": lambda *_, **__: lambda function: function}}
for module, names in GONE.items():
    for name, value in names.items():
        if not hasattr(module, name):
            setattr(module, name, value)

calls = 0
_forward = _plans.forward


def _counted(*given: Any) -> Any:
    global calls
    calls += 1
    return _forward(*given)


_plans.forward = _counted


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"libgru ran {calls} calls")
