#!/usr/bin/env python3
"""peer_onnxruntime.py: ONNX Runtime's GRU node in the rows of gru_bench; needs onnx, onnxruntime and numpy.

    bench/peers/peer_onnxruntime.py --shape quick --threads 1 --json RESULTS.json
"""
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import common


def to_onnx(array):
    """Gates r, z, n -> z, r, n along the first axis, with ONNX's axis of directions."""
    r, z, n = numpy.split(array, 3)
    return numpy.concatenate([z, r, n])[None]


def model(x, numbers):
    T, N, I = x.shape
    H = numbers[1].shape[1]
    W, R, bW, bR = map(to_onnx, numbers)
    tensors = {"W": W, "R": R, "B": numpy.concatenate([bW, bR], axis=1)}
    node = helper.make_node("GRU", ["x", "W", "R", "B"], ["y", "hT"], hidden_size=H, linear_before_reset=1)
    graph = helper.make_graph(
        [node], "gru", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, N, I])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [T, 1, N, H]),
         helper.make_tensor_value_info("hT", TensorProto.FLOAT, [1, N, H])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def make(x, _, numbers, options):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
    session = onnxruntime.InferenceSession(model(x, numbers), settings, providers=["CPUExecutionProvider"])
    bound = session.io_binding()
    y = onnxruntime.OrtValue.ortvalue_from_numpy(
        numpy.empty((x.shape[0], 1, x.shape[1], numbers[1].shape[1]), "f4"))
    bound.bind_cpu_input("x", x)
    bound.bind_ortvalue_output("y", y)
    bound.bind_output("hT", "cpu")
    return lambda: session.run_with_iobinding(bound), lambda: [y.numpy()[:, 0]], None


if __name__ == "__main__":
    common.main("ONNX Runtime", onnxruntime.__version__, make)
