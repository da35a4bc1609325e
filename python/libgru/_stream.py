"""Runs a layer or a stack one step at a time."""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from libgru import _arrays
from libgru._errors import BadArgument
from libgru._layer import Layer
from libgru._library import library
from libgru._stack import Stack


class Stream:
    """Keeps the state between steps, so that the results of `step` are those of one call over the whole sequence, to the bit.

    model: a Layer or a Stack on the CPU, without a reverse direction. rows: N, sequences that advance together.

    A step allocates only its result. One caller at a time may use a stream. Raises BadArgument.
    """

    def __init__(self, model: Layer | Stack, rows: int = 1) -> None:
        if model.context.is_cuda:
            raise BadArgument("the model is on CUDA, and a Stream runs on the CPU: call forward() with T = 1 instead")
        if not isinstance(rows, int) or rows < 1:
            raise BadArgument(f"rows is {rows!r}, expected a number above 0")
        self.model, self.rows, self._lib = model, rows, library()
        is_stack = isinstance(model, Stack)
        self._check_directions()
        self._variant = model.layers[0].variant if isinstance(model, Stack) else model.variant
        self._hidden = model.hidden if isinstance(model, Stack) else [model.hidden]
        self._struct = self._lib.new("gru_stack_run" if is_stack else "gru_run")
        self._run = self._struct.data if is_stack else self._struct
        # A function object of its own, whose arguments are ready: without conversions a call takes 0.5 us less.
        self._function = self._lib.c["gru_stack_forward" if is_stack else "gru_layer_forward"]
        self._function.restype = ctypes.c_int32
        self._handle, self._place = model._handle, ctypes.c_void_p(ctypes.addressof(self._struct))
        self._allocate()

    def _check_directions(self) -> None:
        layers = self.model.layers if isinstance(self.model, Stack) else [self.model]
        if any(layer.direction == "reverse" or getattr(layer, "reverse", None) is not None for layer in layers):
            raise BadArgument("the model has a reverse direction, which reads the last step first: it cannot run step by step")

    def _allocate(self) -> None:
        """Buffers for x, y and the states, which the struct points to for good."""
        model, N = self.model, self.rows
        outputs = model.outputs if isinstance(model, Stack) else model.hidden
        io, state = self._variant.io_type or "", self._variant.state_type or ""
        self._x = _arrays.empty("x", io, (N, model.inputs), cuda=False)
        self._y = _arrays.empty("y", io, (N, outputs), cuda=False)
        self._states = [_arrays.empty("state", state, (N, H), cuda=False) for H in self._hidden]
        self._type, self._shape, self._row_shape = self._x.dtype, (N, model.inputs), (model.inputs,) if N == 1 else None
        self._x_row, self._address = self._x.reshape(-1), self._x.ctypes.data
        self._y_row = self._y.reshape(-1)
        run = self._run
        run.T, run.N, run.x.data, run.y.data = 1, N, self._address, self._y.ctypes.data
        places = [state.ctypes.data for state in self._states]
        if isinstance(model, Stack):
            self._pointers = _arrays.addresses(places)
            self._struct.h0 = self._struct.hT = ctypes.addressof(self._pointers)
            name = "gru_stack_sizes"
        else:
            run.h0 = run.hT = places[0]
            name = "gru_layer_sizes"
        sizes = self._lib.new("gru_sizes")
        self._lib.call(name, model._handle, 1, N, ctypes.byref(sizes))
        self._workspace, run.workspace = _arrays.scratch(sizes.workspace)
        run.workspace_size = sizes.workspace
        self.reset()

    def reset(self) -> None:
        """Sets every state to zeros."""
        for state in self._states:
            state[...] = 0

    @property
    def states(self) -> list[Any]:
        """The states [N][H], one for each layer: the stream's own arrays, which may be read and written between steps."""
        return self._states

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
        status = self._function(self._handle, self._place)
        if status:
            self._lib.check(status)
        return y.copy()

    def _step_of(self, x: Any) -> Any:
        """Any other array: read in place, or refused."""
        found = _arrays.memory("x", x)
        is_row = self.rows == 1 and len(found.shape) == 1
        shape = (self.model.inputs,) if is_row else (self.rows, self.model.inputs)
        _arrays.check("x", found, (self._variant.io_type or "",), shape, cuda=False)
        self._run.x.data = _arrays.dense("x", found)
        try:
            self._lib.check(self._function(self._handle, self._place))
        finally:
            self._run.x.data = self._address
        return self._y_row.copy() if is_row else self._y.copy()
