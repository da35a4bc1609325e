"""Loads libgru.so: the one beside the package, or the one that the environment variable LIBGRU_LIBRARY names."""
from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from libgru import _headers
from libgru._errors import BY_STATUS, BadArgument, Error, NotBuilt

HERE = Path(__file__).resolve().parent


def _headers_folder() -> Path:
    """Installed with the package; in a source tree, the tree's own."""
    for folder in (HERE / "include" / "gru", HERE.parents[1] / "include" / "gru"):
        if (folder / "gru.h").is_file():
            return folder
    raise NotBuilt(f"the headers of libgru are not in {HERE / 'include' / 'gru'}: install the package again")


def _open() -> ctypes.CDLL:
    named = os.environ.get("LIBGRU_LIBRARY")
    path = Path(named) if named else HERE / "libgru.so"
    if not path.is_file():
        raise NotBuilt(f"{path} does not exist: pip install builds it into the package, and the environment variable "
                       "LIBGRU_LIBRARY can name another")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NotBuilt(f"{path} cannot be loaded: {error}") from error


class Library:
    """The C library: its structs and functions, as its headers declare them.

    `c` holds the functions. Those that return a status are called through `call`, which raises on failure.
    """

    def __init__(self) -> None:
        self.known = _headers.read(_headers_folder())
        self.c: Any = _open()
        self._check_version()
        for name, (result, arguments) in self.known.functions.items():
            function = getattr(self.c, name, None)
            if function is not None:
                function.restype, function.argtypes = result, arguments

    def _check_version(self) -> None:
        """Structs differ between versions, so that another library would read wrong memory."""
        numbers = [self.known.constants[f"GRU_VERSION_{part}"] for part in ("MAJOR", "MINOR", "PATCH")]
        wanted = numbers[0] * 10000 + numbers[1] * 100 + numbers[2]
        found = self.c.gru_version() if hasattr(self.c, "gru_version") else None
        if found != wanted:
            raise NotBuilt(f"{self.c._name} is version {found}, and this package needs {wanted} "
                           f"({'.'.join(map(str, numbers))})")

    def __getitem__(self, name: str) -> int:
        """The value of a constant, such as lib["GRU_TRAIN"]."""
        return self.known.constants[name]

    def new(self, name: str) -> Any:
        """A struct of zeros, such as lib.new("gru_run")."""
        return self.known.structs[name]()

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function that returns a status."""
        self.check(getattr(self.c, name)(*arguments))

    def check(self, status: int) -> None:
        """Raises the exception of a status that is not GRU_OK, with the library's sentence."""
        if status:
            raise BY_STATUS.get(status, Error)(self.c.gru_last_error().decode(errors="replace"))

    def choice(self, prefixes: Sequence[str], name: str, argument: str) -> int:
        """The value of GRU_PREFIX_NAME for a word such as "after"; of the first prefix that has it."""
        words: dict[str, int] = {}
        for prefix in prefixes:
            for key, value in self.known.constants.items():
                if key.startswith(prefix):
                    words.setdefault(key[len(prefix):].lower(), value)
        if not isinstance(name, str) or name not in words:
            raise BadArgument(f"{argument} is {name!r}, expected {', '.join(words)}")
        return words[name]


@cache
def library() -> Library:
    """The library, loaded at the first call."""
    return Library()
