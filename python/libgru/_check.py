"""Checks numbers, texts and objects before they reach the C library, where ctypes would cut them short without a word."""
from __future__ import annotations

import operator
from typing import Any

from libgru._errors import BadArgument


def integer(name: str, value: Any, least: int, most: int) -> int:
    """A whole number of any type, Python's or numpy's. most: at most what the C type holds."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise BadArgument(f"{name} is {value!r}, expected {least} to {most}")
    return number


def text(name: str, value: Any) -> bytes:
    """A string for C, which ends at the first NUL."""
    if not isinstance(value, (str, bytes)):
        raise BadArgument(f"{name} is a {type(value).__name__}, expected a string")
    encoded = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    if b"\0" in encoded:
        raise BadArgument(f"{name} is {value!r}, expected no NUL in it")
    return encoded


def instance(name: str, value: Any, *kinds: type) -> None:
    """Refuses an object of another class."""
    if not isinstance(value, kinds):
        raise BadArgument(f"{name} is a {type(value).__name__}, expected a {' or '.join(f'libgru.{k.__name__}' for k in kinds)}")
