"""Runs one thread of a kernel through its integer instructions, to learn which instructions are issued in which order.

Addresses, loop counts and branches of step kernels follow from the kernel's argument and from integers. So integers are
computed, numbers loaded from memory are taken as zero and results of floating-point instructions as one: no branch of a
kernel's usual path depends on them, but those to the slow division of numbers that are not normal.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from .sass import Instruction, Kernel

_MASK = 0xFFFFFFFF
_LIMIT = 200_000
_CONSTANT = re.compile(r"c\[0x([0-9a-f]+)\]\[(.*)\]$")
_SPECIAL = {"SR_TID.X": 0}


class UnknownInstruction(Exception):
    """The machine does not know an instruction whose result may decide a branch."""


def _signed(value: int) -> int:
    return value - (1 << 32) if value & 0x80000000 else value


def _wide(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


# Instructions whose result is taken as zero, or as one where it is a floating-point number.
_ONE = {"FADD", "FMUL", "FFMA", "FSEL", "FMNMX"}
_ZERO = {
    "LDG", "LD", "LDS", "LDL", "ATOMG", "ATOM", "ATOMS", "SHFL", "HADD2",
    "HMUL2", "F2F", "F2FP", "HMMA", "LDSM", "FCHK", "FSETP", "HSETP2", "VOTE", "CS2R", "REDUX", "FSET", "IDP",
    "FSWZADD", "MATCH", "S2UR", "FRND", "ELECT", "VOTEU",
}  # fmt: skip
# Instructions without a result.
_NOTHING = {
    "STG", "ST", "STS", "STL", "BAR", "NOP", "BSSY", "BSYNC", "WARPSYNC", "ACQBULK", "PREEXIT", "DEPBAR", "LDGDEPBAR",
    "LDGSTS", "MEMBAR", "FENCE", "CCTL", "UCGABAR_ARV", "UCGABAR_WAIT", "ERRBAR", "YIELD", "RED", "REDG", "CGAERRBAR",
    "BREAK", "DEPBAR.LE", "ENDCOLLECTIVE",
}  # fmt: skip


class Machine:
    """The registers of one thread, and the constants it reads."""

    def __init__(self, constants: dict[tuple[int, int], int]) -> None:
        self.constants = constants
        self.registers: dict[str, int] = {}
        self.predicates: dict[str, bool] = {}

    # ---- operands ----

    def predicate(self, text: str) -> bool:
        negated, name = text.startswith("!"), text.lstrip("!")
        value = name in ("PT", "UPT") or self.predicates.get(name, False)
        return value != negated

    def set_predicate(self, name: str, value: bool) -> None:
        if name not in ("PT", "UPT"):
            self.predicates[name] = value

    def _constant(self, bank: int, offset: int) -> int:
        return self.constants.get((bank, offset), 0)

    def _address(self, text: str) -> int:
        total = 0
        for part in text.replace("-", "+-").split("+"):
            part = part.strip()
            if part:
                total += self.read(part)
        return total & _MASK

    def read(self, text: str) -> int:
        """A 32-bit operand."""
        text = text.removesuffix(".reuse").strip()
        if text.startswith("-") and not text[1:2].isdigit():
            return -self.read(text[1:]) & _MASK
        if text.startswith("~"):
            return ~self.read(text[1:]) & _MASK
        if text.startswith("|"):
            return abs(_signed(self.read(text.strip("|")))) & _MASK
        constant = _CONSTANT.match(text)
        if constant:
            return self._constant(int(constant.group(1), 16), self._address(constant.group(2)))
        if re.match(r"-?0x[0-9a-f]+$", text):
            return int(text, 16) & _MASK
        if re.match(r"-?\d+$", text):
            return int(text) & _MASK
        if re.match(r"U?R(Z|\d+)", text):
            name = text.split(".")[0]
            return 0 if name.endswith("Z") else self.registers.get(name, 0)
        if re.match(r"[+-]?(\d|INF|QNAN|SNAN)", text):
            try:
                return int(struct.unpack("<I", struct.pack("<f", float(text)))[0])
            except ValueError:
                return 0x7F800000
        if re.match(r"!?U?P(T|\d)$", text):
            return int(self.predicate(text))
        raise UnknownInstruction(f"operand {text}")

    @staticmethod
    def _next(text: str) -> str:
        """The register behind one, or the constant four bytes on."""
        text = text.removesuffix(".reuse")
        constant = re.match(r"(-?c\[0x[0-9a-f]+\]\[)(.*)\]$", text)
        if constant:
            return f"{constant.group(1)}{constant.group(2)}+0x4]"
        found = re.match(r"(-?)(U?R)(\d+)$", text)
        return f"{found.group(1)}{found.group(2)}{int(found.group(3)) + 1}" if found else text

    def read_wide(self, text: str) -> int:
        text = text.removesuffix(".reuse").removesuffix(".64")
        if text.startswith("-") and text[1:2] in "RU":
            return -self.read_wide(text[1:]) & ((1 << 64) - 1)
        if re.match(r"-?0x", text):
            return int(text, 16) & ((1 << 64) - 1)
        if text in ("RZ", "URZ"):
            return 0
        return self.read(text) | self.read(self._next(text)) << 32

    def write(self, name: str, value: int) -> None:
        name = name.removesuffix(".reuse")
        if name not in ("RZ", "URZ"):
            self.registers[name] = value & _MASK

    def write_wide(self, name: str, value: int) -> None:
        if name in ("RZ", "URZ"):
            return
        self.write(name, value)
        self.write(self._next(name), value >> 32)

    # ---- instructions ----

    def execute(self, i: Instruction) -> None:
        """Sets the results of one instruction that is no branch."""
        opcode = i.opcode
        if opcode in _NOTHING:
            return
        if opcode in _ONE:
            self.write(i.operands[0], _bits(1.0))
            return
        if opcode in _ZERO:
            self._zero(i)
            return
        unified = opcode[1:] if opcode.startswith("U") and opcode[1:] in _INTEGER else opcode
        handler = _INTEGER.get(unified)
        if handler is None:
            raise UnknownInstruction(f"{i.name} {', '.join(i.operands)} at {i.address:#x}")
        handler(self, i)

    def _zero(self, i: Instruction) -> None:
        for operand in i.operands[:2] if i.opcode in ("FSETP", "HSETP2", "SHFL", "VOTE", "VOTEU") else i.operands[:1]:
            if re.match(r"U?P\d", operand):
                self.set_predicate(operand, False)
            elif re.match(r"U?R\d", operand):
                width = 4 if ".128" in i.name or i.opcode in ("HMMA", "LDSM") else 2 if ".64" in i.name or i.opcode == "CS2R" else 1
                name = operand.split(".")[0]
                for _ in range(width):
                    self.write(name, 0)
                    name = self._next(name)


def _is_predicate(text: str) -> bool:
    return re.match(r"!?U?P(T|\d)$", text) is not None


def _mov(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], m.read(i.operands[1]))


def _ldc(m: Machine, i: Instruction) -> None:
    if ".64" in i.name:
        m.write_wide(i.operands[0], m.read_wide(i.operands[1]))
    elif ".128" in i.name:
        name, source = i.operands[0], i.operands[1]
        for _ in range(4):
            m.write(name, m.read(source))
            name, source = m._next(name), m._next(source)
    else:
        m.write(i.operands[0], m.read(i.operands[1]))


def _s2r(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], _SPECIAL.get(i.operands[1], 0))


def _carries(i: Instruction) -> tuple[str, list[str], list[str], list[str]]:
    """Destination, predicates that are set, sources, and predicates that are read."""
    rest = list(i.operands[1:])
    outs = []
    while rest and _is_predicate(rest[0]):
        outs.append(rest.pop(0))
    ins = []
    while rest and _is_predicate(rest[-1]):
        ins.insert(0, rest.pop())
    return i.operands[0], outs, rest, ins


def _iadd3(m: Machine, i: Instruction) -> None:
    name, outs, sources, ins = _carries(i)
    total = 0
    for text in sources:
        negative = text.startswith("-")
        value = m.read(text[1:] if negative else text)
        total += (value ^ _MASK) if negative and ".X" not in i.name else value
        total += 1 if negative and ".X" not in i.name else 0
    if ".X" in i.name:
        total += sum(m.predicate(p) for p in ins)
    m.write(name, total)
    carry = total >> 32
    for k, out in enumerate(outs):
        m.set_predicate(out, carry > k)


def _imad(m: Machine, i: Instruction) -> None:
    name, outs, sources, ins = _carries(i)
    if ".MOV" in i.name:
        m.write(name, m.read(sources[-1]))
        return
    unsigned = ".U32" in i.name
    a, b = m.read(sources[0]), m.read(sources[1])
    product = a * b if unsigned else _signed(a) * _signed(b)
    if ".WIDE" in i.name:
        total = product + m.read_wide(sources[2])
        m.write_wide(name, total)
    elif ".HI" in i.name:
        total = (product + (m.read_wide(sources[2]) if len(sources) > 2 else 0)) >> 32
        m.write(name, total)
    else:
        total = a * b + (m.read(sources[2]) if len(sources) > 2 else 0)
        if ".X" in i.name:
            total += sum(m.predicate(p) for p in ins)
        m.write(name, total)
    for out in outs:
        m.set_predicate(out, False)


def _lea(m: Machine, i: Instruction) -> None:
    name, outs, sources, ins = _carries(i)
    shift = m.read(sources[-1]) & 31
    negative = sources[0].startswith("-")
    if ".HI" in i.name:
        low, add = m.read(sources[0].lstrip("-")), m.read(sources[1])
        if ".SX32" in i.name:
            whole = _signed(low) << shift
        else:
            high = m.read(sources[2]) if len(sources) > 3 else 0
            whole = (low | high << 32) << shift
        part = (whole >> 32) & _MASK
        total = (part ^ _MASK if negative else part) + add
        if ".X" in i.name:
            total += sum(m.predicate(p) for p in ins)
        elif negative:
            total += 1
    else:
        part = (m.read(sources[0].lstrip("-")) << shift) & _MASK
        total = ((part ^ _MASK) + 1 if negative else part) + m.read(sources[1])
        if ".X" in i.name:
            total += sum(m.predicate(p) for p in ins)
    m.write(name, total)
    for out in outs:
        m.set_predicate(out, total >> 32 & 1 == 1)


def _table(bits: list[int], table: int, mask: int) -> int:
    result = 0
    for k in range(8):
        if table >> k & 1:
            term = mask
            for position, value in enumerate(bits):
                term &= value if k >> (2 - position) & 1 else ~value & mask
            result |= term
    return result


def _lop3(m: Machine, i: Instruction) -> None:
    operands = list(i.operands)
    outs = [operands.pop(0)] if _is_predicate(operands[0]) else []
    name, a, b, c, table = operands[0], operands[1], operands[2], operands[3], operands[4]
    result = _table([m.read(a), m.read(b), m.read(c)], int(table, 16), _MASK)
    m.write(name, result)
    for out in outs:
        m.set_predicate(out, result != 0)


def _plop3(m: Machine, i: Instruction) -> None:
    bits = [int(m.predicate(text)) for text in i.operands[2:5]]
    for out, table in zip(i.operands[:2], i.operands[5:7]):
        m.set_predicate(out, _table(bits, int(table, 16), 1) == 1)


def _shf(m: Machine, i: Instruction) -> None:
    name, low, amount, high = i.operands[0], m.read(i.operands[1]), m.read(i.operands[2]), m.read(i.operands[3])
    whole = low | high << 32
    wide = "64" in i.name
    amount = min(amount, 63 if wide else 32)
    if ".L" in i.name:
        whole = whole << amount
        m.write(name, whole >> 32 if ".HI" in i.name else whole)
        return
    if ".HI" in i.name and not wide:  # of the high word alone
        value = _signed(high) if ".S32" in i.name else high
        m.write(name, value >> min(amount, 31) if ".S32" in i.name else value >> amount)
        return
    value = _wide(whole) if ".S64" in i.name or ".S32" in i.name else whole
    m.write(name, value >> (amount + 32 if ".HI" in i.name else amount))


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "EQ": lambda a, b: a == b,
    "NE": lambda a, b: a != b,
    "LT": lambda a, b: a < b,
    "LE": lambda a, b: a <= b,
    "GT": lambda a, b: a > b,
    "GE": lambda a, b: a >= b,
}


def _isetp(m: Machine, i: Instruction) -> None:
    """The form .EX continues a comparison of low words, whose result is the last operand."""
    parts = i.name.split(".")
    compare = next(part for part in parts if part in _COMPARE)
    a, b = m.read(i.operands[2]), m.read(i.operands[3])
    if "U32" not in parts:
        a, b = _signed(a), _signed(b)
    result = _COMPARE[compare](a, b)
    if "EX" in parts:
        low = m.predicate(i.operands[-1])
        if compare == "NE":
            result = result or low
        elif compare == "EQ":
            result = result and low
        else:
            result = low if a == b else result
    other = m.predicate(i.operands[4])
    if "OR" in parts:
        m.set_predicate(i.operands[0], result or other)
        m.set_predicate(i.operands[1], (not result) or other)
    else:
        m.set_predicate(i.operands[0], result and other)
        m.set_predicate(i.operands[1], (not result) and other)


def _sel(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], m.read(i.operands[1] if m.predicate(i.operands[3]) else i.operands[2]))


def _imnmx(m: Machine, i: Instruction) -> None:
    operands = [text for text in i.operands if not (_is_predicate(text) and text is not i.operands[-1])]
    unsigned = ".U32" in i.name
    a, b = m.read(operands[1]), m.read(operands[2])
    first, second = (a, b) if unsigned else (_signed(a), _signed(b))
    smallest = m.predicate(operands[3])
    m.write(operands[0], min(first, second) if smallest else max(first, second))


def _iabs(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], abs(_signed(m.read(i.operands[1]))))


def _float(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def _bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def _i2f(m: Machine, i: Instruction) -> None:
    value = m.read(i.operands[1])
    m.write(i.operands[0], _bits(float(value if ".U32" in i.name else _signed(value))))


def _f2i(m: Machine, i: Instruction) -> None:
    value = _float(m.read(i.operands[1]))
    m.write(i.operands[0], int(min(max(value, -(2.0**31)), 2.0**32 - 1)))


def _mufu(m: Machine, i: Instruction) -> None:
    value = _float(m.read(i.operands[1]))
    m.write(i.operands[0], _bits(1 / value if ".RCP" in i.name and value else 1.0))


def _p2r(m: Machine, i: Instruction) -> None:
    mask = m.read(i.operands[-1])
    bits = sum(1 << k for k in range(7) if m.predicates.get(f"P{k}", False))
    m.write(i.operands[0], bits & mask)


def _r2p(m: Machine, i: Instruction) -> None:
    value, mask = m.read(i.operands[-2]), m.read(i.operands[-1])
    for k in range(7):
        if mask >> k & 1:
            m.set_predicate(f"P{k}", value >> k & 1 == 1)


def _prmt(m: Machine, i: Instruction) -> None:
    """Four bytes chosen from the eight of two registers; bit 3 of a choice asks for the byte's sign."""
    whole = m.read(i.operands[1]) | m.read(i.operands[3]) << 32
    choices, result = m.read(i.operands[2]), 0
    for k in range(4):
        choice = choices >> 4 * k & 15
        byte = whole >> 8 * (choice & 7) & 0xFF
        result |= (0xFF * (byte >> 7) if choice & 8 else byte) << 8 * k
    m.write(i.operands[0], result)


