"""One GRU layer in one direction: forward, training with gradients, weights that change."""
from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from typing import Any, NamedTuple

from libgru import _check, _weights
from libgru._call import Call, Options
from libgru._context import Context, context_of
from libgru._errors import BadArgument
from libgru._library import library
from libgru._weights import Variant, Weights


class Output(NamedTuple):
    """y [T][N][H]: the state after each step. hT [N][H]: the last state."""
    y: Any
    hT: Any


@dataclass
class Gradients:
    """Gradients of one backward pass, or arrays to write them to. None: not wanted, or there is none.

    dx [T][N][I], dprojected [T][N][3H] of the io type; dh0, dh_restart [N][H] of the state type; dattention [T][N] and
    dW [3H][I], dR [3H][H], dbW [3H], dbR [3H] f32, or f64 where the io type is.
    """
    dx: Any = None
    dprojected: Any = None
    dattention: Any = None
    dh0: Any = None
    dh_restart: Any = None
    dW: Any = None
    dR: Any = None
    dbW: Any = None
    dbR: Any = None


class Layer:
    """A GRU layer in one direction.

    W [3H][I], R [3H][H], bW [3H], bR [3H]: weights, with the gates in the order r, z, n, as in torch.nn.GRU. See Weights.
    reset: "after" (PyTorch, Keras), "before", "all". update: "keep", "write". gate: "sigmoid", "hard_sigmoid".
    candidate: "tanh", "relu", "linear". Both also take the names of GRU_ACTIVATION_... such as "silu", and numbers
    gate_alpha, ... candidate_beta for those that have some, 0: their default. clip: bound of the pre-activations, 0: none. hard_slope: of the hard sigmoid, 0: 0.2.
    direction: "forward", "reverse". io_type, state_type, weight_type: "f32", "f16", "bf16", "f64"; by default f64 for weights
    of f64, else f32. weight_type "int8": the layer runs on the CPU and is not trained. context: the device; None: the CPU.

    Arrays are numpy's, or any with __array_interface__ or DLPack; they are read in place. T steps, N sequences, I inputs,
    H units. Arrays of [T][N][...] may have gaps between steps and sequences: x.transpose(1, 0, 2) passes batch-first data.

    Raises BadArgument, Unsupported. Any number of threads may run one layer at once.
    """

    def __init__(self, W: Any, R: Any, bW: Any = None, bR: Any = None, *, W_scale: Any = None, R_scale: Any = None,
                 reset: str = "after", update: str = "keep", gate: str = "sigmoid", candidate: str = "tanh",
                 clip: float = 0.0, hard_slope: float = 0.0, direction: str = "forward", io_type: str | None = None,
                 state_type: str | None = None, weight_type: str | None = None, gate_alpha: float = 0.0, gate_beta: float = 0.0,
                 candidate_alpha: float = 0.0, candidate_beta: float = 0.0, context: Context | None = None) -> None:
        lib, given = library(), Weights(W, R, bW, bR, W_scale, R_scale)
        self.context = context_of(context)
        self.variant = Variant(reset, update, gate, candidate, clip, hard_slope, io_type, state_type, weight_type, gate_alpha,
                               gate_beta, candidate_alpha, candidate_beta).with_types_of(given)
        self._types = self.variant.io_type or "", self.variant.state_type or ""
        self.direction = direction
        self.inputs, self.hidden = given.sizes()
        config, weights = lib.new("gru_layer_config"), lib.new("gru_weights")
        _weights.fill_config(config, self.variant, (self.inputs, self.hidden), direction)
        owners = _weights.fill_weights(weights, given, (self.inputs, self.hidden), self.context.is_cuda)
        handle = ctypes.c_void_p()
        lib.call("gru_layer_create", self.context._handle, ctypes.byref(config), ctypes.byref(weights), ctypes.byref(handle))
        del owners
        self._handle = handle
        weakref.finalize(self, lib.c.gru_layer_release, handle)

    def __repr__(self) -> str:
        return f"libgru.Layer(inputs {self.inputs}, hidden {self.hidden}, {self.direction})"

    def update(self, W: Any, R: Any, bW: Any = None, bR: Any = None, *, W_scale: Any = None, R_scale: Any = None) -> None:
        """Replaces the weights by others of the same shapes. No run of the layer may be in progress."""
        lib = library()
        weights = lib.new("gru_weights")
        owners = _weights.fill_weights(weights, Weights(W, R, bW, bR, W_scale, R_scale), (self.inputs, self.hidden),
                                       self.context.is_cuda)
        lib.call("gru_layer_update", self._handle, ctypes.byref(weights), None)
        if self.context.is_cuda:
            lib.call("gru_wait", self.context._handle, None)
        del owners

    def engine(self, T: int = 1, N: int = 1) -> str:
        """The name of the engine that would run T steps of N sequences, such as "cpu_avx2"."""
        run = library().new("gru_run")
        run.T, run.N = _check.integer("T", T, 0, 2**63 - 1), _check.integer("N", N, 0, 2**63 - 1)
        return str(library().c.gru_engine_name(self._handle, ctypes.byref(run)).decode())

    def forward(self, x: Any = None, h0: Any = None, *, projected: Any = None, lengths: Any = None, mask: Any = None,
                offsets: Any = None, batch_sizes: Any = None, batch_order: Any = None, repeat_last: bool = False,
                restart: Any = None, h_restart: Any = None, attention: Any = None, y: Any = None, hT: Any = None,
                stream: int = 0) -> Output:
        """Runs the layer over sequences.

        x [T][N][I] of the io type; or projected [T][N][3H]: W x + bW, computed by the caller. h0 [N][H] of the state type:
        first state, None: zeros. lengths [N] int32: steps of each sequence; or mask [T][N] of bytes or bools: 0 where a
        sequence has no such step. There y is 0, or with repeat_last the last output before, and the state stays.
        Ragged batches have no absent steps: x is [rows][I], y [rows][H], and so on. offsets [N + 1] int64: step t of sequence n
        is row offsets[n] + t. Or batch_sizes [T] int64, as in PyTorch's PackedSequence: one step after the other, longer
        sequences first; batch_order [N] int64: the sequence that is number i there, None: i. h0 and hT are by sequence.
        restart [T][N] of bytes or bools: where it is not 0, h_restart [N][H] (None: zeros) replaces the state before that
        step. attention [T][N] in 0..1, f32 (f64 with f64): weights of the steps (AUGRU).
        y, hT: arrays to write to; None: new numpy arrays. CUDA: y and hT have to be given; stream is a cudaStream_t.

        Raises BadArgument, BadData (lengths), Unsupported; then nothing has been written.
        """
        options = Options(lengths, mask, offsets, batch_sizes, batch_order, repeat_last, restart, attention)
        call = self._call(x, projected, h0, h_restart, options, stream)
        return self._run(call, "GRU_INFERENCE", y, hT)

    def forward_training(self, x: Any = None, h0: Any = None, *, projected: Any = None, lengths: Any = None,
                         mask: Any = None, offsets: Any = None, batch_sizes: Any = None, batch_order: Any = None,
                         repeat_last: bool = False, restart: Any = None, h_restart: Any = None, attention: Any = None,
                         y: Any = None, hT: Any = None, recompute: bool = False, stream: int = 0) -> Training:
        """The same, and keeps what a backward pass needs: `training = layer.forward_training(x)`, then `training.y`,
        `training.hT` and `training.backward(dy)`. Its inputs and the layer's weights must not change in between.
        recompute: backward computes the activations again."""
        options = Options(lengths, mask, offsets, batch_sizes, batch_order, repeat_last, restart, attention)
        call = self._call(x, projected, h0, h_restart, options, stream)
        output = self._run(call, "GRU_TRAIN_RECOMPUTE" if recompute else "GRU_TRAIN", y, hT)
        return Training(self, call, output)

    def _call(self, x: Any, projected: Any, h0: Any, h_restart: Any, options: Options, stream: int) -> Call:
        call = Call(library().new("gru_run"), self.context, *self._types)
        run = call.run
        run.stream = stream or None
        call.ragged(options)
        if (x is None) == (projected is None):
            raise BadArgument("expected either x or projected")
        if x is None:
            call.input(run.projected, "projected", projected, 3 * self.hidden)
        else:
            call.input(run.x, "x", x, self.inputs)
        if h0 is not None:
            run.h0, run.h0_stride = call.states("h0", h0, call.N, self.hidden)
        call.dense(run, "h_restart", "h_restart", h_restart, call.state, (call.N, self.hidden))
        call.options(options)
        return call

    def _run(self, call: Call, mode: str, y: Any, hT: Any) -> Output:
        lib, run = library(), call.run
        output = Output(call.new("y", y, call.io, call.rows(self.hidden)),
                        call.new("hT", hT, call.state, (call.N, self.hidden)))
        call.view(run.y, "y", output.y, call.io, self.hidden, write=True)
        run.hT, run.hT_stride = call.states("hT", output.hT, call.N, self.hidden, write=True)
        call.lend_forward(self._sizes(call), mode)
        lib.call("gru_layer_forward", self._handle, ctypes.byref(run))
        call.finish()
        return output

    def _sizes(self, call: Call) -> Any:
        sizes = library().new("gru_sizes")
        library().call("gru_layer_sizes", self._handle, call.T, call.N, ctypes.byref(sizes))
        return sizes


