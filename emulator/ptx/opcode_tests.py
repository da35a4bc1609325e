#!/usr/bin/env python3
"""Writes the tests of opcodes.txt: a kernel of one thread for each line with values, and the values for self_opcodes.cpp.

usage: opcode_tests.py OUT.ptx OUT.inc
       opcode_tests.py covered MODULE.json...     fails where a line marked "kernels" is in none of these modules
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

from ptx_parse import PtxError, bits_of
from ptx_table import Form, arity, element, read_table

MEMORY, RESULTS, INPUTS = 64, 128, 16  # offsets: in the memory, in the memory, in the parameters


def register_bits(kind: str) -> int:
    return 1 if kind == "pred" else max(bits_of(kind), 16)


def word(kind: str, text: str) -> int:
    """The bits of a value in a register of this type."""
    mask = (1 << register_bits(kind)) - 1
    if kind == "f32" and not text.startswith("0x"):
        return int(struct.unpack("<I", struct.pack("<f", float(text)))[0])
    return int(text, 0) & mask


class Case:
    def __init__(self, form: Form) -> None:
        self.form = form
        self.name = f"form_{form.line}"
        values, expected = form.test.split("=")
        self.values, self.wanted = values.split(), expected.split()
        self.inputs: list[int] = []
        self.lines: list[str] = []
        self.counts = {16: 0, 32: 0, 64: 0, 1: 0}
        self.expected: list[int] = []

    def register(self, kind: str) -> str:
        bits = register_bits(kind)
        self.counts[bits] += 1
        return {1: "%p", 16: "%rs", 32: "%r", 64: "%rd"}[bits] + str(self.counts[bits])

    def take(self, kind: str) -> str:
        """A register with the next value."""
        if not self.values:
            raise PtxError(f"opcodes.txt:{self.form.line}: the test has too few values")
        at = f"[{self.name}_param_0+{INPUTS + 8 * len(self.inputs)}]"
        self.inputs.append(word(kind, self.values.pop(0)))
        name = self.register(kind)
        if kind == "pred":
            number = self.register("u32")
            self.lines += [f"ld.param.u32 {number}, {at};", f"setp.ne.b32 {name}, {number}, 0;"]
        elif register_bits(kind) == 16:
            self.lines.append(f"ld.param.u16 {name}, {at};")
        else:
            self.lines.append(f"ld.param.b{register_bits(kind)} {name}, {at};")
        return name

    def vector(self, kind: str) -> str:
        names = [self.take(element(kind)) for _ in range(arity(kind))]
        return names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"

    def place(self, space: str, offset: int = 0) -> str:
        return f"[{self.name}_shared+{offset}]" if space == "[shared]" else f"[%rd0+{MEMORY + offset}]"

    def address(self, space: str) -> str:
        """Where the values of the result lie; for a store, the place alone."""
        if self.form.result:
            kind = self.form.result
            if space == "[param]":
                at = INPUTS + 8 * len(self.inputs)
                packed = 0
                for i in range(arity(kind)):
                    packed |= word(element(kind), self.values.pop(0)) << i * bits_of(element(kind))
                self.inputs += [packed & (1 << 64) - 1]
                return f"[{self.name}_param_0+{at}]"
            for i in range(arity(kind)):
                self.move("st", space, i, element(kind), self.take(element(kind)))
        return self.place(space)

    def move(self, what: str, space: str, index: int, kind: str, name: str) -> None:
        where = "shared" if space == "[shared]" else "global"
        bits = bits_of(kind)
        at = self.place(space, index * bits // 8)
        self.lines.append(f"{what}.{where}.b{bits} {', '.join([at, name] if what == 'st' else [name, at])};")

    def store_result(self, index: int, kind: str, name: str) -> None:
        bits = register_bits(kind)
        if kind == "pred":
            number = self.register("u32")
            self.lines.append(f"selp.u32 {number}, 1, 0, {name};")
            name, bits = number, 32
        self.lines.append(f"st.global.b{bits} [%rd0+{RESULTS + 8 * index}], {name};")
        self.expected.append(word(kind, self.wanted[index]))

    def write(self) -> None:
        form = self.form
        operands = [self.address(kind) if kind.startswith("[") else self.vector(kind) for kind in form.operands]
        kind = form.result or form.operands[1]
        count = arity(kind)
        names = [self.register(element(kind)) for _ in range(count)]
        if form.result:
            operands.insert(0, names[0] if count == 1 else "{" + ", ".join(names) + "}")
        self.lines.append(f"{form.opcode} {', '.join(operands)};")
        for i, name in enumerate(names):
            if not form.result:
                self.move("ld", form.operands[0], i, element(kind), name)
            self.store_result(i, element(kind), name)
        if self.values or len(self.wanted) != count:
            raise PtxError(f"opcodes.txt:{form.line}: the test has values left, or another number of results")

    def kernel(self) -> str:
        space = f".shared .align 16 .b8 {self.name}_shared[64];\n" if "[shared]" in self.form.operands else ""
        registers = ".reg .pred %p<9>; .reg .b16 %rs<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
        head = f".visible .entry {self.name}(.param .align 16 .b8 {self.name}_param_0[128])\n{{\n"
        first = f"ld.param.u64 %rd0, [{self.name}_param_0];\n"
        return head + registers + space + first + "\n".join(self.lines) + "\nret;\n}\n"

    def row(self) -> str:
        def numbers(values: list[int]) -> str:
            return "{" + ", ".join(f"{value:#x}u{'ll' if value >> 32 else ''}" for value in values) + "}"

        floats = "true" if (self.form.result or self.form.operands[-1]).startswith("f32") else "false"
        return f'{{"{self.form.opcode}", {self.form.line}, "{self.name}", {numbers(self.inputs)}, {numbers(self.expected)}, {floats}}},'


def write_tests(ptx: Path, rows: Path) -> None:
    cases = [Case(form) for form in read_table().forms if form.test != "kernels"]
    for case in cases:
        case.write()
    ptx.write_text("\n".join(case.kernel() for case in cases), encoding="utf-8")
    rows.write_text("\n".join(case.row() for case in cases) + "\n", encoding="utf-8")


def uncovered(modules: list[Path]) -> list[str]:
    seen: set[str] = set()
    for module in modules:
        seen |= set(json.loads(module.read_text(encoding="utf-8"))["opcodes"])
    return [f"opcodes.txt:{f.line}: {f.opcode} is in none of the emulator's own kernels"
            for f in read_table().forms if f.test == "kernels" and f.opcode not in seen]


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["covered"] and len(arguments) > 1:
            missing = uncovered([Path(path) for path in arguments[1:]])
            print("\n".join(missing) or "every instruction of several threads is in a kernel")
            return 1 if missing else 0
        if len(arguments) == 2:
            write_tests(Path(arguments[0]), Path(arguments[1]))
            return 0
    except PtxError as error:
        print(error, file=sys.stderr)
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
