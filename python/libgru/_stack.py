"""Several GRU layers, each in one or two directions, run as one."""
from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from libgru import _arrays, _check, _weights
from libgru._call import Call, Options, as_list
from libgru._context import Context, context_of
from libgru._errors import BadArgument
from libgru._library import library
from libgru._weights import Variant, Weights


@dataclass(frozen=True)
class StackLayer:
    """One layer of a stack. reverse: weights of the other direction, None: there is none. direction: of a layer that has one.
    merge: "concat" (side by side, forward first), "sum", "average", "multiply", or "separate", in the last layer only.
    h0, h0_reverse: learned initial states [H] of the type of the weights, with which runs without h0 start; None: zeros."""
    weights: Weights
    reverse: Weights | None = None
    variant: Variant = field(default_factory=Variant)
    direction: str = "forward"
    merge: str = "concat"
    h0: Any = None
    h0_reverse: Any = None


class StackOutput(NamedTuple):
    """y [T][N][outputs]; hT: a list of [N][H], one for each sublayer: layer 0 forward, layer 0 reverse, layer 1 forward, ...
    y_reverse [T][N][H]: with merge "separate" only, else None."""
    y: Any
    hT: list[Any]
    y_reverse: Any = None


@dataclass
class StackGradients:
    """dx [T][N][I]; the others are lists, one array for each sublayer, as in Gradients."""
    dx: Any = None
    dh0: list[Any] | None = None
    dW: list[Any] | None = None
    dR: list[Any] | None = None
    dbW: list[Any] | None = None
    dbR: list[Any] | None = None


