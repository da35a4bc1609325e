#!/usr/bin/env python3
"""Checks that each translated kernel, or one of each source, ran in one of the tests of a build.

usage: check_ran.py kernel|source FOLDER MODULE.json...

Each test wrote FOLDER/TEST.SEED; what is older than the modules does not count.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    if len(arguments) < 3 or arguments[0] not in ("kernel", "source"):
        print(__doc__)
        return 2
    modules = [Path(argument) for argument in arguments[2:]]
    newest = max(module.stat().st_mtime for module in modules)
    ran: set[str] = set()
    for path in Path(arguments[1]).iterdir():
        if path.stat().st_mtime >= newest:
            ran |= set(path.read_text(encoding="utf-8").split())
    never, count = [], 0
    for module in modules:
        kernels = set(json.loads(module.read_text(encoding="utf-8"))["kernels"])
        count += len(kernels)
        if arguments[0] == "kernel":
            never += sorted(kernels - ran)
        elif not kernels & ran:
            never.append(module.stem)
    for name in never:
        print(f"never ran: {name}")
    print(f"{len(ran)} of {count} kernels ran")
    return 1 if never or not ran else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
