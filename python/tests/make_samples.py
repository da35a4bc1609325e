#!/usr/bin/env python3
"""Makes samples/: small models as the real packages write them, and what these packages compute of them.

    make_samples.py     needs keras, tf_keras, tensorflow, torch, onnx, onnxscript, onnxruntime, h5py, safetensors

Beside each model lies NAME.json: for each GRU the prefix that it has to get, x [T][N][I], and the numbers that the
package computed from zero states: outputs, then last states. Models are made of these packages alone: nothing is copied.
"""
from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
HERE = Path(__file__).resolve().parent
SAMPLES = HERE / "samples"
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np

import keras_kinds
from libgru.convert import safetensors
from libgru.convert.convert import Options, convert
from libgru.convert.verify import drawn

KERAS = ("two_layers", "both_twice", "own_backward_small", "cells", "nested", "over_time", "others")


def keep(path: Path, expected: dict[str, tuple[Any, Any]]) -> None:
    """expected: by prefix, x and the numbers."""
    text = {prefix: {"x": np.asarray(x).tolist(), "numbers": [round(float(n), 9) for n in numbers]}
            for prefix, (x, numbers) in expected.items()}
    path.with_name(path.name + ".json").write_text(json.dumps(text) + "\n")


def keep_compared(path: Path, compare: Any) -> None:
    """The framework's side of the converter's own comparison, which loads the model by the framework's own means."""
    output = convert(path, Options())
    written = SAMPLES / "temporary.safetensors"
    safetensors.write(written, output.tensors, output.metadata)
    source = safetensors.read(written)
    keep(path, {gru.prefix: (drawn(gru.layers[0].inputs), theirs) for gru, theirs, _ in compare(path, source, output.grus)})
    written.unlink()


def randomised(model: Any) -> Any:
    """Biases are drawn too: a lost bias that is zero would not show."""
    random = np.random.default_rng(7)
    model.set_weights([random.uniform(-0.8, 0.8, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def make_keras() -> None:
    import keras
    import tf_keras

    from libgru.convert.verify_keras import compare
    for package, version in ((keras, 3), (tf_keras, 2)):
        package.Sequential([package.Input((5, 3)), package.layers.GRU(4), package.layers.Dense(2)])    # takes the first names
        for name in KERAS:
            model = randomised(keras_kinds.KINDS[name](package))
            for ending in ("h5", "keras"):
                path = SAMPLES / f"keras{version}_{name}.{ending}"
                model.save(path)
                keep_compared(path, compare)


def make_old_keras() -> None:
    """Keras 1 cannot run on today's Python: its files are written here as its engine/topology.py does. Its GRU is Keras
    2's with reset_after=False; the numbers are that one's."""
    import h5py
    import tf_keras

    from libgru.convert.verify_keras import _run
    layer = tf_keras.layers.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid")
    x = drawn(3)
    layer.build((None, 5, 3))
    randomised(layer)
    kernel, recurrent, bias = layer.get_weights()
    arrays = {f"{letter}_{gate}": np.split(array, 3, axis=-1)[k] for letter, array in
              (("W", kernel), ("U", recurrent), ("b", bias)) for k, gate in enumerate("zrh")}
    settings = {"name": "gru_1", "output_dim": 4, "activation": "tanh", "inner_activation": "hard_sigmoid",
                "go_backwards": False, "return_sequences": False, "consume_less": "cpu"}
    path = SAMPLES / "keras1.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": [
            {"class_name": "GRU", "config": settings}]}).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"gru_1"]
        group = weights.create_group("gru_1")
        group.attrs["weight_names"] = [f"gru_1_{name}".encode() for name in arrays]
        for name, array in arrays.items():
            group[f"gru_1_{name}"] = array
    y, states = _run(layer, x)
    keep(path, {"gru_1.": (x, np.concatenate([y.ravel(), *(s.ravel() for s in states)]))})


