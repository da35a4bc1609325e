"""safetensors files: an own reader and writer, so that neither needs a package."""
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import struct
import tempfile
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from libgru.convert.budget import Budget
from libgru.convert.refused import Refused
from libgru.convert.source import Source
from libgru.convert.tensor import Tensor, Unheld, bits_type

LARGEST_HEADER = 100_000_000    # the limit of the format
ASIDE = ".gru-convert-"         # how the names of files begin that are being written


# ---- writing ----------------------------------------------------------------------------------------------------------

def _check_name(name: str) -> None:
    """A name that a reader would take for something else, or refuse."""
    if name == "__metadata__":
        raise Refused("a tensor is called __metadata__, which a safetensors file keeps for itself: rename it with --map")
    if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise Refused(f"the name {name!r} has a character that a safetensors file cannot hold: rename it with --map")


def _header(tensors: list[tuple[str, Tensor]], metadata: dict[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    begin = 0
    for name, tensor in tensors:
        end = begin + tensor.bits.nbytes
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > LARGEST_HEADER:
        raise Refused(f"the output's header would have {len(text)} bytes, and the format allows {LARGEST_HEADER}")
    return text + b" " * (-len(text) % 8)


def _is_same(number: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.lstat(path))
    except OSError:
        return False


def _remove_leftovers(folder: Path) -> None:
    """Of writers that were killed: a living one holds a lock on its file."""
    for name in os.listdir(folder):
        if not name.startswith(ASIDE):
            continue
        with contextlib.suppress(OSError):
            path = str(folder / name)
            number = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = os.fstat(number)
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and _is_same(number, path):
                    os.unlink(path)
            finally:
                os.close(number)


def _create_aside(folder: Path) -> tuple[int, str]:
    """A new locked file. Before it is locked another writer may take it for a leftover: then the next is tried."""
    while True:
        number, aside = tempfile.mkstemp(dir=folder, prefix=ASIDE)
        with contextlib.suppress(OSError):    # a file system without locks has nobody who removes leftovers
            fcntl.flock(number, fcntl.LOCK_EX)
        if _is_same(number, aside):
            return number, aside
        os.close(number)


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes beside path and renames, so that a failure leaves what was there. A link is followed."""
    for name in [*tensors, *metadata]:
        _check_name(name)
    for key, value in metadata.items():
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Refused(f"metadata {key} is {value!r}, which a safetensors file cannot hold")
    # Large elements first: then each tensor is aligned though nothing lies between them.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].bits.itemsize, item[0]))
    text, target = _header(ordered, metadata), Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise Refused(f"{path} is there and is no file: it would be replaced")
    _remove_leftovers(target.parent)
    number, aside = _create_aside(target.parent)
    try:
        with os.fdopen(number, "wb") as file:    # its end also ends the lock
            file.write(struct.pack("<Q", len(text)) + text)
            for _, tensor in ordered:
                file.write(np.ascontiguousarray(tensor.bits).data.cast("B") if tensor.bits.size else b"")
            file.flush()
            os.fsync(file.fileno())
            os.chmod(aside, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            os.replace(aside, target)
        _sync_folder(target.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


def _sync_folder(folder: Path) -> None:
    """So that the new name outlives a power failure."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ---- reading ----------------------------------------------------------------------------------------------------------

def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("the header has a name twice")
    return found


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, str], int]:
    """Tensors as described, metadata, and where the data begins."""
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else LARGEST_HEADER + 1
    if length > min(LARGEST_HEADER, len(data) - 8):
        raise Refused("it is not a safetensors file: its first 8 bytes are no length of a header")
    try:
        header = json.loads(data[8:8 + length].decode(), object_pairs_hook=_unique)
    except ValueError as error:
        raise Refused(f"the header is not JSON: {error}") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise Refused("the header is no object of tensors with metadata of strings")
    return header, metadata, 8 + int(length)


def _place(name: str, entry: Any, size: int) -> tuple[str, list[int], int, int]:
    """dtype, shape, begin and end of one tensor."""
    fields = entry if isinstance(entry, dict) else {}
    shape, place = fields.get("shape"), fields.get("data_offsets")
    if not _naturals(shape) or not _naturals(place) or len(place) != 2:
        raise Refused(f"tensor {name} is not described by dtype, shape and data_offsets")
    begin, end = place
    if begin > end or end > size:
        raise Refused(f"tensor {name} lies at bytes {begin} to {end} of {size}")
    return str(fields.get("dtype")), shape, begin, end


def _naturals(numbers: Any) -> TypeGuard[list[int]]:
    return isinstance(numbers, list) and all(type(number) is int and number >= 0 for number in numbers)


def read(path: Path, budget: Budget | None = None) -> Source:
    """Any file of the format; a tensor of a type that the library does not know is listed as unheld. Tensors may share
    bytes, and then the output is longer than the file: the budget is asked for that. None: the default one."""
    budget = budget or Budget.for_file(path, None)
    data, source = path.read_bytes(), Source(path)
    header, source.metadata, start = _parse(data)
    for name, entry in header.items():
        dtype, shape, begin, end = _place(name, entry, len(data) - start)
        budget.take(end - begin, f"tensor {name}")
        content = np.frombuffer(data, np.uint8, end - begin, start + begin)
        try:
            kind = bits_type(dtype)
        except Unheld as reason:
            source.unheld[name] = str(reason)
            continue
        if kind.itemsize * int(np.prod(shape, dtype=object)) != len(content):
            raise Refused(f"tensor {name} has {len(content)} bytes, which {dtype} {shape} does not make")
        source.add_bits(name, dtype, content.view(kind).reshape(shape))
    for alias, name in source.metadata.items():    # as save_model leaves tied tensors
        if name in source.tensors and alias not in source.tensors:
            budget.take(source.tensors[name].bits.nbytes, f"tensor {alias}, which is {name} once more,")
            source.tensors[alias] = source.tensors[name]
    return source