class Training:
    """A forward pass whose gradients can be computed. y, hT: its results."""

    def __init__(self, layer: Layer, call: Call, output: Output) -> None:
        self._layer, self._call = layer, call
        self.y, self.hT = output

    def _all(self) -> Gradients:
        """New arrays for all gradients that this run has, except those of attention and restarts."""
        call, H = self._call, self._layer.hidden
        kind, width = call.weight_gradient, self._layer.inputs
        def new(name: str, type_: str, *shape: int) -> Any:
            return call.new(name, None, type_, shape)
        out = Gradients(dh0=new("dh0", call.state, call.N, H), dR=new("dR", kind, 3 * H, H), dbR=new("dbR", kind, 3 * H))
        if call.run.x.data or not call.run.projected.data:
            out.dx, out.dW, out.dbW = (new("dx", call.io, *call.rows(width)), new("dW", kind, 3 * H, width),
                                       new("dbW", kind, 3 * H))
        else:
            out.dprojected = new("dprojected", call.io, *call.rows(3 * H))
        return out

    def backward(self, dy: Any = None, dhT: Any = None, *, out: Gradients | None = None, add: bool = False,
                 loss_scale: Any = None) -> Gradients:
        """Computes gradients, any number of times.

        dy [T][N][H] of the io type, dhT [N][H] of the state type, dense: gradients of y and hT; None: zeros. out: arrays to
        write to, of which None are not computed; out None: new arrays for all but dattention and dh_restart. add: adds to
        dW, dR, dbW and dbR instead of setting them. loss_scale [1]: dy and dhT hold the true gradients times this number, and
        gradients of weights are divided by it.

        Raises BadArgument, also if the layer or the inputs are not those of the forward pass.
        """
        lib, call, H = library(), self._call, self._layer.hidden
        result = self._all() if out is None else out
        struct = lib.new("gru_gradients")
        struct.parts = lib["GRU_GRAD_DATA"] | lib["GRU_GRAD_WEIGHTS"] | (0 if add else lib["GRU_GRAD_OVERWRITE"])
        if add and out is None:
            raise BadArgument("add is True, but there is no out to add to")
        with call.backward():
            call.view(struct.dy, "dy", dy, call.io, H)
            call.dense(struct, "dhT", "dhT", dhT, call.state, (call.N, H))
            call.dense(struct, "loss_scale", "loss_scale", loss_scale, "f32", (1,))
            self._set_data(struct, result)
            self._set_weights(struct, result)
            call.lend(self._layer._sizes(call).backward_workspace)
            lib.call("gru_layer_backward", self._layer._handle, ctypes.byref(call.run), ctypes.byref(struct))
        return result

    def _set_data(self, struct: Any, out: Gradients) -> None:
        call, H = self._call, self._layer.hidden
        call.view(struct.dx, "dx", out.dx, call.io, self._layer.inputs, write=True)
        call.view(struct.dprojected, "dprojected", out.dprojected, call.io, 3 * H, write=True)
        call.view(struct.dattention, "dattention", out.dattention, call.weight_gradient, None, write=True)
        call.dense(struct, "dh0", "dh0", out.dh0, call.state, (call.N, H), write=True)
        call.dense(struct, "dh_restart", "dh_restart", out.dh_restart, call.state, (call.N, H), write=True)

    def _set_weights(self, struct: Any, out: Gradients) -> None:
        call, H, kind = self._call, self._layer.hidden, self._call.weight_gradient
        call.dense(struct, "dW", "dW", out.dW, kind, (3 * H, self._layer.inputs), write=True)
        call.dense(struct, "dR", "dR", out.dR, kind, (3 * H, H), write=True)
        call.dense(struct, "dbW", "dbW", out.dbW, kind, (3 * H,), write=True)
        call.dense(struct, "dbR", "dbR", out.dbR, kind, (3 * H,), write=True)
