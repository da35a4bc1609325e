"""Writes a kernel of PTX as a C++ function that one emulated thread runs: registers are variables, labels stay labels.

A function of PTX becomes one that takes the addresses of its result and of its parameters, which are memory of its caller."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ptx_parse import Entry, PtxError, Statement, bits_of, parameters_of, parse, split_operands
from ptx_table import Form, Table, arity, element

SPECIAL = {
    "%tid": "threadIdx",
    "%ctaid": "blockIdx",
    "%ntid": "blockDim",
    "%nctaid": "gridDim",
    "%laneid": "emu::self->lane",
    "%cluster_ctarank": "emu::self->cluster_rank",
    "%cluster_nctarank": "emu::self->cluster_size",
    "%envreg1": "(grid_workspace() >> 32)",
    "%envreg2": "grid_workspace()",
}
ADDRESS = re.compile(r"\[\s*([%$\w]+)\s*(?:\+\s*(-?\d+))?\s*\]$")
INTEGER = re.compile(r"-?(0x[0-9a-fA-F]+|\d+)U?$")
FLOAT = re.compile(r"0[fF]([0-9a-fA-F]{8})$|0[dD]([0-9a-fA-F]{16})$")


@dataclass
class Fault:
    """In the kernels whose name has the pattern entry, the text of an instruction is changed, where GRU_TEST_FAULT names it."""

    name: str
    entry: str
    pattern: str
    replacement: str  # "": the instruction is left out


def identifier(name: str) -> str:
    return re.sub(r"\W", "_", name.lstrip("%"))


def variable(register: str) -> str:
    """Its name; the underscore keeps %f32 apart from the type f32."""
    return identifier(register) + "_"


def storage(kind: str) -> str:
    return "pred" if kind == "pred" else f"u{bits_of(kind)}"


class Writer:
    """One kernel or function. functions: the C++ names of those that it may call."""

    def __init__(self, entry: Entry, table: Table, source: str, faults: Iterable[Fault], functions: dict[str, str]) -> None:
        self.entry, self.table, self.source, self.functions = entry, table, source, functions
        self.faults = [fault for fault in faults if re.search(fault.entry, entry.name)]
        self.scopes: list[dict[str, str]] = [{}]  # registers with their types
        self.used: set[Form] = set()
        self.planted: set[str] = set()
        self.memory: set[str] = set()  # variables whose value is an address
        if entry.kind == "func":
            self.memory = {p.name for p in entry.result + entry.parameters}
        offset, self.offsets = 0, {}
        for parameter in entry.parameters if entry.kind == "entry" else []:
            offset = (offset + parameter.align - 1) // parameter.align * parameter.align
            self.offsets[parameter.name] = offset
            offset += parameter.bytes
        self.parameter_bytes = offset

    def register(self, name: str) -> str:
        """The type of a register; "": it is none."""
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), "")

    # ---- operands ----

    def integer(self, kind: str, value: int) -> str:
        bits = bits_of(kind)
        return f"({kind}){value & ((1 << bits) - 1):#x}{'ull' if bits == 64 else 'u'}"

    def constant(self, kind: str, text: str) -> str:
        found = FLOAT.match(text)
        if found:
            word = int(found[1] or found[2], 16)
            return f"as_{kind}({word:#x}u{'ll' if found[2] else ''})" if kind[0] == "f" else self.integer(kind, word)
        if INTEGER.match(text) and kind[0] != "f":
            return self.integer(kind, int(text.rstrip("U"), 0))
        raise PtxError(f"operand {text} as {kind}")

    def special(self, kind: str, text: str) -> str:
        name, _, axis = text.partition(".")
        if name not in SPECIAL:
            raise PtxError(f"special register {text}")
        return f"({kind}){SPECIAL[name]}{'.' + axis if axis else ''}"

    def scalar(self, kind: str, text: str) -> str:
        if text.startswith("!"):
            return "!" + self.scalar(kind, text[1:])
        has = self.register(text)
        if has:
            name = variable(text)
            if kind == "label" or (kind == "pred") != (has == "pred"):
                raise PtxError(f"operand {text}, of type {has}, as {kind}")
            if kind[0] == "f":
                return f"as_{kind}({name})"
            return name if kind == storage(has) else f"({kind}){name}"
        if kind == "label":
            return identifier(text)
        if text in self.entry.shared:
            return f"({kind})shared_{identifier(text)}"
        if text in self.memory:
            return f"({kind}){variable(text)}"
        if text in self.offsets:
            return f"({kind})(P.address() + {self.offsets[text]})"
        return self.special(kind, text) if text.startswith("%") else self.constant(kind, text)

    def address(self, space: str, text: str) -> str:
        found = ADDRESS.match(text)
        if not found:
            raise PtxError(f"address {text}")
        kind = "u32" if space == "[shared]" else "u64"
        return f"({self.scalar(kind, found[1])} + {self.integer(kind, int(found[2] or 0))})"

    def operand(self, kind: str, text: str) -> str:
        if kind.startswith("["):
            return self.address(kind, text)
        if arity(kind) > 1:
            return f"{kind}{{{', '.join(self.scalar(element(kind), part) for part in parts_of(text))}}}"
        return self.scalar(kind, text)

    # ---- results ----

    def assign(self, kind: str, text: str, value: str) -> str:
        if text == "_":
            return f"(void){value};"
        has = self.register(text)
        if not has or (kind == "pred") != (has == "pred"):
            raise PtxError(f"result {text} of type {kind}")
        if kind[0] == "f":
            return f"{variable(text)} = bits_of(({kind})({value}));"
        if kind == storage(has):
            return f"{variable(text)} = {value};"
        return f"{variable(text)} = ({storage(has)})({kind})({value});"  # extended by the instruction's type

    def results(self, kind: str, text: str, value: str) -> str:
        if kind == "u32+pred":
            data, flag = parts_of(text)
            return f"{{ const auto q = {value}; {self.assign('u32', data, 'q.data')} {self.assign('pred', flag, 'q.flag')} }}"
        if arity(kind) == 1:
            return self.assign(kind, text, value)
        each = (self.assign(element(kind), part, f"q.x[{i}]") for i, part in enumerate(parts_of(text)))
        return f"{{ const auto q = {value}; {' '.join(each)} }}"

    # ---- statements ----

    def form(self, statement: Statement) -> Form:
        form = self.table.find(statement.opcode, [len(parts_of(text)) for text in statement.operands])
        if not form:
            raise PtxError(f"no line of opcodes.txt serves {statement.text}")
        self.used.add(form)
        return form

    def call(self, statement: Statement) -> str:
        *results, name, arguments = statement.operands if statement.operands[-1][0] == "(" else [*statement.operands, "()"]
        if name not in self.functions:
            raise PtxError(f"a call of {name}, which is no function of the module")
        addresses = [self.scalar("u64", text) for part in [*results, arguments] for text in split_operands(part[1:-1])]
        return f"{self.functions[name]}({', '.join(addresses)});"

    def guarded(self, statement: Statement, code: str) -> str:
        return f"if ({self.scalar('pred', statement.guard)}) {{ {code} }}" if statement.guard else code

    def instruction(self, statement: Statement) -> str:
        if statement.opcode in ("call", "call.uni"):
            return self.guarded(statement, self.call(statement))
        form = self.form(statement)
        texts = statement.operands[1:] if form.result else statement.operands
        operands = dict(zip("abcdefg", map(self.operand, form.operands, texts)))
        operands["SITE"] = f'"{self.source}", {statement.line}'
        value = re.sub(r"\b([a-g]|SITE)\b", lambda m: operands[m[1]], form.expression)
        code = self.results(form.result, statement.operands[0], value) if form.result else f"{value};"
        return self.guarded(statement, code)

    def with_faults(self, statement: Statement, code: str) -> str:
        for fault in self.faults:
            text, count = re.subn(fault.pattern, fault.replacement, statement.text)
            if not count:
                continue
            self.planted.add(fault.name)
            other = parse(f".entry f(){{{text};}}")[0].statements if text else []
            changed = "".join(self.instruction(s) for s in other)
            code = f"if (fault_{fault.name}) {{ {changed} }} else {{ {code} }}"
        return code

    def registers(self, statement: Statement) -> str:
        kinds: dict[str, list[str]] = {}
        for kind, name in statement.registers:
            self.scopes[-1][name] = kind
            kinds.setdefault(storage(kind), []).append(variable(name))
        return " ".join(f"{kind} {', '.join(names)};" for kind, names in kinds.items())

    def call_memory(self, statement: Statement) -> str:
        found = parameters_of(statement.text, self.entry.name)
        self.memory |= {p.name for p in found}
        return " ".join(f"alignas(16) unsigned char {variable(p.name)}[{p.bytes}];" for p in found)

    def statement(self, statement: Statement) -> str:
        if statement.kind == "registers":
            return self.registers(statement)
        if statement.kind == "memory":
            return self.call_memory(statement)
        if statement.kind == "label":
            return f"{identifier(statement.text)}:;"
        if statement.kind == "{":
            self.scopes.append({})
        elif statement.kind == "}":
            self.scopes.pop()
        else:
            return self.with_faults(statement, self.instruction(statement))
        return statement.kind

    def head(self, name: str) -> str:
        if self.entry.kind == "entry":
            return f"static void {name}(const Parameters &P)"
        return f"static void {name}({', '.join(f'u64 {variable(p.name)}' for p in self.entry.result + self.entry.parameters)})"

    def function(self, name: str) -> str:
        lines = [f"{self.head(name)} {{"]
        for text, size in self.entry.shared.items():
            array = identifier(text)
            if size:
                lines.append(f"static char key_{array}; const u32 shared_{array} = shared_array(&key_{array}, {size});")
            else:
                lines.append(f"const u32 shared_{array} = shared_of_launch();")
        for statement in self.entry.statements:
            try:
                code = self.statement(statement)
            except PtxError as error:
                raise PtxError(f"{self.source}:{statement.line}: {error}") from None
            lines.append(f'#line {statement.line} "{self.source}"\n{code}')
        return "\n".join(lines) + "\n}\n"

    def sizes(self) -> str:
        each = (f"{{{self.offsets[p.name]}, {p.bytes}}}" for p in self.entry.parameters)
        return ", ".join(each)


def parts_of(text: str) -> list[str]:
    """Registers of a vector operand or of a result with a predicate."""
    if text.startswith("{"):
        return [part.strip() for part in text[1:-1].split(",")]
    return [part.strip() for part in text.split("|")]


def host_name(name: str) -> str:
    """The symbol that g++ gives to a function: nvcc's anonymous namespace has a name of its own."""
    at = 0
    while match := re.compile(r"(?<!\d)(\d+)(?=_GLOBAL__N_)").search(name, at):
        length = int(match[1])
        name = name[: match.start()] + "12_GLOBAL__N_1" + name[match.end() + length :]
        at = match.start() + len("12_GLOBAL__N_1")
    return name


