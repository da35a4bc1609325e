"""numpy's .npz files, with PyTorch's names or those of a single cell (enc_w_ih)."""
from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from libgru.convert.archive import open_zip
from libgru.convert.budget import Budget
from libgru.convert.refused import Refused
from libgru.convert.source import Source


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise Refused(f"an array of version {version} is not read")
    return shape, dtype


def _add(source: Source, archive: zipfile.ZipFile, member: str, budget: Budget) -> None:
    """An array of Python objects would have to be unpickled: it is left out, unread."""
    name = member.removesuffix(".npy")
    with archive.open(member) as file:
        shape, dtype = _header(file)
    if dtype.hasobject:
        source.unheld[name] = "it holds Python objects"
        return
    budget.take(int(np.prod(shape, dtype=object)) * dtype.itemsize, f"array {name}")
    with archive.open(member) as file:
        source.add(name, np.lib.format.read_array(file, allow_pickle=False))


def read(path: Path, budget: Budget) -> Source:
    """All arrays."""
    source = Source(path)
    with open_zip(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                _add(source, archive, member, budget)
            else:
                source.unheld[member] = "it is no array"
    return source