class Stack:
    """GRU layers that read each other's outputs.

    layers: StackLayer objects, the first first. dropout: rate between layers in training, 0 <= p < 1. context: as in Layer.
    `Stack.load(path)` reads a safetensors file; `Stack.from_state(dict)` takes the arrays of a torch.nn.GRU by their names.

    inputs, outputs: numbers in a row of x and of y. hidden: H of each sublayer.

    Raises BadArgument, Unsupported. Any number of threads may run one stack at once.
    """

    def __init__(self, layers: Sequence[StackLayer], *, dropout: float = 0.0, context: Context | None = None) -> None:
        lib, self.context = library(), context_of(context)
        structs = (lib.known.structs["gru_stack_layer"] * len(layers))()
        owners = [self._fill(struct, layer) for struct, layer in zip(structs, layers)]
        config = lib.new("gru_stack_config")
        config.layers, config.count, config.dropout = ctypes.addressof(structs), len(layers), dropout
        handle = ctypes.c_void_p()
        lib.call("gru_stack_create", self.context._handle, ctypes.byref(config), ctypes.byref(handle))
        del owners
        self._take(handle)

    def _take(self, handle: ctypes.c_void_p) -> None:
        """Becomes the owner of a gru_stack, and asks it for its sizes and types."""
        lib, self._handle = library(), handle
        weakref.finalize(self, lib.c.gru_stack_release, handle)
        self.inputs: int = lib.c.gru_stack_inputs(handle)
        self.outputs: int = lib.c.gru_stack_outputs(handle)
        config, count = lib.new("gru_stack_config"), lib.c.gru_stack_sublayers(handle)
        layers = (lib.known.structs["gru_stack_layer"] * count)()
        lib.call("gru_stack_describe", handle, ctypes.byref(config), layers)
        last = layers[config.count - 1]
        self.dropout: float = config.dropout
        self._is_apart = bool(last.bidirectional) and last.merge == lib["GRU_MERGE_SEPARATE"]
        sublayers = [self._sublayer(k) for k in range(count)]
        self.hidden = [each.hidden for each in sublayers]
        self._widths = [each.inputs for each in sublayers]
        self._types = _weights.type_name(sublayers[0].io_type), _weights.type_name(sublayers[0].state_type)

    def _sublayer(self, k: int) -> Any:
        config = library().new("gru_layer_config")
        library().call("gru_stack_sublayer", self._handle, k, ctypes.byref(config), None)
        return config

    def _fill(self, struct: Any, layer: StackLayer) -> list[Any]:
        lib, cuda = library(), self.context.is_cuda
        sizes, variant = layer.weights.sizes(), layer.variant.with_types_of(layer.weights)
        _weights.fill_config(struct.config, variant, sizes, layer.direction)
        struct.bidirectional = int(layer.reverse is not None)
        struct.merge = lib.choice(["GRU_MERGE_"], layer.merge, "merge")
        owners = _weights.fill_weights(struct.weights[0], layer.weights, sizes, cuda)
        if layer.reverse is not None:
            owners += _weights.fill_weights(struct.weights[1], layer.reverse, sizes, cuda)
        for d, (name, array) in enumerate((("h0", layer.h0), ("h0_reverse", layer.h0_reverse))):
            if array is not None:
                kind = _arrays.memory("R", layer.weights.R).type
                found = _arrays.check(name, _arrays.memory(name, array), ("f32" if kind == "int8" else kind,), sizes[1:], cuda=False)
                struct.h0[d] = _arrays.dense(name, found)
                owners.append(found.owner)
        return owners

    @staticmethod
    def load(path: str | os.PathLike[str], prefix: str | None = None, *, io_type: str | None = None,
             state_type: str | None = None, weight_type: str | None = None, context: Context | None = None) -> Stack:
        """Reads a safetensors file whose tensors have PyTorch's names: gru_stack_load() of gru/import.h. Variants, merges and
        dropout are in its metadata. prefix: such as "encoder.gru."; None: the only GRU of the file. Types None: f32, of
        weights also where the file has f64. Raises BadData, BadArgument, and FileError, which is an OSError."""
        lib, stack, handle, file = library(), Stack.__new__(Stack), ctypes.c_void_p(), ctypes.c_void_p()
        stack.context = context_of(context)
        options = lib.new("gru_load_options")
        options.prefix = None if prefix is None else _check.text("prefix", prefix)
        rest = "f64" if io_type == "f64" else "f32"
        options.io_type = _weights.type_value(io_type or "f32", "io_type")
        options.state_type = _weights.type_value(state_type or rest, "state_type")
        options.weight_type = _weights.type_value(weight_type or rest, "weight_type")
        lib.call("gru_file_open", _check.text("path", os.fsencode(path)), ctypes.byref(file))
        try:
            lib.call("gru_stack_load", stack.context._handle, file, ctypes.byref(options), ctypes.byref(handle))
        finally:
            lib.c.gru_file_close(file)
        stack._take(handle)
        return stack

    @staticmethod
    def from_state(state: Mapping[str, Any], prefix: str = "", *, variant: Variant | None = None, dropout: float = 0.0,
                   context: Context | None = None) -> Stack:
        """Takes arrays or tensors with PyTorch's names, such as module.state_dict(): weight_ih_l0, weight_hh_l0_reverse, ...
        Tensors that need a gradient are detached first, as state_dict() does."""
        from libgru._state import layers_of
        return Stack(layers_of(state, prefix, variant or Variant()), dropout=dropout, context=context)

    def __repr__(self) -> str:
        return f"libgru.Stack(inputs {self.inputs}, hidden {self.hidden}, outputs {self.outputs})"

    def update(self, k: int, weights: Weights) -> None:
        """Replaces the weights of sublayer k by others of the same shapes. No run may be in progress."""
        lib = library()
        layer, struct = ctypes.c_void_p(), lib.new("gru_weights")
        k = _check.integer("k", k, 0, len(self.hidden) - 1)
        lib.call("gru_stack_sublayer", self._handle, k, None, ctypes.byref(layer))
        owners = _weights.fill_weights(struct, weights, (self._widths[k], self.hidden[k]), self.context.is_cuda)
        lib.call("gru_layer_update", layer, ctypes.byref(struct), None)
        if self.context.is_cuda:
            lib.call("gru_wait", self.context._handle, None)
        del owners

    def forward(self, x: Any, h0: Sequence[Any] | None = None, *, lengths: Any = None, mask: Any = None,
                offsets: Any = None, batch_sizes: Any = None, batch_order: Any = None, repeat_last: bool = False,
                restart: Any = None, attention: Any = None, y: Any = None, y_reverse: Any = None,
                hT: Sequence[Any] | None = None, stream: int = 0) -> StackOutput:
        """Runs all layers. x [T][N][inputs]. h0: a list of [N][H], one for each sublayer. y, y_reverse, hT: arrays to write to.
        All else as in Layer.forward()."""
        options = Options(lengths, mask, offsets, batch_sizes, batch_order, repeat_last, restart, attention)
        call = self._call(x, h0, options, stream)
        return self._run(call, "GRU_INFERENCE", y, y_reverse, hT)

    def forward_training(self, x: Any, h0: Sequence[Any] | None = None, *, lengths: Any = None, mask: Any = None,
                         offsets: Any = None, batch_sizes: Any = None, batch_order: Any = None, repeat_last: bool = False,
                         restart: Any = None, attention: Any = None, y: Any = None, y_reverse: Any = None,
                         hT: Sequence[Any] | None = None, seed: int = 0, offset: int = 0, recompute: bool = False, stream: int = 0) -> StackTraining:
        """The same, and keeps what backward() needs, as Layer.forward_training(). seed, offset: of dropout; use offset + N for
        the next batch."""
        options = Options(lengths, mask, offsets, batch_sizes, batch_order, repeat_last, restart, attention)
        call = self._call(x, h0, options, stream)
        if self.dropout:
            if self.context.is_cuda:
                raise BadArgument("dropout on CUDA needs its seed in CUDA memory, which this package does not provide yet")
            numbers = np.array([_check.integer("seed", seed, 0, 2**64 - 1), _check.integer("offset", offset, 0, 2**64 - 1)],
                               np.uint64)
            call.stack.dropout_seed = numbers.ctypes.data
            call.owners.append(numbers)
        output = self._run(call, "GRU_TRAIN_RECOMPUTE" if recompute else "GRU_TRAIN", y, y_reverse, hT)
        return StackTraining(self, call, output)

    def _call(self, x: Any, h0: Sequence[Any] | None, options: Options, stream: int) -> _StackCall:
        call = _StackCall(library().new("gru_stack_run"), self.context, *self._types)
        call.run.stream = stream or None
        call.ragged(options)
        call.input(call.run.x, "x", x, self.inputs)
        strides = [0] * len(self.hidden)
        if h0 is not None:
            found = [call.states(f"h0[{k}]", array, call.N, self.hidden[k]) for k, array in
                     enumerate(as_list("h0", h0, len(self.hidden)))]
            strides = [stride for _, stride in found]
            call.pointers("h0", call.stack, [address for address, _ in found])
        call.strides = strides
        call.options(options)
        return call

    def _run(self, call: _StackCall, mode: str, y: Any, y_reverse: Any, hT: Sequence[Any] | None) -> StackOutput:
        lib, run = library(), call.run
        y = call.new("y", y, call.io, call.rows(self.outputs))
        call.view(run.y, "y", y, call.io, self.outputs, write=True)
        if self._is_apart:
            y_reverse = call.new("y_reverse", y_reverse, call.io, call.rows(self.hidden[-1]))
        call.view(call.stack.y_reverse, "y_reverse", y_reverse, call.io, self.hidden[-1], write=True)
        last = [call.new("hT", array, call.state, (call.N, H)) for array, H in zip(as_list("hT", hT, len(self.hidden)), self.hidden)]
        call.last_states(last, self.hidden)
        call.lend_forward(self._sizes(call), mode)
        lib.call("gru_stack_forward", self._handle, ctypes.byref(call.stack))
        call.finish()
        return StackOutput(y, last, y_reverse)

    def _sizes(self, call: Call) -> Any:
        sizes = library().new("gru_sizes")
        library().call("gru_stack_sizes", self._handle, call.T, call.N, ctypes.byref(sizes))
        return sizes


