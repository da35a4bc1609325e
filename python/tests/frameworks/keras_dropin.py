"""A plugin of pytest: Keras' own tests with libgru enabled. At the end it prints how many calls libgru ran."""
from __future__ import annotations

from typing import Any

import libgru.keras
from libgru.keras import _enable

calls = 0
_run = _enable._run


def _counted(*given: Any) -> Any:
    global calls
    calls += 1
    return _run(*given)


_enable._run = _counted
libgru.keras.enable()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"libgru ran {calls} calls")
