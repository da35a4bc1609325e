"""The safetensors container and the canonical form of a case, for the scripts that make golden files."""
import json
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
DTYPES = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "I32": np.dtype("<i4")}

AFTER, BEFORE, ALL = 0, 1, 2
KEEP, WRITE = 0, 1
SIGMOID, HARD_SIGMOID = 0, 1
TANH, RELU, LINEAR = 0, 1, 2
FORWARD, REVERSE = 0, 1
MASK = 2  # has_lengths: a mask in their place

# The order of NAME/config; README.md says what each entry means.
CONFIG = ("reset update gate candidate direction T N I H has_lengths has_h0 has_gradients "
          "layers directions has_bias has_y source_bits").split()


def save(path, tensors, metadata=None):
    """Writes {name: array}. Wide types come first: every tensor is aligned and the data has no holes."""
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name in order:
        array = np.ascontiguousarray(tensors[name])
        dtype = next(key for key, value in DTYPES.items() if value == array.dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def load(path):
    """The tensors of a file written by save()."""
    blob = pathlib.Path(path).read_bytes()
    size, = struct.unpack("<Q", blob[:8])
    header, data = json.loads(blob[8:8 + size]), blob[8 + size:]
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        out[name] = np.frombuffer(data[first:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return out


def cases(tensors):
    """The names of the cases in a file."""
    return [name[:-len("/config")] for name in tensors if name.endswith("/config")]


def rows_rzn(array, axis=0):
    """Gate blocks z, r, n to r, z, n along one axis."""
    z, r, n = np.split(np.asarray(array), 3, axis)
    return np.concatenate([r, z, n], axis)


class Draw:
    """Uniform numbers in -1..1 that single precision holds exactly, so that no engine rounds its inputs."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def __call__(self, *shape):
        return self.generator.uniform(-1, 1, shape).astype(np.float32).astype(np.float64)


class File:
    """Collects the cases of one source and writes SOURCE.safetensors."""

    def __init__(self, source):
        self.source, self.tensors, self.names = source, {}, []

    def case(self, name, config, clip=0.0, hard_slope=0.0, numbers=None, **tensors):
        """numbers: alpha and beta of the gates' function, then of the candidate's, if those are GRU_ACTIVATION_..."""
        unknown = set(config) - set(CONFIG)
        assert name not in self.names and not unknown, (name, unknown)
        present = {"has_lengths": "lengths", "has_h0": "h0", "has_gradients": "dy", "has_bias": "bW",
                   "has_y": "y"}
        config = {"layers": 1, "directions": 1, **{key: tensor in tensors for key, tensor in present.items()},
                  **config}
        self.names.append(name)
        self.tensors[f"{name}/config"] = np.array([config[key] for key in CONFIG], "<i4")
        self.tensors[f"{name}/parameters"] = np.array([clip, hard_slope], "<f8")
        if numbers:
            self.tensors[f"{name}/numbers"] = np.array(numbers, "<f8")
        for key, array in tensors.items():
            self.tensors[f"{name}/{key}"] = np.asarray(array, "<i4" if key in ("lengths", "mask") else "<f8")

    def raw(self, name, **arrays):
        """The source's own weights, in its own shapes, in single precision as its files hold them."""
        for key, array in arrays.items():
            self.tensors[f"raw/{name}/{key}"] = np.asarray(array, "<f4")

    def write(self):
        save(HERE / f"{self.source}.safetensors", self.tensors)
