"""What the converter's tests share: the command, files made on the spot, and the library itself where it was built."""
from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SAMPLES = HERE / "samples"
sys.path[:0] = [str(HERE.parent)]

import numpy as np

from libgru.convert import rnn, safetensors
from libgru.convert.cli import main
from libgru.convert.source import Source

RUNNER = os.environ.get("GRU_RUNNER", "")    # tests/clients/run_file.c, where it was built
NEEDS = {".h5": "h5py", ".keras": "h5py", ".onnx": "onnx"}


def has(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


class Case(unittest.TestCase):
    """A folder of its own, and the command."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.output = self.folder / "output.safetensors"

    def run_command(self, path: Path, *options: str) -> tuple[int, str, str]:
        """Status, stdout, stderr. Any exception would be a traceback that a user sees."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([str(path), str(self.output), *options])
        return status, out.getvalue(), err.getvalue()

    def converted(self, path: Path, *options: str, status: int = 0) -> Source:
        got, _, errors = self.run_command(path, *options)
        self.assertEqual(got, status, f"{path.name}: {errors}")
        return safetensors.read(self.output)

    def refused(self, path: Path, words: str, *options: str) -> None:
        """One sentence that has these words and the path, nothing written."""
        self.output.unlink(missing_ok=True)
        status, out, errors = self.run_command(path, *options)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(words, errors)
        self.assertIn(path.name, errors)
        self.assertEqual(len(errors.strip().splitlines()), 1, errors)
        self.assertFalse(self.output.exists())
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".gru-convert")], [])

    def numbers(self, source: Source, prefix: str, x: Any) -> rnn.Numbers:
        """Outputs and last states in numpy. Where the library was built it loads the file too: both have to agree."""
        outputs, states = rnn.run(rnn.load(source, prefix), np.asarray(x, "f8"))
        numbers = np.concatenate([array.ravel() for array in [*outputs, *states]])
        if RUNNER:
            theirs = self.by_library(prefix, x, len(outputs) == 2)
            np.testing.assert_allclose(theirs, numbers, rtol=0, atol=2e-5 * max(1, np.abs(numbers).max()))
        return numbers

    def by_library(self, prefix: str, x: Any, separate: bool) -> Any:
        """The same numbers from the library itself, in single precision."""
        words = [RUNNER, str(self.output), prefix, *map(str, np.shape(x)[:2]), *(["separate"] if separate else [])]
        ran = subprocess.run(words, input=np.asarray(x, "<f4").tobytes(), capture_output=True)
        self.assertEqual(ran.returncode, 0, ran.stderr.decode())
        return np.frombuffer(ran.stdout, "<f4")


def has_all(ending: str) -> bool:
    """Whether the package that reads files of this ending is here."""
    return has(NEEDS[ending]) if ending in NEEDS else True
