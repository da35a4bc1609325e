"""Adds one more tensor to a file of any format, under a name that no GRU has."""
from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

NAME = "one.more"


class _Named:
    """Stands for a function or a class of torch: pickled by its name alone."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__, self.__qualname__ = module, name, name

    def __call__(self, *_: Any) -> None:
        raise AssertionError("pickles are written here, never run")


class Fake:
    """A tensor in a pickle, without torch."""

    def __init__(self, array: Any, kind: str = "FloatStorage", shape: tuple[int, ...] | None = None,
                 strides: tuple[int, ...] | None = None) -> None:
        self.array, self.kind = np.ascontiguousarray(array), kind
        self.shape = self.array.shape if shape is None else shape
        self.strides = tuple(s // self.array.itemsize for s in self.array.strides) if strides is None else strides


class Unknown:
    """An object of a class that nobody knows."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


class _Storage:
    def __init__(self, tensor: Fake, key: str) -> None:
        self.tensor, self.key = tensor, key


_NAMES = {full: _Named(*full.rsplit(".", 1)) for full in
          ("torch.FloatStorage", "torch.DoubleStorage", "torch._utils._rebuild_tensor_v2", "somewhere.Unknown")}


class _Pickler(pickle.Pickler):
    """old: as PyTorch before 1.6 refers to storages."""

    def __init__(self, file: Any, storages: list[bytes], keys: str, old: bool) -> None:
        super().__init__(file, protocol=2)
        self.storages, self.keys, self.old = storages, keys, old

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, _Storage):
            return None
        view = (None,) if self.old else ()
        return ("storage", _NAMES[f"torch.{value.tensor.kind}"], value.key, "cpu", value.tensor.array.size, *view)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _Named):
            return value.__qualname__
        if isinstance(value, Unknown):
            return _NAMES["somewhere.Unknown"], value.arguments
        if not isinstance(value, Fake):
            return NotImplemented
        self.storages.append(value.array.tobytes())
        return (_NAMES["torch._utils._rebuild_tensor_v2"],
                (_Storage(value, f"{self.keys}{len(self.storages) - 1}"), 0, value.shape, value.strides, False, {}))


def _pickled(value: Any, storages: list[bytes], keys: str = "", old: bool = False) -> bytes:
    """As torch.save pickles it, with storages appended. Pickle looks every name up: it finds them in modules that are there for that alone."""
    modules = {full.rsplit(".", 1)[0] for full in _NAMES}
    kept = {module: sys.modules.get(module) for module in modules}
    file = io.BytesIO()
    try:
        for module in modules:
            sys.modules[module] = types.ModuleType(module)
        for named in _NAMES.values():
            setattr(sys.modules[named.__module__], named.__name__, named)
        _Pickler(file, storages, keys, old).dump(value)
    finally:
        for module, before in kept.items():
            del sys.modules[module]
            if before is not None:
                sys.modules[module] = before
    return file.getvalue()


def write_pt(path: Path, value: Any) -> None:
    """A .pt file of dicts, lists and Fakes."""
    storages: list[bytes] = []
    content = _pickled(value, storages)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
        for index, data in enumerate(storages):
            archive.writestr(f"archive/data/{index}", data)


ONES = np.ones((2, 3), "f4")
DEEP = np.ones((1,) * 9, "f4")    # more dimensions than a file of the library holds


def add(path: Path, target: Path, array: Any = ONES) -> None:
    """Copies a file and adds the array to it."""
    {".npz": _npz, ".safetensors": _safetensors, ".h5": _h5, ".keras": _keras, ".onnx": _onnx, ".pt": _torch,
     ".pth": _torch, ".tar": _torch}[path.suffix](path, target, array)


def _npz(path: Path, target: Path, array: Any) -> None:
    with np.load(path) as arrays:
        np.savez(target, **{name: arrays[name] for name in arrays.files}, **{NAME: array})


def _safetensors(path: Path, target: Path, array: Any) -> None:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header, content = json.loads(data[8:8 + length]), data[8 + length:]
    header[NAME] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(content), len(content) + array.nbytes]}
    text = json.dumps(header).encode()
    target.write_bytes(struct.pack("<Q", len(text)) + text + content + array.tobytes())


def _h5(path: Path, target: Path, array: Any) -> None:
    import h5py
    target.write_bytes(path.read_bytes())
    with h5py.File(target, "a") as file:
        file[NAME] = array


def _keras(path: Path, target: Path, array: Any) -> None:
    import h5py
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".h5"):
                memory = io.BytesIO(content)
                with h5py.File(memory, "a") as file:
                    file[NAME] = array
                content = memory.getvalue()
            new.writestr(name, content)


def _onnx(path: Path, target: Path, array: Any) -> None:
    import onnx
    import onnx.numpy_helper
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(array, NAME))
    onnx.save(model, target)


def _spliced(content: bytes, storages: list[bytes], array: Any, old: bool = False) -> bytes:
    """The pickle of a dict with one item more, or of an object whose state, the last that is pickled, has it."""
    from libgru.convert.pickled import load
    pushes = [_pickled(item, storages, NAME, old)[2:-1] for item in (NAME, Fake(array))]
    last = "STOP" if isinstance(load(io.BytesIO(content)), dict) else "BUILD"
    end = max(place or 0 for opcode, _, place in pickletools.genops(content) if opcode.name == last)
    return content[:end] + b"".join(pushes) + pickle.SETITEM + content[end:]


def _torch(path: Path, target: Path, array: Any) -> None:
    storages: list[bytes] = []
    if not zipfile.is_zipfile(path):
        target.write_bytes(_before_1_6(path.read_bytes(), array))
        return
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("/data.pkl"):
                content = _spliced(content, storages, array)
                new.writestr(name.removesuffix(".pkl") + f"/{NAME}0", storages[0])
            new.writestr(name, content)


def _before_1_6(content: bytes, array: Any) -> bytes:
    """Pickles one after the other, of which the fourth is the object and the fifth its storages' keys; then each storage."""
    file, pickles, storages = io.BytesIO(content), [], []
    for _ in range(5):
        begin = file.tell()
        for _ in pickletools.genops(file):
            pass
        pickles.append(content[begin:file.tell()])
    pickles[3] = _spliced(pickles[3], storages, array, old=True)
    pickles[4] = pickle.dumps([*pickle.loads(pickles[4]), f"{NAME}0"], protocol=2)
    return b"".join(pickles) + file.read() + struct.pack("<q", array.size) + storages[0]
