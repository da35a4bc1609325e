"""The table of opcodes, opcodes.txt: what each instruction is in C++, and its test."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ptx_parse import PtxError

TYPE = re.compile(r"\[(global|shared|param|generic)\]|label|pred|([usf](8|16|32|64))(x[24])?|u32\+pred")


@dataclass(frozen=True)
class Form:
    """One line. Operands are named a, b, c, d, e in the expression."""

    line: int
    opcode: str
    result: str  # a type; "": none
    operands: tuple[str, ...]
    expression: str
    test: str  # values, or "kernels": instructions of several threads, which the emulator's own kernels test


def arity(kind: str) -> int:
    """Registers of an operand of this type."""
    if kind == "u32+pred":
        return 2
    return int(kind[-1]) if re.search(r"x[24]$", kind) else 1


def element(kind: str) -> str:
    return re.sub(r"x[24]$", "", kind)


def form_of(line: int, text: str) -> Form:
    columns = [column.strip() for column in text.split(" | ")]
    if len(columns) < 4 or "=" not in columns[1]:
        raise PtxError(f"opcodes.txt:{line}: expected opcode | result = operands | C++ | test")
    result, operands = columns[1].split("=")
    expression = " | ".join(columns[2:-1])
    form = Form(line, columns[0], result.strip(), tuple(operands.split()), expression, columns[-1])
    for kind in (form.result, *form.operands):
        if kind and not TYPE.fullmatch(kind):
            raise PtxError(f"opcodes.txt:{line}: {kind} is no type")
    return form


class Table:
    def __init__(self, text: str) -> None:
        self.forms: list[Form] = []
        self.by_opcode: dict[str, list[Form]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                form = form_of(number, line)
                self.forms.append(form)
                self.by_opcode.setdefault(form.opcode, []).append(form)

    def find(self, opcode: str, arities: list[int]) -> Form | None:
        """The form with operands of so many registers each, the result's first."""
        for form in self.by_opcode.get(opcode, []):
            kinds = ([form.result] if form.result else []) + list(form.operands)
            if [arity(kind) for kind in kinds] == arities:
                return form
        return None


def read_table() -> Table:
    return Table((Path(__file__).parent / "opcodes.txt").read_text(encoding="utf-8"))
