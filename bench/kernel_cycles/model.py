"""Counts the cycles of a step kernel's phases from the instructions that one thread issues.

The model is of one warp that is issued in order, on its scheduler with the other warp of its block:

- An instruction waits for the barriers in its control code, and the next one is issued after its stall count.
- A result of variable latency frees its barrier after the latency below.
- A phase takes no less than the issue slots of both warps, and no less than their tensor-core products.

Latencies are published measurements of an H100, none is this library's. Bandwidth, bank conflicts, misses of the instruction
cache and other blocks are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .sass import Instruction

L2 = 280
_LATENCY = {
    "LDG": L2,
    "LD": 230,  # generic: distributed shared memory
    "LDS": 30,
    "LDSM": 33,
    "LDC": 38,
    "ULDC": 12,
    "LDL": 80,
    "MUFU": 24,
    "S2R": 30,
    "S2UR": 30,
    "SHFL": 24,
    "HMMA": 33,
    "ATOMG": 500,
}
_OTHER = 24
_MEMBAR_GPU, _CLUSTER_BARRIER, _BRANCH = 500, 190, 10
_OPERANDS_READ = 20
_WARPS = 2  # of a block of 256 threads on each of four schedulers
_HMMA = 6.1  # cycles of a scheduler's tensor core for m16n8k16: 2680 operations a cycle of a multiprocessor
_BARRIERS = ("BAR", "UCGABAR_WAIT")


@dataclass
class Phase:
    path: int = 0  # cycles of one warp
    issued: int = 0
    products: int = 0

    @property
    def cycles(self) -> int:
        return round(max(self.path, _WARPS * self.issued, _WARPS * self.products * _HMMA))


@dataclass
class Count:
    """The phases of a step, divided by the dependency wait and by the barrier behind which all sums are there."""

    before: Phase
    mainloop: Phase
    epilogue: Phase

    @property
    def behind_wait(self) -> int:
        return self.mainloop.cycles + self.epilogue.cycles


class _Clock:
    """The time at which each instruction of a warp is issued."""

    def __init__(self) -> None:
        self.now = 0
        self.barriers = [0] * 6
        self.copies: list[int] = []  # when each committed group of copies is there
        self.copying = 0
        self.arrival = 0

    def issue(self, i: Instruction, branches: bool) -> None:
        for barrier in range(6):
            if i.waits >> barrier & 1:
                self.now = max(self.now, self.barriers[barrier])
        self._special(i)
        if i.write_barrier < 6:
            done = self.now + _LATENCY.get(i.opcode, _OTHER)
            self.barriers[i.write_barrier] = max(self.barriers[i.write_barrier], done)
        if i.read_barrier < 6:
            self.barriers[i.read_barrier] = max(self.barriers[i.read_barrier], self.now + _OPERANDS_READ)
        self.now += i.stall + (_BRANCH if branches else 0)

    def _special(self, i: Instruction) -> None:
        if i.opcode == "LDGSTS":
            self.copying = max(self.copying, self.now + L2)
        elif i.opcode == "LDGDEPBAR":
            self.copies.append(self.copying)
            self.copying = 0
        elif i.name == "DEPBAR.LE" and i.operands[0] == "SB0":
            left = int(i.operands[1], 16) if len(i.operands) > 1 else 0
            there = self.copies[: len(self.copies) - left] if left else self.copies
            self.now = max([self.now, *there])
        elif i.opcode == "MEMBAR" and ".GPU" in i.name:
            self.now += _MEMBAR_GPU
        elif i.opcode == "UCGABAR_ARV":
            self.arrival = self.now
        elif i.opcode == "UCGABAR_WAIT":
            self.now = max(self.now, self.arrival + _CLUSTER_BARRIER)


def count(issued: Iterable[tuple[Instruction, bool]]) -> Count:
    """The cycles of each phase."""
    steps = list(issued)
    wait = next((k for k, (i, _) in enumerate(steps) if i.opcode == "ACQBULK"), 0)
    stored = next((k for k, (i, _) in enumerate(steps) if k > wait and i.opcode in ("STG", "ST")), len(steps))
    sums = max((k for k, (i, _) in enumerate(steps[:stored]) if i.opcode in _BARRIERS), default=wait)
    clock = _Clock()
    phases = [Phase(), Phase(), Phase()]
    for k, (instruction, branches) in enumerate(steps):
        phase = phases[(k > wait) + (k > sums)]
        start = clock.now
        clock.issue(instruction, branches)
        phase.path += clock.now - start
        phase.issued += 1
        phase.products += instruction.opcode == "HMMA"
    return Count(*phases)
