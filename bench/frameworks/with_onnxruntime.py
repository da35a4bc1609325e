"""libgru's operator beside ONNX Runtime's own GRU, with linear_before_reset; outputs bound to memory that is there already."""
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import libgru.onnx
from turns import CASES, Call, Case


def title() -> str:
    return f"onnxruntime {onnxruntime.__version__}"


def model(H: int) -> Any:
    random = np.random.default_rng(0)
    weights = {"W": (1, 3 * H, H), "R": (1, 3 * H, H), "B": (1, 6 * H)}
    node = helper.make_node("GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=H, linear_before_reset=1)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "N", H])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["T", 1, "N", H])],
        [numpy_helper.from_array(random.uniform(-0.1, 0.1, size).astype(np.float32), name) for name, size in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bound(made: onnx.ModelProto, threads: int, x: Any, y: Any) -> Call:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    libgru.onnx.register(options)
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("X", x)
    binding.bind_ortvalue_output("Y", y)
    return lambda: session.run_with_iobinding(binding)


def cases(threads: int) -> Iterator[Case]:
    for T, N, H in CASES:
        x = np.random.default_rng(1).standard_normal((T, N, H), np.float32)
        stock = model(H)
        models = {"ONNX Runtime's GRU": stock, "libgru.onnx": libgru.onnx.rewrite(stock, threads=threads).model}
        outputs = {name: onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((T, 1, N, H), np.float32)) for name in models}
        calls = {name: bound(made, threads, x, outputs[name]) for name, made in models.items()}
        for call in calls.values():
            call()
        assert np.ptp([output.numpy() for output in outputs.values()], 0).max() < 1e-5
        yield Case("forward", T, N, H, calls)
