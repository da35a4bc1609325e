"""Reads machine code as cuobjdump -sass prints it: instructions with their control codes."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_FIRST = re.compile(r"\s+/\*([0-9a-f]{4,5})\*/\s+(.*?)\s*;\s*/\* (0x[0-9a-f]{16}) \*/")
_SECOND = re.compile(r"/\* (0x[0-9a-f]{16}) \*/")
_PREDICATE = re.compile(r"@(!?)(U?P(?:\d|T))\s+")
_CONTROL_BIT = 105


@dataclass(frozen=True)
class Instruction:
    """One instruction: what it does, and what its control code says about when it may be issued."""

    address: int
    name: str
    operands: tuple[str, ...]
    predicate: str = ""  # "" always
    negated: bool = False
    stall: int = 1  # cycles until the next instruction
    write_barrier: int = 7  # freed when the result is there; 7: none
    read_barrier: int = 7  # freed when the operands have been read
    waits: int = 0  # mask of barriers

    @property
    def opcode(self) -> str:
        return self.name.split(".", 1)[0]


@dataclass
class Kernel:
    name: str
    code: list[Instruction] = field(default_factory=list)


def _split_operands(text: str) -> tuple[str, ...]:
    """At commas that stand outside brackets."""
    parts: list[str] = []
    depth, start = 0, 0
    for i, letter in enumerate(text):
        depth += (letter in "[({") - (letter in "])}")
        if letter == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    rest = text[start:].strip()
    return tuple([*parts, rest] if rest else parts)


def _instruction(address: int, text: str, low: int, high: int) -> Instruction:
    predicate, negated = "", False
    found = _PREDICATE.match(text)
    if found:
        predicate, negated = found.group(2), found.group(1) == "!"
        text = text[found.end() :]
    name, _, rest = text.strip().partition(" ")
    control = (low | high << 64) >> _CONTROL_BIT
    return Instruction(
        address,
        name,
        _split_operands(rest.strip()),
        predicate,
        negated,
        max(1, control & 15),
        control >> 5 & 7,
        control >> 8 & 7,
        control >> 11 & 63,
    )


def parse(listing: str) -> list[Kernel]:
    """All kernels of a listing."""
    kernels: list[Kernel] = []
    lines = iter(listing.splitlines())
    for line in lines:
        if "Function :" in line:
            kernels.append(Kernel(line.split("Function :", 1)[1].strip()))
            continue
        first = _FIRST.match(line)
        if first and kernels:
            second = _SECOND.search(next(lines))
            if not second:
                raise ValueError(f"no second half of the instruction at {first.group(1)} in {kernels[-1].name}")
            kernels[-1].code.append(
                _instruction(int(first.group(1), 16), first.group(2), int(first.group(3), 16), int(second.group(1), 16))
            )
    return kernels


def disassemble(cuobjdump: str, library: Path, architecture: str) -> list[Kernel]:
    """The kernels of a library or object file for one architecture."""
    command = [cuobjdump, "-sass", "-arch", architecture, str(library)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kernels = parse(listing)
    if not kernels:
        raise ValueError(f"{library} has no kernel for {architecture}")
    return kernels
