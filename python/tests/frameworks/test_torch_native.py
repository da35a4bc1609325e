"""The extension for small calls: it is there, it is used, and without it there are the same bits and the same exceptions."""
from __future__ import annotations

import itertools
import os
import subprocess
import sys
import unittest
from typing import Any
from unittest import mock

import torch

import libgru
import libgru.torch
from libgru.torch import _native, _plans

VARIABLE = "LIBGRU_LIBRARY"    # names another library, with which the extension is not linked


class Native(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(0)
        self.assertIsNotNone(_native.operators, "libgru_torch.so is not there: was it built?")

    def twice(self, function: Any) -> tuple[Any, Any]:
        """The results with the extension and without. Fails if it is not called, or called without."""
        results = []
        for operators in (_native.operators, None):
            with mock.patch.object(_native, "operators", operators), mock.patch.object(_native, "call", wraps=_native.call) as call:
                results.append(function())
            self.assertEqual(call.called, operators is not None)
        return results[0], results[1]

    def same(self, function: Any, what: str) -> None:
        for found, wanted in zip(*self.twice(function), strict=True):
            self.assertEqual((found.dtype, found.shape), (wanted.dtype, wanted.shape), what)
            self.assertTrue(torch.equal(found, wanted), what)

    def test_bits(self) -> None:
        types = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
        for dtype, both, bias, given, T in itertools.product(types, (False, True), (False, True), (False, True), (1, 7)):
            ours = libgru.torch.GRU(5, 6, 2, bias=bias, bidirectional=both, dtype=dtype)
            x, hx = torch.randn(3, T, 5, dtype=dtype).transpose(0, 1), torch.randn(2 * (1 + both), 3, 6, dtype=dtype)

            def train(ours: Any = ours, x: Any = x, hx: Any = hx if given else None) -> list[torch.Tensor]:
                x = x.clone().requires_grad_()
                y, hT = ours(x, hx)
                return [y, hT, *torch.autograd.grad(y.float().square().sum() + hT.float().sum(), [x, *ours.parameters()])]

            def infer(ours: Any = ours, x: Any = x, hx: Any = hx if given else None) -> list[torch.Tensor]:
                ours._packed.clear()
                with torch.no_grad():
                    return list(ours(x, hx))
            what = f"{dtype}, both {both}, bias {bias}, hx {given}, T {T}"
            self.same(train, what)
            self.same(infer, what)

    def test_one_output_alone(self) -> None:
        ours, x = libgru.torch.GRU(5, 6), torch.randn(4, 3, 5)
        for k in range(2):
            self.same(lambda k=k: torch.autograd.grad(ours(x)[k].sum(), list(ours.parameters())), f"output {k}")
        self.same(lambda: ours(torch.randn(4, 0, 5)), "no sequences")

    def test_exceptions(self) -> None:
        x = torch.randn(4, 3, 5)
        x.untyped_storage().resize_(0)

        def caught() -> tuple[type, str]:
            try:
                with torch.no_grad():
                    libgru.torch.GRU(5, 6)(x)
            except libgru.Error as error:
                return type(error), str(error)
            self.fail("a freed tensor was read")
        self.assertEqual(*self.twice(caught))

    def test_an_operator_s_failure_is_not_hidden(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "int"):
            _native.call(_native.operators.pack, [torch.zeros(3, 1), torch.zeros(3, 1)], ["not a number"])

    def test_another_library_is_not_mixed_with_it(self) -> None:
        code = "from libgru.torch import _native; raise SystemExit(_native.operators is not None)"
        for named, wanted in ((None, 1), (str(_plans.library().c._name), 0)):
            environment = {key: value for key, value in os.environ.items() if key != VARIABLE} | ({VARIABLE: named} if named else {})
            self.assertEqual(subprocess.run([sys.executable, "-c", code], env=environment).returncode, wanted)


if __name__ == "__main__":
    unittest.main()
