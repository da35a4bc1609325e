"""PyTorch's own GRU, with the weights that its own loader finds."""
from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from libgru.convert import rnn
from libgru.convert.gru import PARTS, Gru, Part
from libgru.convert.source import Source
from libgru.convert.verify import N, drawn, ours


def _find(value: Any, name: str) -> Any:
    """A tensor by the dotted name that the converter gave it, in whatever the loader returned."""
    if isinstance(value, torch.nn.Module):
        value = {**value.state_dict(), **vars(value)}
    if isinstance(value, torch.Tensor):
        return value if not name else None
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        if name == str(key) or name.startswith(f"{key}."):
            found = _find(item, name[len(str(key)) + 1:])
            if found is not None:
                return found
    return None


def _load(path: Path, grus: list[Gru]) -> Any:
    """Never unpickles code; a TorchScript archive brings its own, which does not run here."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            wanted = {name for gru in grus for layer in gru.layers for cell in layer.cells().values()
                      for part in cell.parts().values() for name in part.sources}
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files if name in wanted}
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file
        return load_file(path)
    if zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist()):
        return torch.jit.load(path, map_location="cpu").state_dict()
    return torch.load(path, map_location="cpu", weights_only=True)


def _weights(loaded: Any, part: Part) -> Any:
    """The part as the framework makes it of the input's tensors. Where all GRUs lie in one dict, below a key, names
    lack that key."""
    places = [loaded, *(item for item in loaded.values() if isinstance(item, dict))]
    for place in places:
        found = [_find(place, name) for name in part.sources]
        if all(tensor is not None for tensor in found):
            if len(found) == 1:
                return found[0]
            if part.sources[0].endswith("_mask"):
                return found[0] * found[1]
            g, v = found
            dims = [i for i in range(g.dim()) if g.shape[i] != 1]
            return torch._weight_norm(v, g, dims[0] if dims else -1)
    raise LookupError(f"{part.sources} is not in what torch.load returns")


def _module(loaded: Any, gru: Gru) -> torch.nn.GRU:
    first = gru.layers[0]
    cells = first.cells()
    if any((layer.variant.words(), layer.merge) != (first.variant.words(), "concat") or layer.variant.reset != "after"
           for layer in gru.layers) or "" not in cells:
        raise LookupError(f"torch.nn.GRU has no such variant as {gru.prefix}")
    has_bias = "bias_ih" in cells[""].parts()
    module = torch.nn.GRU(first.inputs, cells[""].hidden, len(gru.layers), bias=has_bias, bidirectional=len(cells) == 2)
    state = {}
    for number, layer in enumerate(gru.layers):
        for end, cell in layer.cells().items():
            for name, part in cell.parts().items():
                if name == "h0":
                    continue
                state[f"{name}_l{number}{end}"] = _weights(loaded, part).to(torch.float32) if part.sources else \
                    torch.zeros(3 * cell.hidden)
    assert all(name.split("_l")[0] in PARTS for name in state)
    module.load_state_dict(state, strict=True)
    return module


def _states(loaded: Any, gru: Gru) -> Any:
    """[sublayers][N][H] of the input, where all sublayers share one tensor or each has its own; None: zeros."""
    cells = [cell for layer in gru.layers for cell in layer.cells().values()]
    if not any(cell.h0 for cell in cells):
        return None
    rows = []
    for index, cell in enumerate(cells):
        whole = _weights(loaded, cell.h0).reshape(-1, cell.hidden) if cell.h0 and cell.h0.sources else \
            torch.zeros(1, cell.hidden)
        rows.append(whole[index if len(whole) > 1 else 0].to(torch.float32))
    return torch.stack(rows)[:, None].expand(-1, N, -1).contiguous()


def compare(path: Path, source: Source, grus: list[Gru]) -> Iterator[tuple[Gru, rnn.Numbers, rnn.Numbers]]:
    """For each GRU: the framework's numbers, and the file's."""
    loaded = _load(path, grus)
    for gru in grus:
        x = drawn(gru.layers[0].inputs)
        with torch.no_grad():
            y, states = _module(loaded, gru)(torch.from_numpy(x.astype("f4")), _states(loaded, gru))
        theirs = np.concatenate([y.numpy().astype("f8").ravel(), states.numpy().astype("f8").ravel()])
        yield gru, theirs, ours(source, gru.prefix, x)
