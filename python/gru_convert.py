#!/usr/bin/env python3
"""Converts GRU weights of other programs to a safetensors file that gru_stack_load understands.

    gru_convert.py model.npz model.safetensors [--map OLD=NEW ...] [--set PREFIXgru.reset=before ...]

Reads .npz (names such as enc_w_ih, or PyTorch's), .pt and .pth (state dicts; needs torch), .h5 and .keras (needs h5py)
and .onnx (GRU nodes; needs onnx). A GRU becomes PREFIXweight_ih_l0 and so on, gates r, z, n, with its variant as
metadata; every other tensor passes through under its own name. --map renames a tensor first; --set adds metadata.
What cannot be converted exactly is refused.
"""
import argparse
import json
import re
import struct
import sys
import zipfile

import numpy as np

DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "int8": "I8", "uint8": "U8", "int16": "I16",
          "uint16": "U16", "int32": "I32", "uint32": "U32", "int64": "I64", "uint64": "U64", "bool": "BOOL"}


class Bfloat16:
    """An array that numpy has no type for: its bits."""

    def __init__(self, bits):
        self.bits, self.shape = bits, bits.shape


class Model:
    """Tensors by name, and the words of the variants."""

    def __init__(self):
        self.tensors, self.metadata = {}, {}

    def add(self, name, array):
        if name in self.tensors:
            sys.exit(f"two tensors are called {name}: rename one with --map")
        self.tensors[name] = array

    def add_cell(self, prefix, reverse, arrays):
        """arrays: W [3H][I], R [3H][H], bW [3H], bR [3H], gates r, z, n; biases may be None."""
        W, R, bW, bR = arrays
        if (bW is None) != (bR is None):
            bW, bR = (np.zeros_like(R[:, 0]) if b is None else b for b in (bW, bR))
        for name, array in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), (W, R, bW, bR)):
            if array is not None:
                self.add(f"{prefix}{name}_l0{'_reverse' if reverse else ''}", array)

    def add_variant(self, prefix, **fields):
        for field, value in fields.items():
            self.metadata[f"{prefix}gru.{field}"] = str(value)

    def write(self, path):
        """Large elements first: then each tensor is aligned though nothing lies between them."""
        def describe(array):
            if isinstance(array, Bfloat16):
                return "BF16", 2, array.bits.tobytes()
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            return DTYPES[array.dtype.name], array.dtype.itemsize, little.tobytes()

        header, data = {"__metadata__": dict(sorted(self.metadata.items()))}, b""
        described = {name: describe(array) for name, array in self.tensors.items()}
        for name, (dtype, _, content) in sorted(described.items(), key=lambda item: (-item[1][1], item[0])):
            shape = list(self.tensors[name].shape)
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
            data += content
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)


def exchange_gates(array):
    """Rows z, r, n to r, z, n, and back."""
    z, r, n = np.split(array, 3)
    return np.concatenate([r, z, n])


# ---- .npz and PyTorch --------------------------------------------------------------------------------------------------

def add_named(model, tensors):
    """Names of one cell without a layer (enc_w_ih, cell.weight_ih) get one; all others stay."""
    cell = re.compile(r"(.*?)[_.]?(weight|bias|w|b)_(ih|hh)$")
    recurrent = {cell.match(name)[1] for name, a in tensors.items()
                 if re.search(r"(weight|w)_hh$", name) and len(a.shape) == 2 and a.shape[0] == 3 * a.shape[1]}
    for name, array in tensors.items():
        match = cell.match(name)
        if match and match[1] in recurrent:
            kind = "weight" if match[2][0] == "w" else "bias"
            name = f"{match[1] + '.' if match[1] else ''}{kind}_{match[3]}_l0"
        model.add(name, array)


def read_npz(model, path):
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_torch(model, path):
    import torch
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    tensors = {}
    for name, tensor in loaded.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        tensor = tensor.detach().contiguous()
        is_bfloat16 = tensor.dtype == torch.bfloat16
        tensors[name] = Bfloat16(tensor.view(torch.int16).numpy()) if is_bfloat16 else tensor.numpy()
    return tensors


# ---- Keras -------------------------------------------------------------------------------------------------------------

def keras_layers(config):
    """Every layer's description in a model's, nested models and wrappers included."""
    if isinstance(config, dict):
        if "class_name" in config and isinstance(config.get("config"), dict):
            yield config
        for value in config.values():
            yield from keras_layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from keras_layers(value)


