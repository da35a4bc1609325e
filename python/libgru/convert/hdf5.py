"""HDF5 files that somebody else made: no data from elsewhere, no bombs, no cycles."""
from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from libgru.convert.budget import Budget
from libgru.convert.refused import Refused
from libgru.convert.source import Source

_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}    # by HDF5's numbers; others are code from elsewhere


@dataclass
class Tree:
    """The datasets of a file by path, checked but not read."""
    datasets: dict[str, Any]
    file: Any

    def attribute(self, path: str, name: str) -> Any:
        """None where there is none. Text comes as str, lists of text as lists of str."""
        value = self.file[path].attrs.get(name) if path in self.file else None
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, np.ndarray):
            return [item.decode() if isinstance(item, bytes) else item for item in value.tolist()]
        return value

    def texts(self, path: str, name: str) -> list[str]:
        """A list of text that Keras cuts into NAME0, NAME1 ... where it is long."""
        found = self.attribute(path, name)
        if found is not None:
            return [str(item) for item in found]
        texts: list[str] = []
        for part in itertools.count():
            found = self.attribute(path, f"{name}{part}")
            if found is None:
                return texts
            texts += [str(item) for item in found]
        return texts

    def fill(self, source: Source, budget: Budget) -> None:
        """Reads every dataset."""
        for path, dataset in self.datasets.items():
            if dataset.dtype.kind == "O" or dataset.shape is None:
                source.unheld[path] = "it holds text or nothing"
                continue
            budget.take(dataset.size * dataset.dtype.itemsize, f"dataset {path}")
            array = np.asarray(dataset[()])
            if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.itemsize == 2:
                source.add_bits(path, "BF16", array.view("<u2"))    # h5py's form of the only such type that Keras has
            else:
                source.add(path, array)


def _check_dataset(path: str, dataset: Any) -> None:
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() > 0:
        raise Refused(f"dataset {path} lies in another file, {properties.get_external(0)[0]!r}: that is never read")
    if dataset.is_virtual:
        raise Refused(f"dataset {path} is made of other files' data: that is never read")
    for index in range(properties.get_nfilters()):
        number = properties.get_filter(index)[0]
        if number not in _FILTERS:
            raise Refused(f"dataset {path} is packed by HDF5's filter {number}, expected {', '.join(_FILTERS.values())}")
    if dataset.chunks is None or not properties.get_nfilters():
        return
    chunk = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    for index in range(dataset.id.get_num_chunks()):
        stored = dataset.id.get_chunk_info(index).size
        if stored > chunk + chunk // 256 + 64:    # packing never makes a chunk longer than that
            raise Refused(f"dataset {path} has a chunk of {stored} bytes that unpacks to {chunk}")


def _walk(group: Any, path: str, seen: dict[Any, str]) -> Iterator[tuple[str, Any]]:
    """seen: where each group was met. Links make more than one way to a group, and of a few groups ways without end."""
    for name in group:
        full = f"{path}/{name}" if path else name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Refused(f"{full} is a link to {link.path!r}: links are not followed")
        item = group[name]
        if isinstance(item, h5py.Dataset):
            _check_dataset(full, item)
            yield full, item
        elif isinstance(item, h5py.Group):
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                within = f"{full}/".startswith(f"{seen[address]}/")
                raise Refused(f"{full} is a group that contains itself" if within else
                              f"{full} is the group {seen[address]} once more: links are not followed")
            seen[address] = full
            yield from _walk(item, full, seen)


def tree(file: Any) -> Tree:
    """Everything in an open file; Refused where a part of it is not plain data of its own."""
    return Tree(dict(_walk(file, "", {})), file)
