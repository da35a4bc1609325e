"""Runs a layer or a stack one step at a time: gru_stream of gru/stream.h."""
from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from libgru import _arrays, _check
from libgru._call import as_list
from libgru._errors import BadArgument
from libgru._layer import Layer
from libgru._library import library
from libgru._stack import Stack


class Stream:
    """Keeps the states between steps, so that the results of `step` are those of one call over the whole sequence, to the bit.

    model: a Layer or a Stack on the CPU, without a reverse direction. rows: N, sequences that advance together.

    A step allocates only its result. One caller at a time may use a stream. Raises BadArgument, Unsupported.
    """

    def __init__(self, model: Layer | Stack, rows: int = 1) -> None:
        _check.instance("model", model, Layer, Stack)
        if model.context.is_cuda:
            raise BadArgument("the model is on CUDA, and a Stream runs on the CPU: call forward() with T = 1 instead")
        lib = self._lib = library()
        self.model, self.rows = model, _check.integer("rows", rows, 1, 2**63 - 1)
        is_stack = isinstance(model, Stack)
        self._io, self._state = model._types
        self._hidden = model.hidden if isinstance(model, Stack) else [model.hidden]
        config, handle = lib.new("gru_stream_config"), ctypes.c_void_p()
        config.rows = self.rows
        lib.call("gru_stream_create_stack" if is_stack else "gru_stream_create", model._handle, ctypes.byref(config),
                 ctypes.byref(handle))
        self._handle = handle
        weakref.finalize(self, _release, handle, model)    # the model outlives the stream
        # A function object of its own, whose arguments are ready: without conversions a call takes 0.5 us less.
        self._function = lib.c["gru_stream_step"]
        self._function.restype = ctypes.c_int32
        self._make_buffers(model.outputs if isinstance(model, Stack) else model.hidden)

    def _make_buffers(self, outputs: int) -> None:
        """For x and y, at fixed places, and views of them as one row."""
        self._x = _arrays.empty("x", self._io, (self.rows, self.model.inputs), cuda=False)
        self._y = _arrays.empty("y", self._io, (self.rows, outputs), cuda=False)
        self._x_row, self._y_row = self._x.reshape(-1), self._y.reshape(-1)
        self._x_place, self._y_place = (ctypes.c_void_p(array.ctypes.data) for array in (self._x, self._y))
        self._type, self._shape = self._x.dtype, self._x.shape
        self._row_shape = (self.model.inputs,) if self.rows == 1 else None

    def step(self, x: Any) -> Any:
        """Advances by one step. x [N][inputs], or [inputs] if N is 1, of the io type. Returns y [N][outputs], or [outputs], a
        new array. Raises BadArgument."""
        if type(x) is not np.ndarray or x.dtype is not self._type:
            return self._step_of(x)
        if x.shape == self._row_shape:
            self._x_row[...] = x
            y = self._y_row
        elif x.shape == self._shape:
            self._x[...] = x
            y = self._y
        else:
            return self._step_of(x)
        status = self._function(self._handle, self._x_place, self._y_place)
        if status:
            self._lib.check(status)
        return y.copy()

    def _step_of(self, x: Any) -> Any:
        """Any other array: read in place, or refused."""
        found = _arrays.memory("x", x)
        is_row = self.rows == 1 and len(found.shape) == 1
        shape = (self.model.inputs,) if is_row else (self.rows, self.model.inputs)
        _arrays.check("x", found, (self._io,), shape, cuda=False)
        place = ctypes.c_void_p(_arrays.dense("x", found))
        self._lib.check(self._function(self._handle, place, self._y_place))
        return self._y_row.copy() if is_row else self._y.copy()

    def reset(self, row: int | None = None) -> None:
        """Sets the states of one row to zeros, or to a stack's learned initial states; None: of all rows."""
        self._lib.call("gru_stream_reset", self._handle, -1 if row is None else _check.integer("row", row, 0, self.rows - 1))

    def _blocks(self, block: Any) -> list[Any]:
        """[N][H] of each layer in one array of all states."""
        ends = np.cumsum([self.rows * H for H in self._hidden])
        return [part.reshape(self.rows, H) for part, H in zip(np.split(block, ends[:-1]), self._hidden)]

    @property
    def states(self) -> list[Any]:
        """Copies of the states [N][H], one for each layer. Assign a list to set them."""
        block = _arrays.empty("states", self._state, (sum(self.rows * H for H in self._hidden),), cuda=False)
        self._lib.call("gru_stream_read_state", self._handle, block.ctypes.data)
        return self._blocks(block)

    @states.setter
    def states(self, arrays: Sequence[Any]) -> None:
        block = _arrays.empty("states", self._state, (sum(self.rows * H for H in self._hidden),), cuda=False)
        for k, (to, array) in enumerate(zip(self._blocks(block), as_list("states", arrays, len(self._hidden)))):
            found = _arrays.check(f"states[{k}]", _arrays.memory(f"states[{k}]", array), (self._state,), to.shape, cuda=False)
            ctypes.memmove(to.ctypes.data, _arrays.dense(f"states[{k}]", found), to.nbytes)
        self._lib.call("gru_stream_write_state", self._handle, block.ctypes.data)


def _release(handle: ctypes.c_void_p, model: Layer | Stack) -> None:
    library().c.gru_stream_release(handle)
