"""Reads the declarations of the C headers, so that structs, constants and functions are written down in one place only."""
from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADERS = ("gru.h", "stack.h", "import.h", "stream.h")    # an order in which each finds what it needs

_NUMBERS: dict[str, Any] = {
    "int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32, "int64_t": ctypes.c_int64, "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t, "float": ctypes.c_float, "double": ctypes.c_double, "int": ctypes.c_int,
    "uint8_t": ctypes.c_uint8, "void": None,
}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\} \1;", re.DOTALL)
_ENUM = re.compile(r"enum \{(.*?)\};", re.DOTALL)
_DEFINE = re.compile(r"#define (GRU_\w+)\s+(\d+)")
_ALIAS = re.compile(r"typedef (\w+) (\w+);")
_CALLBACK = re.compile(r"typedef \w+ \**\(\*(\w+)\)\(")
_FUNCTION = re.compile(r"GRU_API ([\w\s*]+?)(\w+)\(([^()]*)\);")
_MEMBER = re.compile(r"\s*(?P<type>(?:const )?(?:struct )?\w+(?:[\s*]|const\b)*?)(?P<names>\b\w+(?:\[\w+\])*(?:, *\w+(?:\[\w+\])*)*)\s*")
_POINTER_MEMBER = re.compile(r"[\w\s*]+\(\*(\w+)\)\(.*\)", re.DOTALL)


@dataclass
class Declarations:
    """What the headers declare: ctypes classes by C name, values by name, and (result, arguments) of each function."""
    structs: dict[str, type[ctypes.Structure]] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    functions: dict[str, tuple[Any, list[Any]]] = field(default_factory=dict)
    aliases: dict[str, Any] = field(default_factory=dict)


def _type(words: str, known: Declarations) -> Any:
    """The ctypes type of "const float *" and the like. Pointers are addresses, except text."""
    stars = words.count("*")
    name = re.sub(r"\b(const|struct)\b|\*", " ", words).strip()
    if stars:
        return ctypes.c_char_p if name == "char" and stars == 1 else ctypes.c_void_p
    if name in known.structs:
        return known.structs[name]
    if name in known.aliases:
        return known.aliases[name]
    if name not in _NUMBERS:
        raise RuntimeError(f"libgru's header has a type that the package does not know: {words.strip()!r}")
    return _NUMBERS[name]


def _members(body: str, known: Declarations) -> list[tuple[str, Any]]:
    members: list[tuple[str, Any]] = []
    for text in (part.strip() for part in body.split(";")):
        pointer = _POINTER_MEMBER.fullmatch(text)
        found = _MEMBER.fullmatch(text)
        if pointer:
            members.append((pointer[1], ctypes.c_void_p))
        elif found:
            for name in found["names"].split(","):
                base, *counts = re.split(r"[\[\]]+", name.strip().rstrip("]"))
                kind = _type(found["type"], known)
                for count in reversed(counts):
                    kind = kind * int(known.constants.get(count, count))
                members.append((base, kind))
        elif text:
            raise RuntimeError(f"libgru's header has a member that the package cannot read: {text!r}")
    return members


def _read(text: str, known: Declarations) -> None:
    text = _COMMENT.sub(" ", text)
    known.constants.update((name, int(value)) for name, value in _DEFINE.findall(text))
    for body in _ENUM.findall(text):
        known.constants.update((name, int(value)) for name, value in re.findall(r"(\w+)\s*=\s*(-?\d+)", body))
    known.aliases.update((name, ctypes.c_void_p) for name in _CALLBACK.findall(text))
    known.aliases.update((name, _NUMBERS[kind]) for kind, name in _ALIAS.findall(text) if kind in _NUMBERS)
    for name, body in _STRUCT.findall(text):
        known.structs[name] = type(name, (ctypes.Structure,), {"_fields_": _members(body, known)})
    for result, name, arguments in _FUNCTION.findall(text):
        kinds = [re.sub(r"\w+(\[\w*\])?$", lambda end: "*" if end[1] else "", part.strip())
                 for part in arguments.split(",") if part.strip() != "void"]
        known.functions[name] = (_type(result, known), [_type(kind, known) for kind in kinds])


def read(folder: Path) -> Declarations:
    """Reads all headers in a folder that has gru.h."""
    known = Declarations()
    for name in HEADERS:
        _read((folder / name).read_text(), known)
    for path in sorted(folder.glob("*.h")):
        if path.name not in HEADERS:
            _read(path.read_text(), known)
    return known
