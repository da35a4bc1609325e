"""Keras 3 on libgru with each backend: cases of our own, and Keras' own tests, which its wheel holds."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Keras' own tests that pass without libgru and not with it; the reasons are in docs/frameworks.md.
EXCEPTIONS: dict[str, set[str]] = {"jax": set(), "torch": set()}


def run(backend: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", *command], capture_output=True, text=True, cwd=HERE,
                          env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"})


class Keras(unittest.TestCase):
    def check(self, backend: str) -> None:
        ours = run(backend, "keras_cases.py")
        self.assertEqual(ours.returncode, 0, ours.stdout + ours.stderr)
        folder = Path(str(find_spec("keras").origin)).parent / "src" / "layers" / "rnn"    # type: ignore[union-attr]
        theirs = run(backend, "-m", "pytest", "-q", "-rf", "-p", "keras_dropin", "-p", "no:cacheprovider", str(folder / "gru_test.py"),
                     str(folder / "bidirectional_test.py"))
        failed = set(re.findall(r"^FAILED \S+::(\w+)", theirs.stdout, re.MULTILINE))
        self.assertEqual(failed, EXCEPTIONS[backend], theirs.stdout[-8000:])
        self.assertRegex(theirs.stdout, r"libgru ran \d{2,} calls")
        self.assertGreaterEqual(int(re.findall(r"(\d+) passed", theirs.stdout)[0]), 15)

    def test_with_jax(self) -> None:
        self.check("jax")

    def test_with_pytorch(self) -> None:
        self.check("torch")


if __name__ == "__main__":
    unittest.main()