def make_cudnn_keras() -> None:
    """CuDNNGRU runs on GPUs alone; Keras' own loader tells which GRU it is."""
    import tf_keras
    from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
    from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

    from libgru.convert.verify_keras import _run
    model = randomised(tf_keras.Sequential([tf_keras.Input((5, 3)), CuDNNGRU(4, name="old")]))
    path, layer, x = SAMPLES / "keras2_cudnn.h5", tf_keras.layers.GRU(4, reset_after=True), drawn(3)
    model.save(path)
    layer.build((None, 5, 3))
    layer.set_weights(preprocess_weights_for_loading(layer, model.get_weights()))
    y, states = _run(layer, x)
    keep(path, {"old.": (x, np.concatenate([y.ravel(), *(s.ravel() for s in states)]))})


def make_torch() -> None:
    import torch
    from safetensors.torch import save_file
    from torch import nn

    from libgru.convert.verify_torch import compare
    torch.manual_seed(3)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.gru = nn.Embedding(5, 3), nn.GRU(3, 4, 2, bidirectional=True)
            self.cell, self.half = nn.GRUCell(3, 2), nn.GRU(2, 2).bfloat16()
            self.old = nn.utils.weight_norm(nn.GRU(3, 2), "weight_hh_l0")
            self.new = nn.utils.parametrizations.weight_norm(nn.GRU(3, 2), "weight_hh_l0", dim=1)
    model = Model()
    state = model.state_dict()
    torch.save(state, SAMPLES / "state.pt")
    torch.save(state, SAMPLES / "before_1.6.pth", _use_new_zipfile_serialization=False)
    torch.save({"network": state, "optimiser": {"momentum": [torch.ones(2)]}, "epoch": 3}, SAMPLES / "checkpoint.tar")
    save_file(state, SAMPLES / "state.safetensors")
    np.savez(SAMPLES / "cell.npz", enc_w_ih=model.cell.weight_ih.detach(), enc_w_hh=model.cell.weight_hh.detach(),
             enc_b_ih=model.cell.bias_ih.detach(), enc_b_hh=model.cell.bias_hh.detach(), table=np.arange(6.0))
    for name in ("state.pt", "before_1.6.pth", "checkpoint.tar", "state.safetensors", "cell.npz"):
        keep_compared(SAMPLES / name, compare)
    module = nn.Sequential(nn.GRU(3, 4))
    torch.save(module, SAMPLES / "module.pt")    # whole: torch itself reads it only by running its pickle
    torch.jit.script(module).save(str(SAMPLES / "script.pt"))
    x = drawn(3)
    y, states = module(torch.from_numpy(x.astype("f4")))
    for name in ("module.pt", "script.pt"):
        keep(SAMPLES / name, {"0.": (x, torch.cat([y.ravel(), states.ravel()]).tolist())})


def make_onnx() -> None:
    import torch

    from libgru.convert.verify_onnx import compare
    torch.manual_seed(4)

    class Model(torch.nn.Module):
        def __init__(self, H: int, layers: int, both: bool) -> None:
            super().__init__()
            self.gru = torch.nn.GRU(3, H, layers, bidirectional=both, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.gru(x)
    for name, layers, both in (("single", 1, False), ("stacked", 3, True)):
        for dynamo in (False, True):
            path = SAMPLES / f"{name}_{'dynamo' if dynamo else 'traced'}.onnx"
            torch.onnx.export(Model(4, layers, both).eval(), (torch.zeros(2, 5, 3),), str(path), dynamo=dynamo,
                              verbose=False, **({"external_data": False} if dynamo else {}))
            strip(path)
            keep_compared(path, compare)


def strip(path: Path) -> None:
    """The exporter's notes name files of the machine that ran it."""
    import onnx
    model = onnx.load(path)
    for part in [model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer]:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    onnx.save(model, path)


if __name__ == "__main__":
    SAMPLES.mkdir(exist_ok=True)
    for step in sys.argv[1:] or ("keras", "old_keras", "cudnn_keras", "torch", "onnx"):
        globals()[f"make_{step}"]()
