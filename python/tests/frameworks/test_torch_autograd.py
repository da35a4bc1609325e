"""Gradients that libgru does not compute raise or come from PyTorch; torch.compile, export, autocast, tracing, fake tensors."""
from __future__ import annotations

import itertools
import unittest
from typing import Any

import torch

import libgru
import libgru.torch
from test_torch_values import Case, pair


class Derivatives(Case):
    def test_double_backward_raises_or_falls_back(self) -> None:
        stock, ours = pair(5, 4, dtype=torch.float64)
        x = torch.randn(6, 3, 5, dtype=torch.float64)

        def twice(module: Any) -> torch.Tensor:
            z = x.clone().requires_grad_()
            gradient, = torch.autograd.grad(module(z)[0].square().sum(), z, create_graph=True)
            gradient.square().sum().backward()
            assert z.grad is not None
            return z.grad
        with self.assertRaisesRegex(Exception, "no second derivatives"):
            twice(ours)
        with libgru.torch.fallback():
            self.near(twice(ours), twice(stock))

    def test_no_second_derivative_is_zero(self) -> None:
        """Also where nothing but weights needs a gradient: libgru::backward reads their packed copy."""
        x = torch.randn(6, 3, 5)
        for layers, hx in itertools.product((1, 2), (None, "given")):
            _, ours = pair(5, 4, layers)
            for module in (ours, torch.compile(ours, backend="eager")):
                for weight in (ours.weight_hh_l0, getattr(ours, f"bias_ih_l{layers - 1}")):
                    y, hT = module(x, None if hx is None else torch.randn(layers, 3, 4))
                    gradient, = torch.autograd.grad(y.sum() + hT.sum(), weight, create_graph=True)
                    with self.assertRaisesRegex(Exception, "no second derivatives"):
                        (gradient.square().sum() + weight.square().sum()).backward()

    def test_gradients_of_a_batch(self) -> None:
        stock, ours = pair(5, 4, 2, dtype=torch.float64, bidirectional=True)
        x, dy = torch.randn(6, 3, 5, dtype=torch.float64, requires_grad=True), torch.randn(7, 6, 3, 8, dtype=torch.float64)
        results = [torch.autograd.grad(module(x)[0], [x, *module.parameters()], dy, is_grads_batched=True) for module in (ours, stock)]
        for found, wanted in zip(*results, strict=True):
            self.near(found, wanted)

    def test_transforms_give_pytorch_s_numbers(self) -> None:
        stock, ours = pair(5, 4, dtype=torch.float64)
        x = torch.randn(6, 3, 5, dtype=torch.float64)

        def dual(module: Any) -> torch.Tensor:
            with torch.autograd.forward_ad.dual_level():
                given = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
                return torch.autograd.forward_ad.unpack_dual(module(given)[0]).tangent

        def weights(module: Any) -> dict[str, torch.Tensor]:
            return {name: parameter.detach() for name, parameter in module.named_parameters()}
        functions = {
            "jvp": lambda m: torch.func.jvp(lambda x: m(x)[0], (x,), (torch.ones_like(x),))[1],
            "forward differentiation": dual,
            "grad": lambda m: torch.func.grad(lambda x: m(x)[0].sum())(x),
            "grad of weights": lambda m: torch.func.grad(lambda p: torch.func.functional_call(m, p, (x,))[0].sum())(
                weights(m))["weight_hh_l0"],
            "hessian product": lambda m: torch.func.jvp(torch.func.grad(lambda x: m(x)[0].square().sum()), (x,),
                                                        (torch.ones_like(x),))[1],
        }
        for what, function in functions.items():
            self.near(function(ours).detach(), function(stock).detach(), what)
        for module in (stock, ours):    # PyTorch's own GRU has no rule for batches of batches
            with self.assertRaisesRegex(RuntimeError, "Batching rule not implemented"):
                torch.func.vmap(lambda x: module(x)[0])(torch.stack([x, 2 * x]))

    def test_gradients_per_sample_by_expanded_weights(self) -> None:
        from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
        x, results = torch.randn(3, 6, 5), []
        for module in pair(5, 4, batch_first=True):
            try:
                y, _ = call_for_per_sample_grads(module, batch_size=3, loss_reduction="sum")(x)
                y.sum().backward()
                results.append(module.weight_hh_l0.grad_sample)
            except RuntimeError as error:
                results.append(type(error))
        if isinstance(results[0], torch.Tensor):
            self.near(results[1], results[0])
        else:
            self.assertEqual(*results)

    def test_an_operator_under_a_transform_raises(self) -> None:
        """Also where the module cannot see the transform, as inside a compiled function."""
        _, ours = pair(5, 4)
        x, weights = torch.randn(6, 3, 5), list(ours.parameters())
        layer = ours._text(0, x)
        with self.assertRaises(Exception):
            torch.func.jvp(lambda x: torch.ops.libgru.train(x, None, [w.detach() for w in weights], None, layer)[0], (x,),
                           (torch.ones_like(x),))
        with torch.autograd.forward_ad.dual_level(), self.assertRaises(Exception):
            given = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            torch.ops.libgru.train(given, None, [w.detach() for w in weights], None, layer)
        packed = torch.ops.libgru.pack([w.detach() for w in weights], layer)
        given = x.clone().requires_grad_()
        with self.assertRaisesRegex(Exception, "have no gradients"):
            torch.ops.libgru.infer(given, None, packed, None, layer)[0].sum().backward()
        with self.assertRaises(Exception):
            torch.func.jvp(lambda x: torch.ops.libgru.infer(x, None, packed, None, layer)[0], (x,), (torch.ones_like(x),))

    def test_a_weight_changed_before_backward_is_found(self) -> None:
        _, ours = pair(5, 4)
        y, _ = ours(torch.randn(6, 3, 5))
        with torch.no_grad():
            ours.weight_hh_l0.mul_(2)
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            y.sum().backward()

    def test_backward_twice_and_checkpointing(self) -> None:
        _, ours = pair(5, 4, 2)
        x = torch.randn(6, 3, 5)
        y, _ = ours(x)
        y.sum().backward(retain_graph=True)
        first = ours.weight_hh_l0.grad.clone()
        ours.zero_grad()
        y.sum().backward()
        self.same(ours.weight_hh_l0.grad, first)
        ours.zero_grad()
        torch.utils.checkpoint.checkpoint(ours, x, use_reentrant=False)[0].sum().backward()
        self.same(ours.weight_hh_l0.grad, first)

    def test_some_gradients_alone(self) -> None:
        """Of some weights; of the input alone; of one layer of three."""
        stock, ours = pair(5, 4, 3)
        names = [name for name, _ in ours.named_parameters()]
        layers = [[name for name in names if layer not in name] for layer in ("l0", "l1", "l2")]
        for frozen, of_x in itertools.product((["weight_ih_l0", "bias_ih_l0"], *layers, names), (False, True)):
            if frozen is names and not of_x:
                continue
            results = []
            for module in (stock, ours):
                module.zero_grad()
                x = torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(1)).requires_grad_(of_x)
                for name, parameter in module.named_parameters():
                    parameter.requires_grad_(name not in frozen)
                module(x)[1].sum().backward()
                results.append([x.grad, *(p.grad for p in module.parameters())])
            for found, wanted in zip(*reversed(results)):
                if wanted is None:
                    self.assertIsNone(found)
                else:
                    self.near(found, wanted)


