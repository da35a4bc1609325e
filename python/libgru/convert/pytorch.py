"""PyTorch's .pt and .pth files: state dicts, checkpoints around them, whole modules, TorchScript archives."""
from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libgru.convert.archive import member, open_zip
from libgru.convert.budget import Budget
from libgru.convert.pickled import Inert, Storage, View, load
from libgru.convert.refused import Refused
from libgru.convert.source import Source
from libgru.convert.tensor import Unheld, bits_type

_MAGIC = 0x1950a86a20f9469cfc6c    # the first pickle of a file of PyTorch before 1.6
_MOST = 100_000                    # containers that are visited: a pickle may refer to one a billion times
Content = Callable[[Storage], bytes]


# ---- what is in the object ----------------------------------------------------------------------------------------------

@dataclass
class _Leaf:
    """A tensor's full name, and the name of the state dict or module that it belongs to."""
    name: str
    home: str
    view: View | str    # a reason, where it cannot be read


@dataclass
class _Walk:
    leaves: list[_Leaf] = field(default_factory=list)
    active: set[int] = field(default_factory=set)
    visited: int = 0

    def visit(self, value: Any, name: str, home: str, module: bool = False) -> None:
        """home: of the innermost dict, or of the outermost module."""
        if isinstance(value, View):
            self.leaves.append(_Leaf(name, home, value))
        elif isinstance(value, Storage):
            self.leaves.append(_Leaf(name, home, "it is a storage, without a shape"))
        elif isinstance(value, (dict, list, tuple, Inert)) and id(value) not in self.active:
            self.active.add(id(value))
            self.visited += 1
            if self.visited > _MOST:
                raise Refused(f"the pickle holds more than {_MOST} lists, dicts and objects")
            inside = isinstance(value, Inert)
            for key, item in _children(value):
                self.visit(item, f"{name}.{key}" if name and key else name or key,
                           name if not module and isinstance(value, (dict, Inert)) else home, module or inside)
            if isinstance(value, Inert) and ("_reconstruct" in value.kind or _holds_numbers(
                    (value.arguments, None if isinstance(value.state, dict) else value.state))):
                self.leaves.append(_Leaf(name, home, f"it is an object of {value.kind}"))
            self.active.remove(id(value))


def _holds_numbers(value: Any) -> bool:
    """Whether there is a tensor somewhere in an object that is not read as one."""
    waiting, seen = [value], set[int]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, (View, Storage)):
            return True
        if isinstance(item, (tuple, list, dict, Inert)) and id(item) not in seen:
            seen.add(id(item))
            waiting += [item.arguments, item.state] if isinstance(item, Inert) else \
                item.values() if isinstance(item, dict) else item
    return False


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """A module's parts go by their own names, as in its state dict."""
    if isinstance(value, Inert):
        state = value.state if isinstance(value.state, dict) else {}
        for key, item in state.items():
            if key == "_flat_weights":    # nn.GRU's second list of its parameters
                continue
            yield "" if key in ("_parameters", "_buffers", "_modules") else str(key), item
    elif isinstance(value, dict):
        yield from ((str(key), item) for key, item in value.items())
    else:
        yield from ((str(index), item) for index, item in enumerate(value))


def _is_recurrent(leaf: _Leaf) -> bool:
    shape: Any = leaf.view.shape if isinstance(leaf.view, View) else ()
    if not isinstance(shape, tuple):
        return False
    return "weight_hh" in leaf.name and len(shape) == 2 and shape[0] == 3 * shape[1]


def _names(leaves: list[_Leaf]) -> dict[int, str]:
    """Names by leaf. Where all GRUs lie in one state dict, its tensors lose the key under which it lies."""
    full = {index: leaf.name for index, leaf in enumerate(leaves)}
    homes = {leaf.home for leaf in leaves if _is_recurrent(leaf)}
    if len(homes) != 1 or homes == {""}:
        return full
    home = homes.pop() + "."
    short = {index: name.removeprefix(home) for index, name in full.items()}
    return short if len(set(short.values())) == len(set(full.values())) else full


def _fill(source: Source, value: Any, content: Content, budget: Budget) -> None:
    walk = _Walk()
    walk.visit(value, "", "")
    for index, name in _names(walk.leaves).items():
        view = walk.leaves[index].view
        if isinstance(view, str):
            source.unheld[name] = view
            continue
        try:
            source.add_bits(name, view.dtype, view.read(name, content, budget))
        except Unheld as reason:
            source.unheld[name] = str(reason)


# ---- where it lies ------------------------------------------------------------------------------------------------------

def _read_zip(source: Source, budget: Budget) -> None:
    with open_zip(source.path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise Refused("it is a zip archive without the one data.pkl that PyTorch writes")
        root = pickles[0].removesuffix("data.pkl")
        if root + "byteorder" in archive.namelist() and member(archive, root + "byteorder", budget) != b"little":
            raise Refused("it was written on a machine of the other byte order")
        for file, folder in (("data.pkl", "data/"), ("constants.pkl", "constants/")):
            if root + file in archive.namelist():
                value = load(io.BytesIO(member(archive, root + file, budget)))
                value = {"constants": value} if folder == "constants/" else value
                stored: dict[str, bytes] = {}

                def content(storage: Storage) -> bytes:
                    if storage.key not in stored:
                        stored[storage.key] = member(archive, root + folder + storage.key, budget)
                    return stored[storage.key]
                _fill(source, value, content, budget)


def _read_old(source: Source, budget: Budget) -> None:
    """Before 1.6: pickles one after the other, then each storage's count and numbers."""
    file = io.BytesIO(source.path.read_bytes())
    if load(file) != _MAGIC:
        raise Refused("it is neither a zip archive nor a file of PyTorch before 1.6")
    load(file), load(file)
    value, keys = load(file), load(file)
    wanted: dict[str, str] = {}
    walk = _Walk()
    walk.visit(value, "", "")
    for leaf in walk.leaves:
        if isinstance(leaf.view, View):
            wanted[leaf.view.storage.key] = leaf.view.storage.dtype or "U8"
    stored: dict[str, bytes] = {}
    for key in keys:
        if str(key) not in wanted:
            break    # without its type the next one's place is unknown
        count = struct.unpack("<q", file.read(8))[0]
        stored[str(key)] = file.read(max(count, 0) * bits_type(wanted[str(key)]).itemsize)
    _fill(source, value, lambda storage: stored.get(storage.key, b""), budget)


def read(path: Path, budget: Budget) -> Source:
    """All tensors of the file, by dotted names."""
    source = Source(path)
    if zipfile.is_zipfile(path):
        _read_zip(source, budget)
    else:
        _read_old(source, budget)
    return source
