#!/usr/bin/env python3
"""An ONNX model whose GRU node is moved to libgru's operator in ONNX Runtime.

Needs onnx, onnxruntime and libgru (pip install './python[onnxruntime]').
"""
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import libgru.onnx

INPUTS, HIDDEN = 8, 32
random = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return random.uniform(-0.3, 0.3, shape).astype(np.float32)


weights = [numpy_helper.from_array(array, name) for name, array in
           (("W", draw(2, 3 * HIDDEN, INPUTS)), ("R", draw(2, 3 * HIDDEN, HIDDEN)), ("B", draw(2, 6 * HIDDEN)))]
node = helper.make_node("GRU", ["x", "W", "R", "B"], ["y", "last"], name="encoder", hidden_size=HIDDEN, direction="bidirectional",
                        linear_before_reset=1)
graph = helper.make_graph([node], "model", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "N", INPUTS])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["T", 2, "N", HIDDEN]),
                           helper.make_tensor_value_info("last", TensorProto.FLOAT, [2, "N", HIDDEN])], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)

rewritten = libgru.onnx.rewrite(model)                       # or the path of a file
print("moved:", rewritten.moved, "left:", rewritten.left)
options = onnxruntime.SessionOptions()
libgru.onnx.register(options)
ours = onnxruntime.InferenceSession(rewritten.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
theirs = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

x = draw(20, 6, INPUTS)
y, wanted = ours.run(["y"], {"x": x})[0], theirs.run(["y"], {"x": x})[0]
print("largest difference to ONNX Runtime's own GRU:", float(np.abs(y - wanted).max()))
assert np.abs(y - wanted).max() < 1e-5
assert np.array_equal(ours.run(["y"], {"x": x[:, 2:3]})[0], y[:, :, 2:3]), "a row depends on its batch"
print("a row has the same bits alone and in a batch of 6")
