"""--int8: weights rounded row by row, and what is said of it."""
from __future__ import annotations

import contextlib
import io
import json
import unittest
from fractions import Fraction

import numpy as np

from test_names import H, gru
from tools import SAMPLES, Case

from libgru.convert.cli import main


class Int8(Case):
    def test_rows_are_rounded_to_the_nearest(self) -> None:
        """Against exact fractions: no integer is nearer, and the scale is the largest magnitude over 127."""
        path = self.folder / "x.npz"
        parts = gru()
        parts["weight_ih_l0"][1] = 0
        np.savez(path, **parts)
        written = self.converted(path, "--int8")
        for part in ("weight_ih", "weight_hh"):
            given, held = parts[f"{part}_l0"], written.tensors[f"{part}_l0"]
            scales = written.tensors[f"{part}_scale_l0"]
            self.assertEqual((held.dtype, scales.dtype, scales.shape), ("I8", "F32", (given.shape[0],)))
            for row, integers, scale in zip(given, held.bits, scales.bits):
                self.assertEqual(scale, np.float32(np.float64(np.abs(row).max()) / 127))
                for number, integer in zip(row, integers):
                    error = abs(Fraction(float(number)) - int(integer) * Fraction(float(scale)))
                    self.assertLessEqual(error, Fraction(float(scale)) / 2 * Fraction("1.000001"))
            self.assertEqual(np.abs(held.bits).max(), 127)
        self.assertTrue((written.tensors["weight_ih_l0"].bits[1] == 0).all())
        self.assertEqual(written.tensors["weight_ih_scale_l0"].bits[1], 0)
        np.testing.assert_array_equal(written.tensors["bias_ih_l0"].bits, parts["bias_ih_l0"])

    def test_ties_go_to_even(self) -> None:
        path = self.folder / "x.npz"
        parts = gru(inputs=3)
        parts["weight_ih_l0"][:] = np.array([127, 2.5, -3.5], "f4")
        np.savez(path, **parts)
        held = self.converted(path, "--int8").tensors["weight_ih_l0"].bits
        np.testing.assert_array_equal(held, [[127, 2, -4]] * (3 * H))

    def test_the_loss_of_each_tensor_is_told(self) -> None:
        status, text, _ = self.run_command(SAMPLES / "cell.npz", "--int8")
        self.assertEqual(status, 0)
        for part in ("weight_ih", "weight_hh"):
            self.assertRegex(text, rf"enc\.{part}_l0: rounded to int8: error 0\.\d+% in the root mean square, \S+ at most")
        _, text, _ = self.run_command(SAMPLES / "cell.npz", "--int8", "--report")
        self.assertRegex(text, r"enc\.weight_hh_l0 I8\[6\]\[2\] <- enc_w_hh, rounded to int8")
        _, text, _ = self.run_command(SAMPLES / "cell.npz", "--int8", "--report", "json")
        self.assertIn("rounded to int8", json.loads(text)["tensors"]["enc.weight_hh_l0"]["loss"])

    def test_what_cannot_be_rounded_is_refused(self) -> None:
        path = self.folder / "x.npz"
        for number, kind, words in ((np.nan, "f4", "weight_hh_l0[2][1] is nan"), (np.inf, "f4", "weight_hh_l0[2][1] is inf"),
                                    (1e39, "f8", "weight_hh_l0[2][1] is 1e+39")):
            parts = {name: part.astype(kind) for name, part in gru().items()}
            parts["weight_hh_l0"][2, 1] = number
            np.savez(path, **parts)
            self.refused(path, words, "--int8")
        np.savez(path, **gru(), weight_ih_scale_l0=np.zeros(3 * H, "f4"))
        self.refused(path, "weight_ih_scale_l0 would be read as a part of the GRU")

    def test_not_with_verify(self) -> None:
        with self.assertRaises(SystemExit) as ended, contextlib.redirect_stderr(io.StringIO()) as errors:
            main([str(SAMPLES / "cell.npz"), str(self.output), "--int8", "--verify"])
        self.assertEqual(ended.exception.code, 2)
        self.assertIn("--verify compares exact conversions", errors.getvalue())


if __name__ == "__main__":
    unittest.main()
