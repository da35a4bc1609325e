#!/usr/bin/env python3
"""Converts the test_gru_* cases of the ONNX standard's own backend test data to onnx_node.safetensors."""
import pathlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper

import golden

DATA = pathlib.Path("/usr/share/libonnx-testdata/data/node")   # Debian's libonnx-testdata
NODES = ("test_gru_defaults", "test_gru_with_initial_bias", "test_gru_seq_length", "test_gru_batchwise")
KNOWN = {"hidden_size", "layout"}


def tensors_of(folder, kind, names):
    """{name: array} of the data set's input_K.pb or output_K.pb; empty names are optional ones left out."""
    files = [folder / "test_data_set_0" / f"{kind}_{k}.pb" for k in range(sum(map(bool, names)))]
    arrays = [numpy_helper.to_array(onnx.load_tensor(str(file))) for file in files]
    return dict(zip(filter(None, names), arrays))


def main(data):
    file = golden.File("onnx_node")
    for name in NODES:
        node, = onnx.load(str(data / name / "model.onnx")).graph.node
        attributes = {a.name: a.i for a in node.attribute}
        assert node.op_type == "GRU" and set(attributes) <= KNOWN, attributes
        source = tensors_of(data / name, "input", node.input)
        result = tensors_of(data / name, "output", node.output)
        x, hT = source["X"], result["Y_h"]
        if attributes.get("layout", 0):
            x, hT = x.swapaxes(0, 1), hT.swapaxes(0, 1)
        (T, N, I), H = x.shape, attributes["hidden_size"]
        tensors = {"x": x, "W": golden.rows_rzn(source["W"][0]), "R": golden.rows_rzn(source["R"][0]),
                   "hT": hT[0]}
        if T == 1:
            tensors["y"] = hT   # the only step's output is the final state; no case of two steps has Y
        if "B" in source:
            bias = source["B"][0]
            tensors.update(bW=golden.rows_rzn(bias[:3 * H]), bR=golden.rows_rzn(bias[3 * H:]))
        file.case(name, {"reset": golden.BEFORE, "update": golden.KEEP, "gate": golden.SIGMOID,
                         "candidate": golden.TANH, "direction": golden.FORWARD,
                         "T": T, "N": N, "I": I, "H": H, "source_bits": 32}, **tensors)
        file.raw(name, **{key: array for key, array in source.items() if key != "X"})
    file.write()
    print("onnx", onnx.__version__, len(file.names), "cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
