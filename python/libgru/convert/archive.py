"""Zip archives, as .npz, .keras and PyTorch's files are."""
from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libgru.convert.budget import Budget
from libgru.convert.refused import Refused


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Of two members of one name readers would take one or the other."""
    with zipfile.ZipFile(path) as archive:
        for name, count in Counter(archive.namelist()).items():
            if count > 1:
                raise Refused(f"the archive has {count} members called {name}")
        yield archive


def member(archive: zipfile.ZipFile, name: str, budget: Budget) -> bytes:
    """Its bytes, unpacked."""
    try:
        budget.take(archive.getinfo(name).file_size, name)
    except KeyError:
        raise Refused(f"the archive has no {name}") from None
    return archive.read(name)
