"""GRUs in tensors with PyTorch's names, as in state dicts, safetensors and npz files."""
from __future__ import annotations

import re
from collections.abc import Iterable

from libgru.convert.gru import PARTS, Cell, Gru, Layer, Part, Variant, layer_words
from libgru.convert.metadata import check_value
from libgru.convert.parametrized import effective
from libgru.convert.refused import Refused
from libgru.convert.source import Source

# weight_ih_l0, bias_hh_l12_reverse with any prefix: a layer of nn.GRU.
_LAYERED = re.compile(r"(?P<prefix>.*)(?P<part>(?:weight|bias)_(?:ih|hh))_l(?P<layer>[0-9]+)(?P<end>|_reverse)",
                      re.DOTALL)
# cell.weight_ih, enc_w_ih: one cell, as nn.GRUCell and papers' npz files call it.
_SINGLE = re.compile(r"(?:(?P<prefix>.*?)[._])?(?P<kind>weight|bias|w|b)_(?P<side>ih|hh)", re.DOTALL)
_KINDS = {"weight": "weight", "w": "weight", "bias": "bias", "b": "bias"}

Cells = dict[tuple[int, str], dict[str, Part]]    # by layer and ending, then by part


def _grouped(parts: dict[str, Part]) -> dict[str, Cells]:
    """Parts of cells by prefix. A single cell is layer 0 under its prefix and a dot."""
    groups: dict[str, Cells] = {}
    for name, part in parts.items():
        match = _LAYERED.fullmatch(name)
        if match:
            key = (int(match["layer"]), match["end"])
            groups.setdefault(match["prefix"], {}).setdefault(key, {})[match["part"]] = part
    for name, part in parts.items():
        match = _SINGLE.fullmatch(name)
        if match:
            prefix = f"{match['prefix']}." if match["prefix"] else ""
            cell = groups.setdefault(prefix, {}).setdefault((0, ""), {})
            if cell.setdefault(f"{_KINDS[match['kind']]}_{match['side']}", part) is not part:
                raise Refused(f"{name} is a second {match['kind']}_{match['side']} of {prefix or 'the cell'}")
    return groups


def _is_gru(prefix: str, cells: Cells, parts: dict[str, Part]) -> bool:
    """Three gates tell a GRU from an LSTM or a plain RNN; a projection only an LSTM has."""
    shapes = [cell["weight_hh"].tensor.shape for cell in cells.values() if "weight_hh" in cell]
    return (any(len(shape) == 2 and shape[0] == 3 * shape[1] > 0 for shape in shapes)
            and f"{prefix}weight_hr_l0" not in parts)


def _cell(who: str, found: dict[str, Part]) -> Cell:
    missing = [name for name in PARTS[:2] if name not in found]
    if missing:
        raise Refused(f"{who} has no {missing[0]}")
    return Cell(found["weight_ih"], found["weight_hh"], found.get("bias_ih"), found.get("bias_hh"),
                found.get("h0")).checked(who)


def _variant(source: Source, prefix: str, layer: int) -> tuple[Variant, str]:
    """PyTorch's, unless the input's own metadata says otherwise (a file of this library)."""
    words = layer_words(source.metadata, prefix, layer)
    for field, text in words.items():
        check_value(f"{prefix}gru.{field}", text)
    return Variant.of_words(words), words.get("merge", "concat")


def _given_states(prefix: str, cells: Cells, parts: dict[str, Part], name: str) -> None:
    """Divides one tensor [sublayers][H], as PyTorch takes h0, also with a middle of 1 for the batch, among the cells."""
    part, order = parts.get(name), sorted(cells)
    if part is None:
        raise Refused(f"--initial-state {name}={prefix}: there is no tensor {name}")
    shape = part.tensor.shape
    rows = shape if len(shape) == 2 else (1, *shape) if len(shape) == 1 else \
        (shape[0], shape[2]) if len(shape) == 3 and shape[1] == 1 else ()
    if len(rows) != 2 or rows[0] != len(order):
        raise Refused(f"--initial-state {name}={prefix}: {name} is {list(shape)}, expected [{len(order)}][H] or "
                      f"[{len(order)}][1][H]: a row for each direction of each layer")
    for key, row in zip(order, part.tensor.bits.reshape(rows)):
        cells[key]["h0"] = Part(part.tensor.like(row), part.sources)


