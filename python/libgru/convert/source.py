"""The tensors of an input, each accounted for: taken by a GRU, passed through, or left out with a reason."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from libgru.convert.refused import Refused
from libgru.convert.tensor import Array, Tensor, Unheld


@dataclass
class Source:
    """What a reader found. Names are the format's own."""
    path: Path
    tensors: dict[str, Tensor] = field(default_factory=dict)
    unheld: dict[str, str] = field(default_factory=dict)       # name: why the file cannot hold it
    written_as: dict[str, str] = field(default_factory=dict)   # name in the output, where it is another
    metadata: dict[str, str] = field(default_factory=dict)     # of the input, kept
    taken: set[str] = field(default_factory=set)

    def add(self, name: str, array: Array) -> None:
        """Keeps a tensor, or the reason why it cannot be kept."""
        self._check_new(name)
        try:
            self.tensors[name] = Tensor.of(array)
        except Unheld as reason:
            self.unheld[name] = str(reason)

    def add_bits(self, name: str, dtype: str, array: Array) -> None:
        """The same of an array that holds the bits of a type that numpy does not know."""
        self._check_new(name)
        try:
            self.tensors[name] = Tensor.of_bits(dtype, array)
        except Unheld as reason:
            self.unheld[name] = str(reason)

    def _check_new(self, name: str) -> None:
        """One of two tensors of the same name would be lost."""
        if name in self.tensors or name in self.unheld:
            raise Refused(f"it has two tensors called {name}")

    def take(self, name: str) -> Tensor:
        """The tensor, now part of a GRU."""
        self.taken.add(name)
        return self.tensors[name]

    def rest(self) -> dict[str, str]:
        """Names of the tensors that no GRU took, with their names in the output."""
        return {name: self.written_as.get(name, name) for name in self.tensors if name not in self.taken}

    def separate_names(self) -> None:
        """Names in the output that two tensors would share become the format's own."""
        counts = Counter(self.written_as.values())
        self.written_as = {name: name if counts[written] > 1 else written for name, written in self.written_as.items()}
