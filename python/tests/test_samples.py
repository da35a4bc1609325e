"""Small files as the real packages wrote them: the numbers are those that the packages computed."""
from __future__ import annotations

import json
import shutil
import unittest
from pathlib import Path

import numpy as np

import extra
from tools import SAMPLES, Case, has_all

from libgru.convert import safetensors

# The type of a file's weights decides what rounding can make of them.
TOLERANCE = {"state.pt": 2e-2, "before_1.6.pth": 2e-2, "checkpoint.tar": 2e-2, "state.safetensors": 2e-2}
EXACT = 3e-6


def samples() -> list[Path]:
    return sorted(path for path in SAMPLES.iterdir() if path.suffix != ".json" and has_all(path.suffix))


class Samples(Case):
    def test_numbers(self) -> None:
        for path in samples():
            with self.subTest(path.name):
                expected = json.loads(path.with_name(path.name + ".json").read_text())
                source = self.converted(path)
                for prefix, one in expected.items():
                    ours = self.numbers(source, prefix, one["x"])
                    limit = TOLERANCE.get(path.name, EXACT) if prefix == "half." else EXACT
                    np.testing.assert_allclose(ours, one["numbers"], rtol=0, atol=limit, err_msg=f"{path.name} {prefix}")

    def test_every_tensor_is_accounted_for(self) -> None:
        for path in samples():
            with self.subTest(path.name):
                status, report, _ = self.run_command(path, "--report", "json")
                self.assertEqual(status, 0)
                told = json.loads(report)
                for name, tensor in told["tensors"].items():
                    self.assertTrue(tensor["from"] or "bias" in name, f"{name} comes from nowhere")
                self.assertEqual(told["left_out"], {})

    def test_one_more_tensor_is_written(self) -> None:
        for path in samples():
            with self.subTest(path.name):
                target = self.folder / path.name
                extra.add(path, target)
                before, after = self.converted(path), self.converted(target)
                more = set(after.tensors) - set(before.tensors)
                self.assertEqual(len(more), 1)
                np.testing.assert_array_equal(after.tensors[more.pop()].bits, extra.ONES)

    def test_one_more_that_cannot_be_written_is_named(self) -> None:
        for path in samples():
            with self.subTest(path.name):
                target = self.folder / path.name
                extra.add(path, target, extra.DEEP)
                status, report, errors = self.run_command(target, "--report", "json")
                self.assertEqual(status, 1)
                (name, reason), = json.loads(report)["left_out"].items()
                self.assertIn("one", name)
                self.assertEqual(reason, "it has 9 dimensions, and the library reads at most 8")
                self.assertIn(f"left out: {name}: {reason}", errors)
                self.assertEqual(set(safetensors.read(self.output).tensors), set(self.converted(path).tensors))
                self.converted(target, "--gru-only")

    def test_gru_only_writes_nothing_else(self) -> None:
        for path in samples():
            with self.subTest(path.name):
                source = self.converted(path, "--gru-only")
                self.assertTrue(all("weight_" in name or "bias_" in name for name in source.tensors), list(source.tensors))

    def test_same_bytes_twice(self) -> None:
        for path in samples():
            self.converted(path)
            first = self.output.read_bytes()
            self.converted(path)
            self.assertEqual(self.output.read_bytes(), first, path.name)

    def test_an_output_converts_to_itself(self) -> None:
        for path in samples():
            with self.subTest(path.name):
                first = self.converted(path)
                copy = self.folder / "again.safetensors"
                shutil.copy(self.output, copy)
                second = self.converted(copy)
                self.assertEqual((second.metadata, set(second.tensors)), (first.metadata, set(first.tensors)))


if __name__ == "__main__":
    unittest.main()