class _StackCall(Call):
    """A gru_stack_run in the making."""

    def __init__(self, stack: Any, context: Context, io: str, state: str) -> None:
        super().__init__(stack.data, context, io, state)
        self.stack = stack
        self.strides: list[int] = []

    def pointers(self, member: str, struct: Any, values: Sequence[int | None]) -> None:
        """A host array of pointers."""
        block = _arrays.addresses(values)
        self.owners.append(block)
        setattr(struct, member, ctypes.addressof(block))

    def last_states(self, arrays: Sequence[Any], hidden: Sequence[int]) -> None:
        """hT of every sublayer. One array of strides serves h0 and hT."""
        found = [self.states(f"hT[{k}]", array, self.N, hidden[k], write=True) for k, array in enumerate(arrays)]
        strides = [stride for _, stride in found]
        if self.stack.h0 and strides != self.strides:
            raise BadArgument(f"hT has row strides {strides}, expected those of h0, which are {self.strides}")
        block = (ctypes.c_int64 * len(strides))(*strides)
        self.owners.append(block)
        self.stack.h_strides = ctypes.addressof(block)
        self.pointers("hT", self.stack, [address for address, _ in found])


class StackTraining:
    """A forward pass whose gradients can be computed. y, hT, y_reverse: its results."""

    def __init__(self, stack: Stack, call: _StackCall, output: StackOutput) -> None:
        self._stack, self._call = stack, call
        self.y, self.hT, self.y_reverse = output

    def _all(self) -> StackGradients:
        call, stack = self._call, self._stack
        kind, sizes = call.weight_gradient, list(zip(stack._widths, stack.hidden))
        def new(name: str, type_: str, *shape: int) -> Any:
            return call.new(name, None, type_, shape)
        return StackGradients(new("dx", call.io, *call.rows(stack.inputs)),
                              [new("dh0", call.state, call.N, H) for _, H in sizes],
                              [new("dW", kind, 3 * H, I) for I, H in sizes], [new("dR", kind, 3 * H, H) for _, H in sizes],
                              [new("dbW", kind, 3 * H) for _, H in sizes], [new("dbR", kind, 3 * H) for _, H in sizes])

    def backward(self, dy: Any = None, dhT: Sequence[Any] | None = None, *, dy_reverse: Any = None,
                 out: StackGradients | None = None, add: bool = False, loss_scale: Any = None) -> StackGradients:
        """Computes gradients, as Training.backward(). dhT: a list of [N][H], one for each sublayer."""
        lib, call, stack = library(), self._call, self._stack
        if add and out is None:
            raise BadArgument("add is True, but there is no out to add to")
        result = self._all() if out is None else out
        struct = lib.new("gru_stack_gradients")
        struct.data.parts = lib["GRU_GRAD_DATA"] | lib["GRU_GRAD_WEIGHTS"] | (0 if add else lib["GRU_GRAD_OVERWRITE"])
        with call.backward():
            call.view(struct.data.dy, "dy", dy, call.io, stack.outputs)
            call.view(struct.dy_reverse, "dy_reverse", dy_reverse, call.io, stack.hidden[-1])
            call.dense(struct.data, "loss_scale", "loss_scale", loss_scale, "f32", (1,))
            call.view(struct.data.dx, "dx", result.dx, call.io, stack.inputs, write=True)
            self._lists(struct, result, dhT)
            call.lend(stack._sizes(call).backward_workspace)
            lib.call("gru_stack_backward", stack._handle, ctypes.byref(call.stack), ctypes.byref(struct))
        return result

    def _lists(self, struct: Any, out: StackGradients, dhT: Sequence[Any] | None) -> None:
        call, kind = self._call, self._call.weight_gradient
        states = [(call.N, H) for H in self._stack.hidden]
        matrices = [(3 * H, I) for I, H in zip(self._stack._widths, self._stack.hidden)]
        squares, biases = [(3 * H, H) for H in self._stack.hidden], [(3 * H,) for H in self._stack.hidden]
        for name, arrays, type_, shapes in (("dhT", dhT, call.state, states), ("dh0", out.dh0, call.state, states),
                                            ("dW", out.dW, kind, matrices), ("dR", out.dR, kind, squares),
                                            ("dbW", out.dbW, kind, biases), ("dbR", out.dbR, kind, biases)):
            if arrays is not None:
                call.pointers(name, struct, [self._address(f"{name}[{k}]", array, type_, shape, name != "dhT") for k, (array, shape)
                                             in enumerate(zip(as_list(name, arrays, len(shapes)), shapes))])

    def _address(self, name: str, array: Any, kind: str, shape: Sequence[int], write: bool) -> int | None:
        return None if array is None else _arrays.dense(name, self._call._found(name, array, kind, shape, write))
