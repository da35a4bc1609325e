#!/usr/bin/env python3
"""Translates PTX into C++ for the emulator. The kernels, the opcodes and the planted faults are listed beside the C++.

usage: translate.py IN.ptx OUT.cpp [FAULTS]      writes OUT.cpp and OUT.json; FAULTS: a list as in faults.txt
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ptx_emit import Fault, translate
from ptx_parse import PtxError
from ptx_table import read_table


def read_faults(path: Path) -> list[Fault]:
    """Lines "NAME | KERNEL | PATTERN | REPLACEMENT | PROGRAM TEST | WORDS"; CMake reads the last two."""
    faults = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, entry, pattern, replacement = [column.strip() for column in line.split(" | ")][:4]
            faults.append(Fault(name, entry, pattern, replacement))
    return faults


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3):
        print(__doc__)
        return 2
    source, out = Path(arguments[0]), Path(arguments[1])
    faults = read_faults(Path(arguments[2])) if len(arguments) == 3 else []
    try:
        translation = translate(source.read_text(encoding="utf-8"), source.name, read_table(), faults)
    except PtxError as error:
        print(f"{error}\n(a new instruction needs a line in emulator/ptx/opcodes.txt, with its test)", file=sys.stderr)
        return 1
    lists = {
        "kernels": translation.kernels,
        "opcodes": sorted({form.opcode for form in translation.used}),
        "faults": sorted(translation.planted),
    }
    out.write_text(translation.code, encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