def keras_arrays(name, cell, weights):
    """kernel, recurrent_kernel and bias to W, R, bW, bR."""
    kernel, recurrent, *rest = weights
    bias = rest[0] if rest else None
    H = recurrent.shape[0]
    if cell["class_name"] == "CuDNNGRU":  # each gate of the kernel holds cuDNN's [H][I] numbers in the shape [I][H]
        W = np.concatenate([gate.ravel().reshape(H, -1) for gate in np.split(kernel, 3, axis=1)])
        R = np.concatenate(np.split(recurrent, 3, axis=1))
    else:
        W, R = kernel.T, recurrent.T
    W, R = exchange_gates(W), exchange_gates(R)
    if bias is None:
        return W, R, None, None
    after = cell["class_name"] == "CuDNNGRU" or cell["config"].get("reset_after", False)
    if bias.size != (6 if after else 3) * H:
        sys.exit(f"layer {name}: the bias has {bias.size} numbers, expected {(6 if after else 3) * H}")
    parts = bias.reshape(-1, 3 * H)
    return W, R, exchange_gates(parts[0]), exchange_gates(parts[1]) if after else None


def keras_variant(name, cell, version):
    config = cell["config"]
    gate, candidate = config.get("recurrent_activation", "sigmoid"), config.get("activation", "tanh")
    if gate not in ("sigmoid", "hard_sigmoid") or candidate not in ("tanh", "relu", "linear"):
        sys.exit(f"layer {name}: activations {candidate} and {gate} have no counterpart")
    after = cell["class_name"] == "CuDNNGRU" or config.get("reset_after", False)
    slope = 1 / 6 if int(version.split(".")[0]) >= 3 else 0.2
    return {"reset": "after" if after else "before", "gate": gate, "candidate": candidate, "hard_slope": repr(slope)}


def add_keras(model, weights_of, config, version):
    """weights_of(layer's name, its class, "", "forward" or "backward"): its arrays."""
    wrapped = set()
    for layer in keras_layers(config):
        name, kind, settings = layer["config"].get("name"), layer["class_name"], layer["config"]
        directions = {"": layer}
        if kind == "Bidirectional":
            inner = settings["layer"]
            backward = settings.get("backward_layer") or inner
            directions = {"forward": inner, "backward": backward}
            wrapped |= {id(inner), id(settings.get("backward_layer"))}
        if id(layer) in wrapped or any(d["class_name"] not in ("GRU", "CuDNNGRU") for d in directions.values()):
            continue
        merge = settings.get("merge_mode", "concat") or "separate"
        if merge not in ("concat", "sum", "separate"):
            sys.exit(f"layer {name}: merge_mode {merge} has no counterpart")
        model.add_variant(f"{name}.", merge=merge, **keras_variant(name, next(iter(directions.values())), version))
        for side, cell in directions.items():
            reverse = side == "backward" or (not side and cell["config"].get("go_backwards", False))
            if reverse and not side:
                print(f"layer {name}: Keras returns the outputs of go_backwards in reversed order, this library does not",
                      file=sys.stderr)
            model.add_cell(f"{name}.", reverse, keras_arrays(name, cell, weights_of(name, kind, side)))


def read_h5(model, path):
    import h5py
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            sys.exit(f"{path} holds weights without the model's configuration, which tells how to read them")
        root, arrays = file["model_weights"] if "model_weights" in file else file, {}
        root.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)

        def weights_of(name, kind, side):
            found = {key.split("/")[-1].split(":")[0]: array for key, array in arrays.items()
                     if key.split("/")[0] == name and (not side or f"/{side}_" in key)}
            return [found[key] for key in ("kernel", "recurrent_kernel", "bias") if key in found]
        text = file.attrs["model_config"]
        config = json.loads(text if isinstance(text, str) else text.decode())
        version = file.attrs.get("keras_version", "2")
        add_keras(model, weights_of, config, version if isinstance(version, str) else version.decode())
        add_others(model, {key.replace("/", ".").split(":")[0]: array for key, array in arrays.items()
                           if not any(part in key for part in ("recurrent_kernel", "gru"))})
    return {}


