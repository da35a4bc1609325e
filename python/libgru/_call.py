"""Fills in the structs of one call from arrays."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from libgru import _arrays
from libgru._context import Context, memory, workspace
from libgru._errors import BadArgument
from libgru._library import library


class Call:
    """A gru_run in the making. It keeps alive what the struct points to.

    io, state: names of the types. T, N: sizes, known once the input is set.
    """

    def __init__(self, run: Any, context: Context, io: str, state: str) -> None:
        self.run, self.context, self.io, self.state = run, context, io, state
        self.owners: list[Any] = []

    @property
    def T(self) -> int:
        return int(self.run.T)

    @property
    def N(self) -> int:
        return int(self.run.N)

    @property
    def weight_gradient(self) -> str:
        """Type of gradients of weights, of attention and of loss scales."""
        return "f64" if self.io == "f64" else "f32"

    def _found(self, name: str, array: Any, kind: str, shape: Sequence[int], write: bool) -> _arrays.Memory:
        found = _arrays.check(name, _arrays.memory(name, array), (kind,), shape, cuda=self.context.is_cuda, write=write)
        self.owners.append(found.owner)
        return found

    def input(self, view: Any, name: str, array: Any, width: int) -> None:
        """x or projected, which gives T and N."""
        found = self._found(name, array, self.io, (-1, -1, width), False)
        self.run.T, self.run.N = found.shape[:2]
        _arrays.set_view(view, name, found)

    def view(self, view: Any, name: str, array: Any, kind: str, width: int | None, *, write: bool = False) -> None:
        """[T][N][width], or [T][N] for width None. array None: nothing."""
        if array is not None:
            shape = (self.T, self.N) if width is None else (self.T, self.N, width)
            _arrays.set_view(view, name, self._found(name, array, kind, shape, write))

    def dense(self, target: Any, member: str, name: str, array: Any, kind: str, shape: Sequence[int], *, write: bool = False) -> None:
        """An array without gaps. array None: nothing."""
        if array is not None:
            setattr(target, member, _arrays.dense(name, self._found(name, array, kind, shape, write)))

    def states(self, name: str, array: Any, rows: int, width: int, *, write: bool = False) -> tuple[int, int]:
        """Address and stride of [rows][width]."""
        return _arrays.rows(name, self._found(name, array, self.state, (rows, width), write))

    def options(self, lengths: Any, mask: Any, repeat_last: bool, restart: Any, attention: Any) -> None:
        """What layers and stacks share."""
        self.dense(self.run, "lengths", "lengths", lengths, "int32", (self.N,))
        self.view(self.run.mask, "mask", mask, "byte", None)
        self.run.absent_output = library()["GRU_ABSENT_LAST" if repeat_last else "GRU_ABSENT_ZERO"]
        self.view(self.run.restart, "restart", restart, "byte", None)
        self.view(self.run.attention, "attention", attention, self.weight_gradient, None)

    def new(self, name: str, array: Any, kind: str, shape: Sequence[int]) -> Any:
        """The caller's array to write to, or a new one."""
        return _arrays.empty(name, kind, shape, cuda=self.context.is_cuda) if array is None else array

    def lend(self, size: int, reserve: int = 0) -> None:
        """Gives the run its workspace and, in training, its reserve. One is kept for each thread; the other is the call's."""
        owner, self.run.workspace = workspace(self.context, size)
        self.run.workspace_size = size
        self.owners.append(owner)
        if reserve:
            owner, self.run.reserve = memory(self.context, reserve)
            self.run.reserve_size = reserve
            self.owners.append(owner)

    def finish(self) -> None:
        """CUDA: waits, because the workspace is freed with the call."""
        if self.context.is_cuda:
            library().call("gru_wait", self.context._handle, self.run.stream)

    @contextlib.contextmanager
    def backward(self) -> Iterator[None]:
        """Around a backward pass, whose own arrays need not live on."""
        kept = len(self.owners)
        try:
            yield
            self.finish()
        finally:
            del self.owners[kept:]


def as_list(name: str, arrays: Any, count: int) -> list[Any]:
    """A sequence of `count` arrays, or None for each."""
    if arrays is None:
        return [None] * count
    if not isinstance(arrays, (list, tuple)) or len(arrays) != count:
        size = len(arrays) if hasattr(arrays, "__len__") else 0
        raise BadArgument(f"{name} is a {type(arrays).__name__} of {size}, expected a list of {count} arrays, one for each sublayer")
    return list(arrays)
