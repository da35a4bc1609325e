"""PyTorch's own test files, unchanged, with libgru.torch.GRU as torch.nn.GRU. scripts/fetch_torch_tests.sh fetches them; the
environment variable TORCH_TESTS names their folder."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = os.environ.get("TORCH_TESTS")
# Cases that torch.nn.GRU passes and libgru does not, all for the same reason: docs/frameworks.md.
SECOND_DERIVATIVES = {"test_gradgrad_nn_GRU_eval_mode_cpu_float64", "test_gradgrad_nn_GRU_train_mode_cpu_float64",
                      "test_GRU_grad_and_gradgrad_cpu_float64"}


@unittest.skipUnless(FOLDER, "TORCH_TESTS names no folder with PyTorch's test files")
class Files(unittest.TestCase):
    def check(self, file: str, cases: str, passed: int, calls: int) -> None:
        """cases: as pytest's -k. passed, calls: at least so many."""
        path = Path(str(FOLDER)) / file
        ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rf", "-p", "torch_dropin", "-p", "no:cacheprovider", "-k", cases,
                              str(path)], capture_output=True, text=True, cwd=path.parent,
                             env={**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"})
        failed = set(re.findall(r"^FAILED \S+::(\w+)", ran.stdout, re.MULTILINE))
        known = {name for name in SECOND_DERIVATIVES if re.search(rf"def {name.split('_nn_GRU')[0].split('_cpu')[0]}\b", path.read_text())}
        self.assertEqual(failed, known, ran.stdout[-8000:] + ran.stderr[-2000:])
        for pattern, least in ((r"(\d+) passed", passed), (r"libgru ran (\d+) calls", calls)):
            self.assertGreaterEqual(int((re.findall(pattern, ran.stdout) or [0])[0]), least, ran.stdout[-2000:])

    def test_nn(self) -> None:
        self.check("test_nn.py", "(gru or rnn) and not GRUCell", 11, 1)

    def test_packed_sequence(self) -> None:
        self.check("nn/test_packed_sequence.py", "test", 12, 0)

    def test_modules(self) -> None:
        self.check("test_modules.py", "nn_GRU_", 48, 100)

    def test_aotdispatch(self) -> None:
        self.check("functorch/test_aotdispatch.py", "nn_GRU_", 4, 1)


if __name__ == "__main__":
    unittest.main()
