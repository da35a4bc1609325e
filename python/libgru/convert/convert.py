"""From a path to the output: picks the reader, finds the GRUs, applies what the user asked for."""
from __future__ import annotations

import fnmatch
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from libgru.convert import int8, metadata, names
from libgru.convert.budget import Budget
from libgru.convert.gru import Gru
from libgru.convert.output import Output, assemble
from libgru.convert.refused import Refused
from libgru.convert.source import Source

# By ending: the module that reads the format, and the package that it needs besides numpy.
_NAMED = {".npz": "npz", ".pt": "pytorch", ".pth": "pytorch", ".tar": "pytorch", ".bin": "pytorch", ".ckpt": "pytorch",
          ".safetensors": "safetensors"}
_DESCRIBED = {".h5": ("keras_h5", "h5py"), ".hdf5": ("keras_h5", "h5py"), ".keras": ("keras_v3", "h5py"),
              ".onnx": ("onnx_file", "onnx")}


@dataclass
class Options:
    """What the command line can ask for."""
    limit: int | None = None             # bytes that the input may expand to
    rename: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    gru_only: bool = False
    drop: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)    # by prefix: the tensor of learned initial states
    reversed_outputs: bool = False       # accept layers that return their outputs in reversed order of time
    int8: bool = False                   # round the GRUs' weights to int8


def _reader(module: str, package: str | None = None) -> Callable[..., object]:
    try:
        read: Callable[..., object] = import_module(f"libgru.convert.{module}").read
    except ImportError as error:
        raise Refused(f"reading this format needs the package {package}: pip install {package} ({error})") from error
    return read


def _rename(source: Source, wanted: dict[str, str]) -> None:
    for old, new in wanted.items():
        if old not in source.tensors:
            raise Refused(f"--map {old}={new}: there is no tensor {old}")
        if new in source.tensors:
            raise Refused(f"--map {old}={new}: there is a tensor {new}")
        source.tensors[new] = source.tensors.pop(old)
    names.rename_metadata(source, wanted)


def _read_named(path: Path, ending: str, options: Options, budget: Budget) -> tuple[Source, list[Gru]]:
    read = _reader(_NAMED[ending])
    source = read(path, budget)
    assert isinstance(source, Source)
    _rename(source, options.rename)
    for key, text in options.metadata.items():
        metadata.check_value(key, text)
    source.metadata.update(options.metadata)    # the variant is read from there
    return source, names.find(source, options.states)


def _read_described(path: Path, ending: str, options: Options, budget: Budget) -> tuple[Source, list[Gru]]:
    found = _reader(*_DESCRIBED[ending])(path, budget, options.reversed_outputs)
    assert isinstance(found, tuple)
    source, grus = found
    by_written = {written: name for name, written in source.rest().items()}
    for old, new in options.rename.items():
        if old not in by_written:
            raise Refused(f"--map {old}={new}: there is no tensor {old} beside the GRUs")
        source.written_as[by_written[old]] = new
    return source, grus


def _read(path: Path, options: Options) -> tuple[Source, list[Gru]]:
    ending, budget = path.suffix.lower(), Budget.for_file(path, options.limit)
    if ending in _NAMED:
        return _read_named(path, ending, options, budget)
    if ending in _DESCRIBED and options.states:
        raise Refused(f"--initial-state is for {', '.join(_NAMED)}: {ending} files say themselves what a GRU starts from")
    if ending in _DESCRIBED:
        return _read_described(path, ending, options, budget)
    raise Refused(f"its name ends with none of {', '.join([*_NAMED, *_DESCRIBED])}")


def _dropped(source: Source, patterns: list[str]) -> set[str]:
    every = {**source.rest(), **{name: name for name in source.unheld}}
    dropped = set()
    for pattern in patterns:
        found = {name for name, written in every.items() if fnmatch.fnmatchcase(written, pattern)}
        if not found:
            raise Refused(f"--drop {pattern}: no tensor beside the GRUs has such a name")
        dropped |= found
    return dropped


def convert(path: Path, options: Options) -> Output:
    """What the file would hold. Refused, in one sentence that names the path, where it cannot be made exactly."""
    try:
        source, grus = _read(path, options)
        if not grus:
            raise Refused("it has no GRU" + (f" (it has {len(source.tensors)} tensors)" if source.tensors else ""))
        output = assemble(source, grus, options.gru_only, _dropped(source, options.drop))
        output.metadata.update(options.metadata)
        layers = {gru.prefix: len(gru.layers) for gru in grus}
        metadata.check_given(options.metadata, layers)
        metadata.check(output.metadata, layers)
        if options.int8:
            int8.round_weights(output)
        return output
    except Refused as refusal:
        raise Refused(f"{path}: {refusal}") from refusal
    except MemoryError as error:
        raise Refused(f"{path}: there is not enough memory to read it") from error
    except RecursionError as error:
        raise Refused(f"{path}: it is nested too deeply to be read") from error
    except OSError as error:
        if not error.strerror:    # h5py's, of a file that is none
            raise Refused(f"{path}: it cannot be read as a {path.suffix} file: {error}") from error
        raise Refused(f"{path}: {error.strerror}") from error
    except zipfile.BadZipFile as error:
        raise Refused(f"{path}: it is no zip archive, as {path.suffix} files are ({error})") from error
    except Exception as error:    # a hostile or broken file can make any of the readers' packages raise anything
        text = " ".join(str(error).split())[:300]
        raise Refused(f"{path}: it cannot be read as a {path.suffix} file: {type(error).__name__}: {text}") from error