class Compiled(Case):
    def tearDown(self) -> None:
        torch._dynamo.reset()

    def test_opcheck(self) -> None:
        _, ours = pair(3, 5, 1, bidirectional=True)
        weights = list(ours.parameters())
        x, h0 = torch.randn(4, 2, 3, requires_grad=True), torch.randn(2, 2, 5, requires_grad=True)
        layer = ours._text(0, x)
        torch.library.opcheck(torch.ops.libgru.train.default, (x, h0, weights, None, layer))
        torch.library.opcheck(torch.ops.libgru.train.default, (x, None, weights, None, layer))
        given = [t.detach() for t in (x, h0)]
        packed = torch.ops.libgru.pack([w.detach() for w in weights], layer)
        torch.library.opcheck(torch.ops.libgru.infer.default, (*given, packed, None, layer))
        torch.library.opcheck(torch.ops.libgru.pack.default, ([w.detach() for w in weights], layer))

    def test_compile(self) -> None:
        """The whole graph, with symbols for T and N, forward and backward: the bits of the eager module."""
        _, ours = pair(5, 4, 2, bidirectional=True)
        compiled = torch.compile(ours, fullgraph=True, dynamic=True, backend="aot_eager")
        for T, N in ((6, 3), (9, 2), (7, 5)):
            grads = []
            for module in (ours, compiled):
                x = torch.randn(T, N, 5, generator=torch.Generator().manual_seed(T)).requires_grad_()
                ours.zero_grad()
                y, hT = module(x)
                (y.sum() + hT.sum()).backward()
                grads.append((y, x.grad, ours.weight_hh_l1.grad))
            for found, wanted in zip(*grads):
                self.same(found, wanted)
        with torch.no_grad():
            x = torch.randn(6, 3, 5)
            self.same(compiled(x)[0], ours(x)[0])

    def test_inductor(self) -> None:
        net = torch.nn.Sequential(torch.nn.Linear(6, 5), libgru.torch.GRU(5, 4))
        compiled = torch.compile(net, fullgraph=True)
        x = torch.randn(6, 3, 6)
        compiled(x)[0].sum().backward()
        found = net[1].weight_hh_l0.grad.clone()
        net.zero_grad()
        net(x)[0].sum().backward()
        self.near(found, net[1].weight_hh_l0.grad)

    def test_compile_under_forward_differentiation_does_not_lie(self) -> None:
        """It raises, or gives the right number."""
        stock, ours = pair(5, 4)
        x = torch.randn(6, 3, 5)

        def jvp(module: Any) -> torch.Tensor:
            return torch.func.jvp(lambda x: module(x)[0], (x,), (torch.ones_like(x),))[1]

        def dual(module: Any) -> torch.Tensor:
            with torch.autograd.forward_ad.dual_level():
                given = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
                return torch.autograd.forward_ad.unpack_dual(module(given)[0]).tangent
        for function in (jvp, dual):
            for backend in ("eager", "aot_eager"):
                torch._dynamo.reset()
                try:
                    found = torch.compile(lambda: function(ours), backend=backend)()
                except Exception as error:
                    self.assertNotIsInstance(error, AssertionError)
                    continue
                self.near(found.detach(), function(stock).detach(), f"{function.__name__} {backend}")

    def test_export(self) -> None:
        _, ours = pair(5, 4, 2)
        ours.eval()
        T, N = torch.export.Dim("T", min=2, max=500), torch.export.Dim("N", min=2, max=64)
        program = torch.export.export(ours, (torch.randn(6, 3, 5),), dynamic_shapes={"input": {0: T, 1: N}})
        names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
        self.assertTrue(any("libgru" in name for name in names), names)
        x = torch.randn(11, 7, 5)
        self.same(program.module()(x)[0], ours(x)[0])

    def test_fallback_is_seen_by_compiled_modules(self) -> None:
        _, ours = pair(5, 4)
        compiled, x = torch.compile(ours, backend="aot_eager"), torch.randn(6, 3, 5)
        wanted = compiled(x)[0]
        with libgru.torch.fallback():
            other = compiled(x)[0]
        self.near(other, wanted)
        self.same(compiled(x)[0], wanted)

    def test_trace_records_pytorch_s_operators(self) -> None:
        _, ours = pair(5, 4)
        ours.eval()
        traced = torch.jit.trace(ours, (torch.randn(6, 3, 5),), check_trace=False)
        x = torch.randn(9, 2, 5)
        self.near(traced(x)[0], ours(x)[0])
        self.assertIn("aten::gru", str(traced.graph))

    def test_script_is_refused(self) -> None:
        with self.assertRaises(Exception):
            torch.jit.script(libgru.torch.GRU(5, 4))

    def test_autocast(self) -> None:
        stock, ours = pair(5, 4, 2)
        x = torch.randn(6, 3, 5)
        with torch.autocast("cpu", torch.bfloat16):
            wanted, found = stock(x), ours(x)
            narrow = [module(x.bfloat16()) for module in (stock, ours)]
        for a, b in zip((*found, *narrow[1]), (*wanted, *narrow[0])):
            self.assertEqual(a.dtype, b.dtype)
        self.assertLess(float((found[0].float() - ours(x)[0]).detach().abs().max()), 2e-2)
        found[0].float().sum().backward()
        self.assertEqual(ours.weight_hh_l0.grad.dtype, torch.float32)


if __name__ == "__main__":
    unittest.main()
