"""Fills in the structs of one call from arrays."""
from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from libgru import _arrays
from libgru._context import Context, memory, workspace
from libgru._errors import BadArgument, BadData
from libgru._library import library


class Options(NamedTuple):
    """What layers and stacks share of a call; docs in Layer.forward()."""
    lengths: Any
    mask: Any
    offsets: Any
    batch_sizes: Any
    batch_order: Any
    repeat_last: bool
    restart: Any
    attention: Any


class Call:
    """A gru_run in the making. It keeps alive what the struct points to.

    io, state: names of the types. T, N: sizes, known once the input is set.
    """

    def __init__(self, run: Any, context: Context, io: str, state: str) -> None:
        self.run, self.context, self.io, self.state = run, context, io, state
        self.owners: list[Any] = []
        self._ragged_rows: int | None = None

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

    def rows(self, *width: int) -> tuple[int, ...]:
        """Shape of a tensor of all steps: [T][N][width], or [rows][width] of a ragged batch."""
        return ((self.T, self.N) if self._ragged_rows is None else (self._ragged_rows,)) + width

    def ragged(self, options: Options) -> None:
        """Offsets or batch sizes, which give T and N. Before the input."""
        run = self.run
        if options.offsets is not None:
            found = self._found("offsets", options.offsets, "int64", (-1,), False)
            ends = self._numbers("offsets", found, 1)
            if ends[0]:
                raise BadData(f"offsets[0] is {ends[0]}, expected 0")
            run.offsets, run.N = found.address, len(ends) - 1
            run.T, self._ragged_rows = max((b - a for a, b in zip(ends, ends[1:])), default=0), ends[-1]
        if options.batch_sizes is not None:
            found = self._found("batch_sizes", options.batch_sizes, "int64", (-1,), False)
            sizes = self._numbers("batch_sizes", found, 0)
            for t in range(1, len(sizes)):
                if sizes[t] > sizes[t - 1]:
                    raise BadData(f"batch_sizes[{t}] is {sizes[t]}, expected at most batch_sizes[{t - 1}], which is {sizes[t - 1]}")
            run.batch_sizes, run.T, run.N = found.address, len(sizes), sizes[0] if sizes else 0
            self._ragged_rows = sum(sizes)
            self.dense(run, "batch_order", "batch_order", options.batch_order, "int64", (self.N,))
        elif options.batch_order is not None:
            raise BadArgument("batch_order is given, but there are no batch_sizes")

    def _numbers(self, name: str, found: _arrays.Memory, least: int) -> list[int]:
        if found.cuda:
            raise BadArgument(f"{name} is in CUDA memory, where Python does not read T and N: ragged batches on CUDA need the C interface")
        if found.shape[0] < least:
            raise BadArgument(f"{name} is empty, expected {least} or more numbers")
        _arrays.dense(name, found)
        numbers = list((ctypes.c_int64 * found.shape[0]).from_address(found.address)) if found.shape[0] else []
        if any(number < 0 for number in numbers):
            raise BadData(f"{name} has the number {min(numbers)}, expected 0 or more")
        return numbers

    def input(self, view: Any, name: str, array: Any, width: int) -> None:
        """x or projected, which gives T and N unless the batch is ragged."""
        is_ragged = self._ragged_rows is not None
        found = self._found(name, array, self.io, self.rows(width) if is_ragged else (-1, -1, width), False)
        if not is_ragged:
            self.run.T, self.run.N = found.shape[:2]
        self.run.ragged_rows = self._ragged_rows or 0
        _arrays.set_view(view, name, found, is_ragged)

    def view(self, view: Any, name: str, array: Any, kind: str, width: int | None, *, write: bool = False) -> None:
        """A tensor of all steps; width None: of single numbers. array None: nothing."""
        if array is not None:
            shape = self.rows() if width is None else self.rows(width)
            _arrays.set_view(view, name, self._found(name, array, kind, shape, write), self._ragged_rows is not None)

    def dense(self, target: Any, member: str, name: str, array: Any, kind: str, shape: Sequence[int], *, write: bool = False) -> None:
        """An array without gaps. array None: nothing."""
        if array is not None:
            setattr(target, member, _arrays.dense(name, self._found(name, array, kind, shape, write)))

    def states(self, name: str, array: Any, rows: int, width: int, *, write: bool = False) -> tuple[int, int]:
        """Address and stride of [rows][width]."""
        return _arrays.rows(name, self._found(name, array, self.state, (rows, width), write))

    def options(self, given: Options) -> None:
        """All but what ragged() set."""
        if given.mask is not None and self._ragged_rows is not None:
            raise BadArgument("mask is given, and offsets or batch_sizes too: expected at most one of them")
        self.dense(self.run, "lengths", "lengths", given.lengths, "int32", (self.N,))
        self.view(self.run.mask, "mask", given.mask, "byte", None)
        self.run.absent_output = library()["GRU_ABSENT_LAST" if given.repeat_last else "GRU_ABSENT_ZERO"]
        self.view(self.run.restart, "restart", given.restart, "byte", None)
        self.view(self.run.attention, "attention", given.attention, self.weight_gradient, None)

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

    def lend_forward(self, sizes: Any, mode: str) -> None:
        """Makes the run one of a mode such as "GRU_TRAIN", and gives it what that needs."""
        reserve = {"GRU_TRAIN": sizes.reserve, "GRU_TRAIN_RECOMPUTE": sizes.reserve_recompute}
        self.run.mode = library()[mode]
        self.lend(sizes.workspace, reserve.get(mode, 0))

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
    if not isinstance(arrays, (list, tuple)):
        raise BadArgument(f"{name} is a {type(arrays).__name__}, expected a list of {count} arrays, one for each sublayer")
    if len(arrays) != count:
        raise BadArgument(f"{name} has {len(arrays)} arrays, expected {count}, one for each sublayer")
    return list(arrays)
