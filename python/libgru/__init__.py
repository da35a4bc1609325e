"""libgru: gated recurrent units that give the same bits in every batch, for numpy and frameworks.

    import libgru
    stack = libgru.Stack.load("model.safetensors")    # or libgru.Layer(W, R, bW, bR)
    y, hT, _ = stack.forward(x)                       # x [T][N][inputs], float32

Layer, Stack: forward and training. Stream: one step at a time. Context: threads and devices. libgru.torch,
libgru.jax, libgru.keras, libgru.onnx: the same in frameworks. libgru.convert: the converter behind the command gru-convert.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from libgru._context import Context
    from libgru._errors import (BadArgument, BadData, DeviceFailed, Error, FileError, NoDevice, NotBuilt, OutOfMemory,
                                Unsupported)
    from libgru._layer import Gradients, Layer, Output, Training
    from libgru._stack import Stack, StackGradients, StackLayer, StackOutput, StackTraining
    from libgru._stream import Stream
    from libgru._weights import Variant, Weights

_MODULES = {
    "_context": ("Context",),
    "_errors": ("BadArgument", "BadData", "DeviceFailed", "Error", "FileError", "NoDevice", "NotBuilt", "OutOfMemory",
                "Unsupported"),
    "_layer": ("Gradients", "Layer", "Output", "Training"),
    "_stack": ("Stack", "StackGradients", "StackLayer", "StackOutput", "StackTraining"),
    "_stream": ("Stream",),
    "_weights": ("Variant", "Weights"),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = ["BadArgument", "BadData", "Context", "DeviceFailed", "Error", "FileError", "Gradients", "Layer", "NoDevice",
           "NotBuilt", "OutOfMemory", "Output", "Stack", "StackGradients", "StackLayer", "StackOutput", "StackTraining", "Stream",
           "Training", "Unsupported", "Variant", "Weights"]


def __getattr__(name: str) -> Any:
    """Loads a name when it is first used: the converter needs neither the library nor, to say that it is missing, numpy."""
    if name not in _PLACES:
        raise AttributeError(f"module 'libgru' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"libgru.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
