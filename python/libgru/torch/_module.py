"""The module: torch.nn.GRU's constructor, parameters, shapes and messages over libgru's operators."""
from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from libgru._errors import BadArgument
from libgru.torch import _fallback, _plans, _ragged, _train
from libgru.torch._packed_weights import PackedWeights, is_plain
from libgru.torch._plans import TYPES, Shape, shape_of

_DEFAULTS = {"reset": "after", "update": "keep", "gate": "sigmoid", "candidate": "tanh", "clip": 0.0, "hard_slope": 0.0}


class GRU(torch.nn.RNNBase):    # type: ignore[misc]
    """torch.nn.GRU on libgru: the same constructor, parameters, state_dict, inputs and outputs, and the same bits of a row in
    every batch. Not a subclass of nn.GRU, which torch.compile refuses.

    Beyond nn.GRU: reset "after", "before", "all"; update "keep", "write"; gate "sigmoid", "hard_sigmoid" with hard_slope;
    candidate "tanh", "relu", "linear"; clip, 0: none. inference_weights "f16", "bf16", "int8": float32 weights are packed in that
    type where no gradient is needed; with int8, inputs and states are rounded too. lengths and mask in forward().

    Runs on the CPU with torch.get_num_threads() threads, in float32, float64, bfloat16 or float16. In eval mode packed weights
    are kept; a change through .data is not seen, so call train() and eval(), or assign the parameter, after one.
    On other devices, in torch.jit.trace, under torch.func and forward differentiation PyTorch's own GRU runs.
    Raises libgru.Unsupported where it lacks the variant, and for second derivatives; use libgru.torch.fallback() for those.
    """

    def __init__(self, *args: Any, reset: str = "after", update: str = "keep", gate: str = "sigmoid", candidate: str = "tanh",
                 clip: float = 0.0, hard_slope: float = 0.0, inference_weights: str | None = None, **options: Any) -> None:
        if "proj_size" in options:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **options)
        if inference_weights not in (None, "f16", "bf16", "int8"):
            raise BadArgument(f"inference_weights is {inference_weights!r}, expected None, f16, bf16 or int8")
        self.variant: dict[str, Any] = {"reset": reset, "update": update, "gate": gate, "candidate": candidate, "clip": float(clip),
                        "hard_slope": float(hard_slope)}
        self.inference_weights = inference_weights
        self._packed = PackedWeights()
        self._texts = {(is_first, io, packed): self._shape(is_first, io, packed).text() for is_first in (True, False)
                       for io in TYPES.values() for packed in {io, *(("f16", "bf16", "int8") if io == "f32" else ())}}
        # Fails now if a word is wrong, or if the library is missing.
        _plans.plan(self._shape(True, "f32", inference_weights or "f32"), False)

    def extra_repr(self) -> str:
        shown = [f"{key}={value!r}" for key, value in self.variant.items() if value != _DEFAULTS[key]]
        if self.inference_weights:
            shown.append(f"inference_weights={self.inference_weights!r}")
        return ", ".join([super().extra_repr(), *shown])

    def __setattr__(self, name: str, value: Any) -> None:
        """Forgets packed weights if a parameter is assigned: FSDP2 assigns the same one again, with numbers that its version does
        not tell."""
        super().__setattr__(name, value)
        if isinstance(value, Tensor) and "_packed" in self.__dict__:
            self._packed.clear()

    def train(self, mode: bool = True) -> GRU:
        """As nn.Module.train(). Also forgets packed weights."""
        self._packed.clear()
        super().train(mode)
        return self

    def forward(self, input: Tensor | PackedSequence, hx: Optional[Tensor] = None, *,
                lengths: Optional[Tensor] = None, mask: Optional[Tensor] = None) -> tuple[Any, Tensor]:
        """input [T, N, I], [N, T, I] with batch_first, [T, I], or a PackedSequence; hx [layers * directions, N, H] or None.
        lengths [N]: steps of each sequence, 0 to T; or mask, bools of the shape of input without its last axis: False where the
        sequence has no such step. At steps that are not there the output is 0, and the state stays.
        Returns output and the last states, shaped as those of nn.GRU."""
        if isinstance(input, PackedSequence):
            if lengths is not None or mask is not None:
                raise BadArgument("lengths or a mask are given, but the input is a PackedSequence, which has its own lengths")
            return _ragged.forward(self, input, hx)
        return self._dense(input, hx, self._steps(input, lengths, mask))

    def _steps(self, x: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """Which steps there are: lengths [N] of int32, or a mask [T, N]."""
        if mask is None:
            return None if lengths is None else lengths.to(torch.int32).contiguous()
        if lengths is not None:
            raise BadArgument("lengths and a mask are given, expected one of them")
        if mask.dtype != torch.bool or mask.shape != x.shape[:-1]:
            raise BadArgument(f"mask is {list(mask.shape)} of {mask.dtype}, expected {list(x.shape[:-1])} of torch.bool")
        if mask.dim() == 1:
            return mask.unsqueeze(1)
        return (mask.t() if self.batch_first else mask).contiguous()

    # ---- inputs ------------------------------------------------------------------------------------------------------------

    def _dense(self, x: Tensor, hx: Tensor | None, steps: Tensor | None) -> tuple[Tensor, Tensor]:
        if x.dim() not in (2, 3):
            raise ValueError(f"GRU: Expected input to be 2D or 3D, got {x.dim()}D instead")
        is_batched = x.dim() == 3
        batch_axis = 0 if self.batch_first else 1
        if hx is not None and hx.dim() != x.dim():
            kind = ("batched 3", 3) if is_batched else ("unbatched 2", 2)
            raise RuntimeError(f"For {kind[0]}-D input, hx should also be {kind[1]}-D but got {hx.dim()}-D tensor")
        if not is_batched:
            x, hx = x.unsqueeze(batch_axis), None if hx is None else hx.unsqueeze(1)
        if hx is None:
            self.check_input(x, None)
        else:
            self.check_forward_args(x, hx, None)
        if x.size(1 - batch_axis) == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        y, hT = self._run(x.transpose(0, 1) if self.batch_first else x, hx, steps)
        if self.batch_first:
            y = y.transpose(0, 1)
        return (y, hT) if is_batched else (y.squeeze(batch_axis), hT.squeeze(1))

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _weights(self, k: int) -> list[Tensor]:
        """Of layer k, by name, so that parametrizations and functional_call are seen."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        return [getattr(self, f"{name}_l{k}{end}") for end in ("", "_reverse")[:self._directions] for name in names]

    def _shape(self, is_first: bool, io: str, packed: str) -> Shape:
        inputs = self.input_size if is_first else self._directions * self.hidden_size
        return Shape(inputs, self.hidden_size, self.bidirectional, **self.variant, io=io, packed=packed)

    def _text(self, k: int, x: Tensor, packed: str | None = None) -> str:
        """What layer k computes on such an input. Made with the module: torch.compile may hold its numbers as symbols."""
        io = TYPES[x.dtype]
        return self._texts[k == 0, io, packed or io]

    def _check_types(self, x: Tensor, hx: Tensor | None, weights: list[Tensor]) -> None:
        for name, tensor in (("hx", hx), ("a weight", weights[0])):
            if tensor is None:
                continue
            if tensor.dtype != x.dtype:
                raise ValueError(f"RNN input and parameter dtypes do not match: input is {x.dtype}, {name} is {tensor.dtype}")
            if tensor.device != x.device:
                raise RuntimeError(f"Input and parameter tensors are not at the same device: input is at {x.device}, {name} "
                                   f"at {tensor.device}")

    # ---- layers ------------------------------------------------------------------------------------------------------------

    def _run(self, x: Tensor, hx: Tensor | None, steps: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [T, N, I]. hx None: zeros."""
        layers = [self._weights(k) for k in range(self.num_layers)]
        every = [weight for weights in layers for weight in weights]
        why = _fallback.reason(x, every if hx is None else [hx, *every])
        if why is not None:
            return self._fall_back(why, x, hx, every, steps)
        outputs = x.dtype if hx is None else hx.dtype
        if self._is_autocast(x):    # computed in the parameters' type; the outputs have the one that autocast makes
            x, hx = x.to(layers[0][0].dtype), None if hx is None else hx.to(layers[0][0].dtype)
        self._check_types(x, hx, layers[0])
        last, k = [], 0
        while k < self.num_layers:
            x, hT, end = self._next_layers(k, x, hx, layers, steps)
            last.append(hT)
            if self.dropout and self.training and end < self.num_layers:
                x = torch.nn.functional.dropout(x, self.dropout)
            k = end
        hT = torch.cat(last) if len(last) > 1 else last[0]
        return (x, hT) if x.dtype == outputs else (x.to(outputs), hT.to(outputs))

    def _fall_back(self, why: str, x: Tensor, hx: Tensor | None, weights: list[Tensor], steps: Tensor | None) -> tuple[Tensor, Tensor]:
        self.check_default(why)
        if steps is not None:
            raise BadArgument(f"lengths or a mask are given, but {why}: pass a PackedSequence")
        _fallback.tell(why)
        if hx is None:
            hx = x.new_zeros(self.num_layers * self._directions, x.size(1), self.hidden_size)
        return _fallback.run(self, x, hx, weights)

    def check_default(self, why: str) -> None:
        """Raises Unsupported if PyTorch's own GRU does not compute this variant."""
        _fallback.check_default(self.variant == _DEFAULTS and self.inference_weights is None, why)

    def _next_layers(self, k: int, x: Tensor, hx: Tensor | None, layers: list[list[Tensor]],
                     steps: Tensor | None) -> tuple[Tensor, Tensor, int]:
        """Layers from k on: in training all that nothing comes between, else one. The last number is that of the layer after them."""
        end, D = k + 1, self._directions
        h0 = hx if hx is None or self.num_layers == 1 else hx[k * D:end * D]
        given = (x, *layers[k]) if h0 is None else (x, h0, *layers[k])
        if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in given):
            return *self._infer(k, x, h0, layers[k], steps), end
        if end < self.num_layers and not (self.dropout and self.training):
            end = self.num_layers
            h0 = hx if hx is None or k == 0 else hx[k * D:]
        y, hT = _train.train(x, h0, layers[k:end], steps, [self._text(j, x) for j in range(k, end)])
        return y, hT, end

    def _infer(self, k: int, x: Tensor, h0: Tensor | None, weights: list[Tensor], steps: Tensor | None) -> tuple[Tensor, Tensor]:
        plain = is_plain(x, *weights) and (h0 is None or is_plain(h0))
        packed, text = self._packed_layer(k, x, weights, plain)
        if plain:
            return _plans.forward(shape_of(text), x, h0, packed, steps, False)[:2]
        y, hT = torch.ops.libgru.infer(x, h0, packed, steps, text)
        return y, hT

    def _packed_layer(self, k: int, x: Tensor, weights: list[Tensor], plain: bool) -> tuple[Tensor, str]:
        """Packed weights of layer k for inference, and what they compute."""
        rounding = self.inference_weights if x.dtype == torch.float32 else None
        text = self._text(k, x, rounding)
        return self._packed.of(k, weights, text, plain, keep=not self.training), text

    @staticmethod
    def _is_autocast(x: Tensor) -> bool:
        return x.device.type != "meta" and bool(torch.is_autocast_enabled(x.device.type))