def _hfma2(m: Machine, i: Instruction) -> None:
    """Zero times zero plus a pair of halves is how the compiler sets a register to a constant."""
    if i.operands[1].lstrip("-") == "RZ" and i.operands[2].startswith("RZ") and len(i.operands) == 5:
        high, low = (int.from_bytes(struct.pack("<e", float(text)), "little") for text in i.operands[3:])
        m.write(i.operands[0], high << 16 | low)
    else:
        m.write(i.operands[0], 0)


def _popc(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], bin(m.read(i.operands[1])).count("1"))


def _flo(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], m.read(i.operands[1]).bit_length() - 1)


def _viaddmnmx(m: Machine, i: Instruction) -> None:
    """The smaller (PT) or larger of a sum and a number."""
    total, other = (m.read(i.operands[1]) + m.read(i.operands[2])) & _MASK, m.read(i.operands[3])
    first, second = (total, other) if ".U32" in i.name else (_signed(total), _signed(other))
    m.write(i.operands[0], min(first, second) if m.predicate(i.operands[-1]) else max(first, second))


_INTEGER: dict[str, Callable[[Machine, Instruction], None]] = {
    "MOV": _mov, "R2UR": _mov, "UMOV": _mov, "LDC": _ldc, "ULDC": _ldc, "S2R": _s2r, "IADD3": _iadd3, "VIADD": _iadd3,
    "IADD": _iadd3, "IMAD": _imad, "LEA": _lea, "LOP3": _lop3, "PLOP3": _plop3, "SHF": _shf, "ISETP": _isetp, "SEL": _sel,
    "IMNMX": _imnmx, "VIMNMX": _imnmx, "VIADDMNMX": _viaddmnmx, "IABS": _iabs, "I2F": _i2f, "I2FP": _i2f, "F2I": _f2i, "MUFU": _mufu, "P2R": _p2r,
    "R2P": _r2p, "HFMA2": _hfma2, "PRMT": _prmt, "POPC": _popc, "FLO": _flo, "MAPA": _mov, "UF2I": _f2i,
}  # fmt: skip


