"""What the package's tests share: golden files, drawn arrays, the C compiler."""
from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
INCLUDE = ROOT / "include"
GOLDEN = ROOT / "tests" / "golden"
sys.path[:0] = [str(HERE.parents[1])]

from libgru.convert import safetensors    # noqa: E402

_CONFIG = ("reset", "update", "gate", "candidate", "direction", "T", "N", "I", "H", "has_lengths", "has_h0", "has_gradients",
           "layers", "directions", "has_bias", "has_y", "source_bits")
_WORDS = {"reset": ("after", "before", "all"), "update": ("keep", "write"), "gate": ("sigmoid", "hard_sigmoid"),
          "candidate": ("tanh", "relu", "linear"), "direction": ("forward", "reverse")}


class Golden:
    """One case of a golden file: config by name, and arrays by name."""

    def __init__(self, name: str, arrays: dict[str, Any]) -> None:
        self.name, self.arrays = name, arrays
        self.config = dict(zip(_CONFIG, arrays["config"].tolist()))
        clip, slope = arrays["parameters"].tolist()
        self.variant: dict[str, Any] = {key: _WORDS[key][self.config[key]] for key in ("reset", "update", "gate", "candidate")}
        self.variant.update(clip=clip, hard_slope=slope)
        self.direction = _WORDS["direction"][self.config["direction"]]

    def get(self, name: str, kind: Any = np.float64) -> Any:
        """An array as another type; None where the case has none."""
        array = self.arrays.get(name)
        return None if array is None else np.ascontiguousarray(array.astype(kind))

    @property
    def is_stack(self) -> bool:
        return self.config["layers"] * self.config["directions"] > 1


def golden(file: str) -> Iterator[Golden]:
    tensors = safetensors.read(GOLDEN / f"{file}.safetensors").tensors
    for name in sorted(key.rpartition("/")[0] for key in tensors if key.endswith("/config")):
        arrays = {key[len(name) + 1:]: tensor.bits for key, tensor in tensors.items() if key.startswith(name + "/")}
        yield Golden(name, arrays)


class Draw:
    """Numbers in -1..1, float32 unless said otherwise."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def __call__(self, *shape: int, kind: Any = np.float32) -> Any:
        return self.random.uniform(-1, 1, shape).astype(kind)

    def weights(self, inputs: int, hidden: int) -> tuple[Any, Any, Any, Any]:
        return self(3 * hidden, inputs), self(3 * hidden, hidden), self(3 * hidden), self(3 * hidden)


def compiled(source: str, *options: str) -> Path:
    """What the C compiler makes of this source, in a temporary folder that the process leaves behind for /tmp."""
    folder = Path(tempfile.mkdtemp())
    (folder / "source.c").write_text(source)
    command = [*shlex.split(os.environ.get("CC", "cc")), f"-I{INCLUDE}", "-o", str(folder / "out"), str(folder / "source.c"), *options]
    subprocess.run(command, check=True)
    return folder / "out"


def child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), **environment})