def _own_states(prefix: str, cells: Cells, parts: dict[str, Part]) -> None:
    """Of a file of this library, where each cell has its own."""
    for (layer, end), cell in cells.items():
        name = f"{prefix}h0_l{layer}{end}"
        if name not in parts:
            raise Refused(f"{prefix}gru.initial_state is learned, but there is no tensor {name}")
        cell["h0"] = parts[name]


def _stack(prefix: str, cells: Cells, source: Source) -> list[Layer]:
    layers: list[Layer] = []
    for number in range(1 + max(layer for layer, _ in cells)):
        who = f"{prefix or 'the GRU'} layer {number}"
        found = {end: _cell(who + end, cells[number, end]) for end in ("", "_reverse") if (number, end) in cells}
        if not found:
            raise Refused(f"{who} is missing, but there is a layer above it")
        variant, merge = _variant(source, prefix, number)
        layer = Layer(variant, found.get(""), found.get("_reverse"), merge)
        if len({(cell.inputs, cell.hidden, cell.W.tensor.dtype) for cell in found.values()}) > 1:
            raise Refused(f"{who}: its two directions have different sizes or types")
        if layers and layers[-1].outputs != layer.inputs:
            raise Refused(f"{who} reads {layer.inputs} numbers, but the layer below it makes {layers[-1].outputs}")
        layers.append(layer)
    return layers


def _is_of(key: str, prefix: str) -> bool:
    """Whether a key of the metadata is of the GRU with this prefix."""
    return re.fullmatch(re.escape(prefix) + r"gru\.(l[0-9]+\.)?[^.]*", key, re.DOTALL) is not None


def rename_metadata(source: Source, renamed: dict[str, str]) -> None:
    """Where parts of a GRU were renamed, what its metadata says of the variant has to follow."""
    moves: dict[str, str] = {}
    for old, new in renamed.items():
        was, now = _LAYERED.fullmatch(old), _LAYERED.fullmatch(new)
        if was and any(_is_of(key, was["prefix"]) for key in source.metadata):
            if now is None or was.groups()[1:] != now.groups()[1:] or \
                    moves.setdefault(was["prefix"], now["prefix"]) != now["prefix"]:
                raise Refused(f"--map {old}={new}: the input's metadata says what {was['prefix'] or 'the GRU'} computes, "
                              "so only its prefix can change")
    for before, after in moves.items():
        if any((match := _LAYERED.fullmatch(name)) and match["prefix"] == before for name in source.tensors):
            raise Refused(f"--map: a part of {before or 'the GRU'} would stay behind, and the input's metadata says what "
                          "the whole computes: rename all of it")
    ready = {key: next((after + key[len(before):] for before, after in moves.items() if _is_of(key, before)),
                       key) for key in source.metadata}
    source.metadata = {ready[key]: text for key, text in source.metadata.items()}


def find(source: Source, states: dict[str, str]) -> list[Gru]:
    """Every GRU of the source; its tensors are taken. states: by prefix, a tensor of learned initial states."""
    parts, grus = effective(source), list[Gru]()
    for prefix, cells in sorted(_grouped(parts).items()):
        if not _is_gru(prefix, cells, parts):
            continue
        if prefix in states:
            _given_states(prefix, cells, parts, states[prefix])
        elif source.metadata.get(f"{prefix}gru.initial_state") == "learned":
            _own_states(prefix, cells, parts)
        gru = Gru(prefix, _stack(prefix, cells, source), prefix)
        _take(source, gru.layers)
        grus.append(gru)
    for prefix, name in states.items():
        if prefix not in (gru.prefix for gru in grus):
            raise Refused(f"--initial-state {name}={prefix}: there is no GRU with the prefix {prefix!r}")
    return grus


def _take(source: Source, layers: Iterable[Layer]) -> None:
    for layer in layers:
        for cell in layer.cells().values():
            for part in cell.parts().values():
                for name in part.sources:
                    source.take(name)
