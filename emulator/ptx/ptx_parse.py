"""Reads PTX: the kernels and functions of a module, with their parameters, shared arrays and statements."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
ENTRY = re.compile(r"\.(entry|func)\s+(?:\(([^)]*)\)\s*)?([\w$]+)\s*\(([^)]*)\)[^{;]*\{")
PARAMETER = re.compile(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)(?:\s+\.ptr[^,\n]*?)?\s+(\w+)(?:\[(\d+)\])?\s*(?:,|$)")
SHARED = re.compile(r"\.shared\s+\.align\s+\d+\s+\.(\w+)\s+([\w$]+)(\[(\d*)\])?$")
MODULE_SHARED = re.compile(r"^(?:\.extern\s+)?(\.shared[^;]*);", re.MULTILINE)
REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.+)$", re.DOTALL)
INSTRUCTION = re.compile(r"(?:@(!?)(%?\w+)\s+)?([\w.:]+)\s*(.*)$", re.DOTALL)
LABEL = re.compile(r"\s*([$\w]+):(?!:)")
IGNORED = {".pragma", ".loc", ".file"}


class PtxError(Exception):
    """A sentence about PTX that cannot be translated."""


def bits_of(kind: str) -> int:
    """Bits of a PTX type; pred has 1."""
    if not re.fullmatch(r"pred|[usbf](8|16|32|64)", kind):
        raise PtxError(f"type {kind}")
    return 1 if kind == "pred" else int(kind[1:])


@dataclass
class Parameter:
    name: str
    bytes: int
    align: int


@dataclass
class Statement:
    """One of: '{', '}', a label, registers, memory for parameters of a call, an instruction."""

    line: int
    kind: str
    text: str = ""
    guard: str = ""  # "", "%p1" or "!%p1"
    opcode: str = ""
    operands: list[str] = field(default_factory=list)
    registers: list[tuple[str, str]] = field(default_factory=list)  # type, name


@dataclass
class Entry:
    """A kernel or a function."""

    kind: str  # "entry" or "func"
    name: str
    result: list[Parameter]  # of a function: one or none
    parameters: list[Parameter]
    shared: dict[str, int]  # bytes of each array; 0: the launch's
    statements: list[Statement]


def split_operands(text: str) -> list[str]:
    """At commas outside of braces, brackets and parentheses."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += (letter in "{[(") - (letter in "}])")
        if letter == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return parts + [last] if last else parts


def registers_of(kind: str, names: str) -> list[tuple[str, str]]:
    """%r<3> is %r0, %r1 and %r2."""
    found = []
    for name in split_operands(names):
        several = re.fullmatch(r"(%?\w+)<(\d+)>", name)
        if several:
            found += [(kind, f"{several[1]}{i}") for i in range(int(several[2]))]
        else:
            found.append((kind, name))
    return found


def statement_of(text: str, line: int) -> Statement:
    if text.startswith(".reg"):
        match = REGISTERS.match(text)
        if match:
            return Statement(line, "registers", registers=registers_of(match[1], match[2]))
    if text.startswith("."):
        return Statement(line, "memory" if text.startswith(".param") else "directive", text)
    match = INSTRUCTION.match(text)
    if not match:
        raise PtxError(f"line {line}: no instruction: {text}")
    return Statement(line, "instruction", text, (match[1] or "") + (match[2] or ""), match[3], split_operands(match[4]))


def body_of(text: str, start: int) -> tuple[list[Statement], int]:
    """The statements from behind an opening brace up to its closing one, which lies at the second result."""
    statements: list[Statement] = []
    at, depth, line, seen = start, 0, text.count("\n", 0, start) + 1, start
    while True:
        while text[at].isspace():
            at += 1
        line += text.count("\n", seen, at)
        seen = at
        label = LABEL.match(text, at)
        if label:
            statements.append(Statement(line, "label", label[1]))
            at = label.end()
        elif text[at] == "{":
            statements.append(Statement(line, "{"))
            depth, at = depth + 1, at + 1
        elif text[at] == "}" and depth == 0:
            return statements, at
        elif text[at] == "}":
            statements.append(Statement(line, "}"))
            depth, at = depth - 1, at + 1
        else:
            end = text.index(";", at)
            statements.append(statement_of(text[at:end].strip(), line))
            at = end + 1


def parameters_of(text: str, entry: str) -> list[Parameter]:
    found = []
    for align, kind, name, count in PARAMETER.findall(text.strip()):
        size = bits_of(kind) // 8
        found.append(Parameter(name, size * int(count or 1), int(align or size)))
    if len(found) != text.count(".param"):
        raise PtxError(f"{entry}: parameters that are not understood: {text.strip()}")
    return found


def take_shared(entry: Entry, line: int, text: str) -> None:
    match = SHARED.match(text)
    if not match:
        raise PtxError(f"line {line}: a directive that is not understood: {text}")
    count = int(match[4] or 0) if match[3] else 1
    entry.shared[match[2]] = bits_of(match[1]) // 8 * count


def parse(ptx: str) -> list[Entry]:
    text = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), ptx)
    entries: list[Entry] = []
    arrays: list[str] = []
    at = 0
    for match in ENTRY.finditer(text):
        arrays += [m[1] for m in MODULE_SHARED.finditer(text, at, match.start())]
        body, at = body_of(text, match.end())
        result, parameters = (parameters_of(part or "", match[3]) for part in (match[2], match[4]))
        entry = Entry(match[1], match[3], result, parameters, {}, [])
        for array in arrays:
            take_shared(entry, 0, array)
        words = set(re.findall(r"[\w$]+", text[match.end() : at]))
        entry.shared = {name: size for name, size in entry.shared.items() if name in words}
        for statement in body:
            if statement.kind != "directive":
                entry.statements.append(statement)
            elif statement.text.split()[0] not in IGNORED:
                take_shared(entry, statement.line, statement.text)
        entries.append(entry)
    return entries