def read_keras(model, path):
    import h5py
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        version = json.loads(archive.read("metadata.json"))["keras_version"]
        with archive.open("model.weights.h5") as stored, h5py.File(stored, "r") as file:
            counts, places = {}, {}
            layers = config["config"]["layers"]
            for layer in layers:  # groups are called by the layer, or by its class and a count
                base = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2",
                                                                  layer["class_name"])).lower()
                count = counts[base] = counts.get(base, -1) + 1
                name = layer["config"]["name"]
                places[name] = next((p for p in (f"layers/{name}", f"layers/{base}_{count}" if count else
                                                 f"layers/{base}") if p in file), None)

            def arrays_of(place):
                return [file[place][key][()] for key in sorted(file[place], key=int)]

            def weights_of(name, kind, side):
                return arrays_of(f"{places[name]}/{side + '_layer/' if side else ''}cell/vars")
            add_keras(model, weights_of, config, version)
            for layer in layers:
                name, place = layer["config"]["name"], places[layer["config"]["name"]]
                if place and "vars" in file[place] and not f"{name}.gru.reset" in model.metadata:
                    add_others(model, {f"{name}.{i}": array for i, array in enumerate(arrays_of(f"{place}/vars"))})
    return {}


def add_others(model, tensors):
    for name, array in tensors.items():
        if array.dtype.name in DTYPES:
            model.add(name, array)


# ---- ONNX --------------------------------------------------------------------------------------------------------------

def onnx_variant(name, attributes, directions):
    words = {"Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid", "Tanh": "tanh", "Relu": "relu"}
    functions = [f.decode() for f in attributes.get("activations", [b"Sigmoid", b"Tanh"] * directions)]
    alpha, beta = attributes.get("activation_alpha", []), attributes.get("activation_beta", [])
    if functions[:2] * directions != functions or any(f not in words for f in functions):
        sys.exit(f"node {name}: activations {functions} have no counterpart")
    gate, candidate = words[functions[0]], words[functions[1]]
    if gate not in ("sigmoid", "hard_sigmoid") or candidate not in ("tanh", "relu"):
        sys.exit(f"node {name}: activations {functions} have no counterpart")
    if len(set(alpha)) > 1 or any(b != 0.5 for b in beta):
        sys.exit(f"node {name}: activation_alpha {alpha} and activation_beta {beta} have no counterpart")
    slope = float(np.float32(alpha[0])) if alpha else 0.2
    return {"reset": "after" if attributes.get("linear_before_reset", 0) else "before", "gate": gate,
            "candidate": candidate, "clip": repr(float(attributes.get("clip", 0))), "hard_slope": repr(slope)}


def read_onnx(model, path):
    import onnx
    graph = onnx.load(path).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    arrays.update({node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t) for node in graph.node
                   if node.op_type == "Constant" and node.attribute[0].name == "value"})
    used = set()
    nodes = [node for node in graph.node if node.op_type == "GRU"]
    for number, node in enumerate(nodes):
        name = node.name or f"gru{number if len(nodes) > 1 else ''}"
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = list(node.input) + [""] * 3
        if any(i and i not in arrays for i in inputs[1:4]):
            sys.exit(f"node {name}: W, R or B is computed in the graph, expected initializers")
        W, R, B = (arrays.get(i) for i in inputs[1:4])
        used.update(inputs[1:4])
        direction = attributes.get("direction", b"forward").decode()
        model.add_variant(f"{name}.", **onnx_variant(name, attributes, W.shape[0]))
        for d in range(W.shape[0]):
            bW, bR = (None, None) if B is None else map(exchange_gates, np.split(B[d], 2))
            model.add_cell(f"{name}.", direction == "reverse" or d == 1,
                           (exchange_gates(W[d]), exchange_gates(R[d]), bW, bR))
    add_others(model, {name: array for name, array in arrays.items() if name not in used})
    return {}


# ------------------------------------------------------------------------------------------------------------------------

READERS = {".npz": read_npz, ".pt": read_torch, ".pth": read_torch, ".h5": read_h5, ".hdf5": read_h5,
           ".keras": read_keras, ".onnx": read_onnx}


def pair(text):
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text} has no =")
    return text.split("=", 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--map", action="append", type=pair, default=[], metavar="OLD=NEW")
    parser.add_argument("--set", action="append", type=pair, default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    ending = next((e for e in READERS if options.input.endswith(e)), None)
    if not ending:
        sys.exit(f"{options.input} ends with none of {', '.join(READERS)}")
    model, names = Model(), dict(options.map)
    named = READERS[ending](model, options.input)
    for old in names:
        if old not in named:
            sys.exit(f"--map {old}=...: {options.input} has no such tensor")
    add_named(model, {names.get(name, name): array for name, array in named.items()})
    model.metadata.update(options.set)
    for name, array in model.tensors.items():
        if not isinstance(array, Bfloat16) and array.dtype.name not in DTYPES:
            sys.exit(f"{name} has the type {array.dtype}, which the file cannot hold")
    model.write(options.output)


if __name__ == "__main__":
    main()