def run(kernel: Kernel, constants: dict[tuple[int, int], int]) -> Iterator[tuple[Instruction, bool]]:
    """The instructions that thread 0 of block 0 issues, each with whether it branches."""
    machine = Machine(constants)
    at = {instruction.address: index for index, instruction in enumerate(kernel.code)}
    index = 0
    for _ in range(_LIMIT):
        i = kernel.code[index]
        active = not i.predicate or machine.predicate(("!" if i.negated else "") + i.predicate)
        index += 1
        if i.opcode == "EXIT" and active:
            yield i, False
            return
        if i.opcode in ("BRA", "JMP") and active and not _holds_back(machine, i):
            yield i, True
            index = at[int(i.operands[-1].strip("`()"), 16)]
            continue
        yield i, False
        if i.opcode in ("CALL", "RET", "BRX", "JMX") and active:
            raise UnknownInstruction(f"{i.name} at {i.address:#x} of {kernel.name}")
        if active and i.opcode not in ("BRA", "JMP", "EXIT"):
            machine.execute(i)
    raise UnknownInstruction(f"{kernel.name} does not end")


def _holds_back(machine: Machine, i: Instruction) -> bool:
    """A branch may have a predicate as its first operand too, or ask whether the warp has diverged: it has not."""
    return i.name == "BRA.DIV" or len(i.operands) > 1 and _is_predicate(i.operands[0]) and not machine.predicate(i.operands[0])