@dataclass
class Translation:
    code: str
    kernels: list[str]  # symbols
    used: set[Form]
    planted: set[str]


def translate(ptx: str, source: str, table: Table, faults: Iterable[Fault] = ()) -> Translation:
    out = Translation("", [], set(), set())
    faults = list(faults)
    heads, bodies, rows = [], [], []
    entries = parse(ptx)
    functions = {entry.name: f"function_{number}" for number, entry in enumerate(entries) if entry.kind == "func"}
    for number, entry in enumerate(entries):
        writer = Writer(entry, table, source, faults, functions)
        if entry.kind == "func":
            heads.append(writer.head(functions[entry.name]) + ";")
            bodies.append(f"// {entry.name}\n" + writer.function(functions[entry.name]))
        else:
            bodies.append(f"// {entry.name}\n" + writer.function(f"kernel_{number}"))
            name = host_name(entry.name)
            rows.append(
                f'static const Kernel entry_{number}("{name}", kernel_{number}, {writer.parameter_bytes}, {{{writer.sizes()}}});'
            )
            out.kernels.append(name)
        out.used |= writer.used
        out.planted |= writer.planted
    flags = [f'static const bool fault_{name} = planted("{name}");' for name in sorted(out.planted)]
    head = ['#include "ptx/ptx_machine.h"', "using namespace ptx;", *flags]
    out.code = "\n".join([*head, *heads, *bodies, *rows]) + "\n"
    return out
