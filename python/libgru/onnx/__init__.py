"""libgru in ONNX Runtime: `rewrite(model)` moves the GRU nodes of a model to libgru's operator; `register(options)` makes a session
know the operator. Needs onnx and onnxruntime 1.16 or later.

    rewritten = libgru.onnx.rewrite("model.onnx")
    options = onnxruntime.SessionOptions()
    libgru.onnx.register(options)
    session = onnxruntime.InferenceSession(rewritten.model.SerializeToString(), options)
"""
from libgru._errors import NotBuilt

try:
    import onnx as _onnx    # noqa: F401
except ImportError as _error:
    raise NotBuilt(f"libgru.onnx needs the package onnx: {_error}") from _error

from libgru.onnx._operator import library_path, register    # noqa: E402
from libgru.onnx._rewrite import Left, Rewritten, rewrite   # noqa: E402

__all__ = ["Left", "Rewritten", "library_path", "register", "rewrite"]
