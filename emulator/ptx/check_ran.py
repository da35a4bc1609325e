#!/usr/bin/env python3
"""Checks that each translated kernel ran in one of the tests of a build.

usage: check_ran.py FOLDER MODULE.json...      each test wrote FOLDER/TEST; what is older than the modules does not count
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__)
        return 2
    modules = [Path(argument) for argument in arguments[1:]]
    newest = max(module.stat().st_mtime for module in modules)
    kernels: set[str] = set()
    for module in modules:
        kernels |= set(json.loads(module.read_text(encoding="utf-8"))["kernels"])
    ran: set[str] = set()
    for path in Path(arguments[0]).iterdir():
        if path.stat().st_mtime >= newest:
            ran |= set(path.read_text(encoding="utf-8").split())
    never = sorted(kernels - ran)
    for name in never:
        print(f"never ran: {name}")
    print(f"{len(kernels & ran)} of {len(kernels)} kernels ran")
    return 1 if never or not kernels else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
