"""PyTorch's own cases of torch.nn.GRU, which its wheel holds (torch.testing._internal.common_modules), on libgru.torch.GRU."""
from __future__ import annotations

import unittest
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_utils import noncontiguous_like

import libgru
import libgru.torch

INFO = next(info for info in module_db if info.module_cls is torch.nn.GRU)


def leaves(value: Any) -> list[torch.Tensor]:
    if isinstance(value, PackedSequence):
        return [value.data]
    return [value] if isinstance(value, torch.Tensor) else [leaf for each in value for leaf in leaves(each)]


class Upstream(unittest.TestCase):
    def cases(self, dtype: torch.dtype, training: bool, **options: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Input, PyTorch's module, and libgru's with the same weights."""
        torch.manual_seed(0)
        for case in INFO.module_inputs_func(INFO, device="cpu", dtype=dtype, requires_grad=True, training=training, **options):
            args, kwargs = case.constructor_input.args, case.constructor_input.kwargs
            stock = torch.nn.GRU(*args, **kwargs, dtype=dtype).train(training)
            ours = libgru.torch.GRU(*args, **kwargs, dtype=dtype).train(training)
            ours.load_state_dict(stock.state_dict())
            yield case, stock, ours

    def check(self, case: Any, stock: Any, ours: Any) -> None:
        given = case.forward_input
        found, wanted = (leaves(module(*given.args, **given.kwargs)) for module in (ours, stock))
        torch.testing.assert_close(found, wanted)
        inputs = [leaf for leaf in leaves(list(given.args)) if leaf.requires_grad]
        gradients = [torch.autograd.grad(sum((y * y).sum() for y in outputs), [*inputs, *module.parameters()])
                     for outputs, module in ((found, ours), (wanted, stock))]
        torch.testing.assert_close(*gradients)

    def test_inputs(self) -> None:
        """Forward and gradients, in both modes, batched and not, packed and not; the reference that a case names."""
        count = 0
        for training in (False, True):
            for case, stock, ours in self.cases(torch.float64, training, with_packed_sequence=True):
                given = case.forward_input
                with self.subTest(constructor=case.constructor_input.kwargs, training=training):
                    self.check(case, stock, ours)
                    if not isinstance(given.args[0], PackedSequence):
                        wanted = case.reference_fn(ours, *given.args, **given.kwargs)
                        torch.testing.assert_close(leaves(ours(*given.args, **given.kwargs)), leaves(wanted))
                    count += 1
        self.assertGreaterEqual(count, 60)

    def test_gradients_agree_with_differences(self) -> None:
        for case, _, ours in list(self.cases(torch.float64, True))[-2:]:    # two directions, biases, batch first
            given = case.forward_input
            self.assertTrue(torch.autograd.gradcheck(lambda *args, ours=ours: tuple(leaves(ours(*args))), given.args, fast_mode=True))

    def test_second_derivatives(self) -> None:
        """The one difference: PyTorch's own module has them, also inside fallback(); libgru raises."""
        for case, stock, ours in self.cases(torch.float64, True):
            args = [leaf.detach().requires_grad_() for leaf in case.forward_input.args]

            def twice(module: Any, args: list[torch.Tensor] = args) -> Any:
                first = torch.autograd.grad(sum((y * y).sum() for y in leaves(module(*args))), args, create_graph=True)
                return torch.autograd.grad(sum((g * g).sum() for g in first), [*args, *module.parameters()], allow_unused=True)
            with self.subTest(constructor=case.constructor_input.kwargs, inputs=len(args)):
                with self.assertRaisesRegex(libgru.Unsupported, "no second derivatives"):
                    twice(ours)
                with libgru.torch.fallback():
                    torch.testing.assert_close(twice(ours), twice(stock))

    def test_gaps_in_the_inputs(self) -> None:
        """Between the numbers lie NaN: none of them is read."""
        for training in (False, True):
            for case, _, ours in self.cases(torch.float64, training):
                args, results = case.forward_input.args, []
                for given in (args, [noncontiguous_like(leaf) for leaf in args]):
                    outputs = leaves(ours(*given))
                    results.append([*outputs, *torch.autograd.grad(sum((y * y).sum() for y in outputs), [*given, *ours.parameters()])])
                torch.testing.assert_close(*results, rtol=0, atol=0)

    def test_wrong_inputs(self) -> None:
        count = 0
        for case in INFO.module_error_inputs_func(INFO, device="cpu", dtype=torch.float32, requires_grad=False, training=True):
            constructor, given = case.module_error_input.constructor_input, case.module_error_input.forward_input
            with self.subTest(words=case.error_regex), self.assertRaisesRegex(case.error_type, case.error_regex):
                module = libgru.torch.GRU(*constructor.args, **constructor.kwargs)
                module(*given.args, **given.kwargs)
            count += 1
        self.assertGreaterEqual(count, 5)


if __name__ == "__main__":
    unittest.main()
