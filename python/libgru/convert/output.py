"""Puts GRUs and all other tensors together as one file, and keeps the account of what became of each."""
from __future__ import annotations

import re
from dataclasses import dataclass, field

from libgru.convert.gru import Gru
from libgru.convert.refused import Refused
from libgru.convert.source import Source
from libgru.convert.tensor import Tensor

_PART = re.compile(r"(?:(?:weight|bias)_(?:ih|hh)|weight_(?:ih|hh)_scale)_l[0-9]+(?:_reverse)?")


@dataclass
class Output:
    """The file to be, and for each of its tensors the names in the input."""
    grus: list[Gru]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)    # name in the input: reason
    unwanted: list[str] = field(default_factory=list)         # left out because the user said so
    losses: dict[str, str] = field(default_factory=dict)      # by name: what was lost by rounding it

    def add(self, name: str, tensor: Tensor, sources: tuple[str, ...]) -> None:
        if name in self.tensors:
            raise Refused(f"two tensors would be called {name}, made of {', '.join(self.sources[name])} and of "
                          f"{', '.join(sources)}: rename one with --map")
        self.tensors[name], self.sources[name] = tensor, sources


def _add_gru(output: Output, gru: Gru) -> None:
    if gru.start_together():
        output.metadata[f"{gru.prefix}gru.initial_state"] = "learned"
    for number, layer in enumerate(gru.layers):
        for end, cell in layer.cells().items():
            for part, made in cell.parts().items():
                output.add(f"{gru.prefix}{part}_l{number}{end}", made.tensor, made.sources)
    words = [dict(layer.variant.words(), **({"merge": layer.merge} if len(layer.cells()) == 2 else {}))
             for layer in gru.layers]
    for number, own in enumerate(words):
        common = f"{gru.prefix}gru." if all(other == own for other in words) else f"{gru.prefix}gru.l{number}."
        output.metadata.update({common + field: text for field, text in own.items()})


def _check_strays(output: Output, gru: Gru) -> None:
    """A tensor that the library would take for a part of this GRU."""
    own = {f"{gru.prefix}{part}_l{number}{end}" for number, layer in enumerate(gru.layers)
           for end, cell in layer.cells().items() for part in cell.parts()}
    for name in output.tensors:
        if name.startswith(gru.prefix) and _PART.fullmatch(name[len(gru.prefix):]) and name not in own:
            raise Refused(f"{name} would be read as a part of the GRU {gru.prefix!r}: rename it with --map")


def assemble(source: Source, grus: list[Gru], gru_only: bool, dropped: set[str]) -> Output:
    """Every tensor of the source is in the output, left out, or unwanted; anything else is a fault of this program."""
    output = Output(grus)
    prefixes = [gru.prefix for gru in grus]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise Refused(f"two GRUs would have the prefix {prefix!r}: convert them apart")
    for gru in grus:
        _add_gru(output, gru)
    for name, written in source.rest().items():
        if gru_only or name in dropped:
            output.unwanted.append(name)
        else:
            output.add(written, source.tensors[name], (name,))
    for name, reason in source.unheld.items():
        if gru_only or name in dropped:
            output.unwanted.append(name)
        else:
            output.left_out[name] = reason
    for gru in grus:
        _check_strays(output, gru)
    output.metadata.update(source.metadata)
    _account(source, output)
    return output


def _account(source: Source, output: Output) -> None:
    found = {name for names in output.sources.values() for name in names} | {*output.left_out, *output.unwanted}
    lost = sorted({*source.tensors, *source.unheld} - found)
    if lost:
        raise Refused(f"{lost[0]} would be lost: neither written nor named as left out")
