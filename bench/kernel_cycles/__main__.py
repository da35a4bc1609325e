"""Prints the cycles of step kernels in the machine code of a library, from the model of model.py.

usage: python3 -m bench.kernel_cycles [--cuobjdump PATH] [--launches PATH] [--name TEXT] LIBRARY

Not a measurement. scripts/check_cycles.sh builds what this needs, and compares the table with the committed one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from .machine import run
from .model import Count, count
from .sass import Kernel, disassemble

ARCHITECTURE = "sm_90a"
PARAMETERS = 0x210  # where a kernel's argument begins in constant bank 0, for compute capability 9.0
CYCLES_A_MICROSECOND = 1900


def constants_of(argument: bytes) -> dict[tuple[int, int], int]:
    """Bank 0 of a launch of 256 threads with this argument."""
    constants = {(0, 0): 256, (0, 4): 1, (0, 8): 1}
    for offset in range(0, len(argument), 4):
        constants[0, PARAMETERS + offset] = int.from_bytes(argument[offset : offset + 4], "little")
    return constants


def find(kernels: list[Kernel], part: str) -> Kernel:
    """The kernel whose mangled name contains the part behind an underscore or digit that begins it."""
    found = [kernel for kernel in kernels if part in kernel.name]
    if len(found) != 1:
        raise ValueError(f"{len(found)} kernels are called {part}, expected one")
    return found[0]


def row(name: str, result: Count) -> str:
    """One line of the table."""
    return (
        f"{name:<28} {result.before.cycles:6} {result.mainloop.cycles:9} {result.epilogue.cycles:9} "
        f"{result.behind_wait:6} {result.behind_wait / CYCLES_A_MICROSECOND:6.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("--launches", default="build-cuda/launches", help="the program made of tests/cuda/print_launches.c")
    parser.add_argument("--name", default="", help="only launches whose name contains this text")
    parser.add_argument("library", type=Path)
    options = parser.parse_args()
    kernels = disassemble(options.cuobjdump, options.library, ARCHITECTURE)
    launches = subprocess.run([options.launches], check=True, capture_output=True, text=True).stdout
    print(f"{'step':<28} {'before':>6} {'main loop':>9} {'epilogue':>9} {'behind':>6} {'us':>6}")
    for line in launches.splitlines():
        name, part, argument = line.split()
        if options.name in name:
            print(row(name, count(run(find(kernels, part), constants_of(bytes.fromhex(argument))))))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
