#!/usr/bin/env python3
"""Runs ONNX GRU nodes in ONNX Runtime's CPU provider (single precision): onnxruntime.safetensors."""
import numpy as np
import onnx
import onnxruntime
from onnx import helper

import golden

HARD = {"activations": ["HardSigmoid", "Tanh"], "alpha": [0.2], "beta": [0.5]}
RELU = {"activations": ["Sigmoid", "Relu"]}
LINEAR = {"activations": ["Sigmoid", "Affine"], "alpha": [1.0], "beta": [0.0]}
HARD_RELU = {"activations": ["HardSigmoid", "Relu"], "alpha": [0.2], "beta": [0.5]}
RAGGED = [4, 6, 1]

# name: linear_before_reset, direction, (T, N, I, H), options
NODES = {
    "before_forward": (0, "forward", (5, 3, 4, 6), {}),
    "after_forward": (1, "forward", (5, 3, 4, 6), {}),
    "before_reverse_lengths": (0, "reverse", (6, 3, 5, 7), {"lengths": RAGGED, "h0": True}),
    "after_reverse_lengths": (1, "reverse", (6, 3, 5, 7), {"lengths": RAGGED, "h0": True}),
    "before_bidirectional_lengths": (0, "bidirectional", (6, 3, 3, 5), {"lengths": RAGGED, "h0": True}),
    "after_bidirectional_lengths": (1, "bidirectional", (6, 3, 3, 5), {"lengths": RAGGED, "h0": True}),
    "before_bidirectional": (0, "bidirectional", (4, 2, 7, 3), {}),
    "after_bidirectional": (1, "bidirectional", (4, 2, 7, 3), {}),
    "before_no_bias": (0, "forward", (3, 2, 2, 9), {"bias": False, "h0": True}),
    "after_no_bias": (1, "forward", (3, 2, 2, 9), {"bias": False, "h0": True}),
    "before_clip": (0, "forward", (5, 2, 4, 5), {"clip": 0.75, "h0": True}),
    "after_clip": (1, "forward", (5, 2, 4, 5), {"clip": 0.75, "h0": True}),
    "before_hard": (0, "forward", (5, 2, 4, 5), {**HARD, "h0": True}),
    "after_hard": (1, "forward", (5, 2, 4, 5), {**HARD, "h0": True}),
    "before_relu": (0, "forward", (5, 2, 4, 5), {**RELU, "h0": True}),
    "after_relu": (1, "forward", (5, 2, 4, 5), {**RELU, "h0": True}),
    "before_linear": (0, "forward", (5, 2, 4, 5), {**LINEAR, "h0": True}),
    "after_linear": (1, "forward", (5, 2, 4, 5), {**LINEAR, "h0": True}),
    "before_hard_relu_clip_lengths": (0, "reverse", (6, 3, 3, 4),
                                      {**HARD_RELU, "clip": 1.5, "lengths": RAGGED, "h0": True}),
    "after_hard_relu_clip_lengths": (1, "reverse", (6, 3, 3, 4),
                                     {**HARD_RELU, "clip": 1.5, "lengths": RAGGED, "h0": True}),
}
RAW = ("before_bidirectional_lengths", "after_bidirectional", "before_no_bias", "after_forward")


def run_node(attributes, feed, opset=22):
    """Y [T][D][N][H] and Y_h [D][N][H] of one GRU node; missing inputs are optional ones."""
    names = [name if name in feed else "" for name in ("X", "W", "R", "B", "sequence_lens", "initial_h")]
    while not names[-1]:
        names.pop()
    node = helper.make_node("GRU", names, ["Y", "Y_h"], **attributes)
    inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
              for name, array in feed.items()]
    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
               for name, shape in (("Y", "TDNH"), ("Y_h", "DNH"))]
    model = helper.make_model(helper.make_graph([node], "gru", inputs, outputs),
                              opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def add_node(file, seed, name, before_reset, direction, shape, options):
    T, N, I, H = shape
    draw, D = golden.Draw(seed), 2 if direction == "bidirectional" else 1
    values = {"X": draw(T, N, I), "W": draw(D, 3 * H, I), "R": draw(D, 3 * H, H)}
    if options.get("bias", True):
        values["B"] = draw(D, 6 * H)
    if "h0" in options:
        values["initial_h"] = draw(D, N, H)
    feed = {key: array.astype(np.float32) for key, array in values.items()}
    if "lengths" in options:
        feed["sequence_lens"] = np.array(options["lengths"], np.int32)
    attributes = {"hidden_size": H, "direction": direction, "linear_before_reset": before_reset}
    if "clip" in options:
        attributes["clip"] = options["clip"]
    if "activations" in options:
        attributes["activations"] = options["activations"] * D
    for key in ("alpha", "beta"):
        if key in options:
            attributes[f"activation_{key}"] = options[key] * D
    Y, Y_h = run_node(attributes, feed)
    gate, candidate = options.get("activations", ["Sigmoid", "Tanh"])
    for d in range(D):
        config = {"reset": golden.AFTER if before_reset else golden.BEFORE, "update": golden.KEEP,
                  "gate": golden.HARD_SIGMOID if gate == "HardSigmoid" else golden.SIGMOID,
                  "candidate": {"Tanh": golden.TANH, "Relu": golden.RELU, "Affine": golden.LINEAR}[candidate],
                  "direction": golden.REVERSE if direction == "reverse" or d else golden.FORWARD,
                  "T": T, "N": N, "I": I, "H": H, "source_bits": 32}
        tensors = {"x": values["X"], "y": Y[:, d], "hT": Y_h[d],
                   "W": golden.rows_rzn(values["W"][d]), "R": golden.rows_rzn(values["R"][d])}
        if "B" in values:
            bias = values["B"][d]
            tensors.update(bW=golden.rows_rzn(bias[:3 * H]), bR=golden.rows_rzn(bias[3 * H:]))
        if "initial_h" in values:
            tensors["h0"] = values["initial_h"][d]
        if "lengths" in options:
            tensors["lengths"] = options["lengths"]
        file.case(name + ("", "_forward", "_reverse")[(D - 1) * (d + 1)], config,
                  clip=options.get("clip", 0.0), hard_slope=0.2 if gate == "HardSigmoid" else 0.0, **tensors)
    if name in RAW:
        file.raw(name, **{key: feed[key] for key in ("W", "R", "B") if key in feed})


def main():
    file = golden.File("onnxruntime")
    for seed, (name, (before_reset, direction, shape, options)) in enumerate(NODES.items()):
        add_node(file, 2000 + seed, name, before_reset, direction, shape, options)
    file.write()
    print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__, len(file.names), "cases")


if __name__ == "__main__":
    main()
