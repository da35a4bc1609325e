"""libgru.torch.GRU beside torch.nn.GRU: outputs, gradients, shapes, messages, modes; the same bits in every batch."""
from __future__ import annotations

import copy
import io
import itertools
import pickle
import subprocess
import sys
import unittest
import warnings
from typing import Any
from unittest import mock

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import libgru
import libgru.torch
from libgru.torch import _plans

torch.set_num_threads(1)    # two threads wait for each other on a busy machine
MOST = {torch.float64: 1e-12, torch.float32: 3e-6, torch.bfloat16: 4e-2, torch.float16: 5e-3}


def pair(*given: Any, dtype: torch.dtype = torch.float32, **options: Any) -> tuple[torch.nn.GRU, libgru.torch.GRU]:
    """Both modules with the same weights."""
    torch.manual_seed(1)
    stock = torch.nn.GRU(*given, dtype=dtype, **options)
    ours = libgru.torch.GRU(*given, dtype=dtype, **options)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


class Case(unittest.TestCase):
    def near(self, found: torch.Tensor, wanted: torch.Tensor, what: str = "") -> None:
        self.assertEqual((found.shape, found.dtype), (wanted.shape, wanted.dtype), what)
        found, wanted = found.detach(), wanted.detach()
        scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
        most = MOST[wanted.dtype] * scale
        self.assertLessEqual(float((found - wanted).abs().max()) if wanted.numel() else 0.0, most, what)

    def same(self, found: torch.Tensor, wanted: torch.Tensor, what: str = "") -> None:
        self.assertTrue(torch.equal(found, wanted), what)


class Values(Case):
    def test_outputs_and_gradients(self) -> None:
        """Layers, directions, biases, batch_first, hx, types; each option in turn with the others drawn."""
        options = itertools.product((1, 2), (False, True), (True, False), (False, True), (False, True),
                                    (torch.float32, torch.float64))
        for layers, both, bias, batch_first, with_hx, dtype in options:
            what = f"{layers} layers, bidirectional {both}, bias {bias}, batch_first {batch_first}, hx {with_hx}, {dtype}"
            stock, ours = pair(5, 7, layers, bias=bias, batch_first=batch_first, bidirectional=both, dtype=dtype)
            x, hx = torch.randn(4, 3, 5, dtype=dtype), torch.randn(layers * (1 + both), 3 if not batch_first else 4, 7, dtype=dtype)
            results = []
            for module in (stock, ours):
                given = [x.clone().requires_grad_(), hx.clone().requires_grad_()]
                y, hT = module(*given) if with_hx else module(given[0])
                (y.cos().sum() + hT.sin().sum()).backward()
                results.append([y, hT, given[0].grad, *([given[1].grad] if with_hx else []), *(p.grad for p in module.parameters())])
                module.zero_grad()
                with torch.no_grad():
                    again = module(*given) if with_hx else module(given[0])
                self.near(again[0], y, what)
                self.assertEqual(again[0].stride(), y.stride(), what)
            for found, wanted in zip(results[1], results[0], strict=True):
                self.near(found, wanted, what)

    def test_half_types(self) -> None:
        for dtype in (torch.bfloat16, torch.float16):
            stock, ours = pair(5, 7, 2, dtype=dtype)
            wide = torch.nn.GRU(5, 7, 2)
            wide.load_state_dict(stock.state_dict())
            x = torch.randn(4, 3, 5).to(dtype)
            y, hT = ours(x)
            self.near(y, wide(x.float())[0].to(dtype))
            y.float().sum().backward()
            wide(x.float())[0].sum().backward()
            self.near(ours.weight_hh_l0.grad, wide.weight_hh_l0.grad.to(dtype))

    def test_gradcheck(self) -> None:
        module = libgru.torch.GRU(3, 4, 2, bidirectional=True, dtype=torch.float64)
        x, hx = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True), torch.randn(4, 2, 4, dtype=torch.float64, requires_grad=True)
        self.assertTrue(torch.autograd.gradcheck(lambda *given: module(given[0], given[1]), (x, hx, *module.parameters())))

    def test_variants(self) -> None:
        """Those that torch lacks: against libgru.Stack, which the golden files check."""
        for options in ({"reset": "before"}, {"reset": "all", "update": "write"}, {"gate": "hard_sigmoid", "hard_slope": 0.25},
                        {"candidate": "relu", "clip": 2.0}):
            ours = libgru.torch.GRU(5, 7, dtype=torch.float64, **options)
            x = torch.randn(4, 3, 5, dtype=torch.float64)
            stack = libgru.Stack.from_state(ours.state_dict(), variant=libgru.Variant(**options))
            with torch.no_grad():
                self.same(ours(x)[0], torch.from_numpy(stack.forward(x).y), str(options))
            self.assertTrue(torch.autograd.gradcheck(lambda x: ours(x)[0], x[:2].clone().requires_grad_()), options)
            with self.assertRaisesRegex(libgru.Unsupported, "no such variant"), libgru.torch.fallback():
                ours(x)
            self.assertIn(str(next(iter(options))), repr(ours))

    def test_lengths(self) -> None:
        stock, ours = pair(5, 7, 2, bidirectional=True)
        x, lengths = torch.randn(4, 3, 5), torch.tensor([4, 2, 3])
        wanted, hT = stock(pack_padded_sequence(x, lengths, enforce_sorted=False))
        y, found = ours(x, lengths=lengths)
        self.near(y, torch.nn.utils.rnn.pad_packed_sequence(wanted)[0])
        self.near(found, hT)
        with self.assertRaisesRegex(libgru.BadData, "lengths"):
            ours(x, lengths=torch.tensor([4, 5, 3]))
        with self.assertRaisesRegex(libgru.BadArgument, "lengths is .2. of torch.int32 on cpu, expected .3."):
            ours(x, lengths=torch.tensor([4, 3]))

    def test_masks(self) -> None:
        """A row has the outputs and gradients of nn.GRU over the steps that its mask keeps."""
        stock, ours = pair(5, 7, 2, batch_first=True)
        mask = torch.tensor([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]]).bool()
        x = torch.randn(3, 4, 5, requires_grad=True)
        y, hT = ours(x, mask=mask)
        gradient, = torch.autograd.grad((y * y).sum() + hT.sum(), x)
        for n, kept in enumerate(mask):
            own = x[n, kept].detach().requires_grad_()
            wanted, last = stock(own)
            self.near(y[n, kept], wanted)
            self.near(hT[:, n], last)
            self.near(gradient[n, kept], torch.autograd.grad((wanted * wanted).sum() + last.sum(), own)[0])
            self.assertFalse(y[n, ~kept].any() or gradient[n, ~kept].any())
        with torch.no_grad():
            self.same(ours(x, mask=mask)[0], y)
            self.same(ours(x[0], mask=mask[0])[0], y[0])
            self.same(torch.compile(ours, fullgraph=True)(x, mask=mask)[0], y)
        self.same(ours(x, mask=torch.arange(4) < torch.tensor([[4], [2], [3]]))[0], ours(x, lengths=torch.tensor([4, 2, 3]))[0])
        for words, given in (("mask is .4, 3. of torch.bool, expected .3, 4.", {"mask": mask.t()}),
                             ("mask is .3, 4. of torch.int32", {"mask": mask.int()}),
                             ("expected one of them", {"mask": mask, "lengths": torch.tensor([1, 1, 1])})):
            with self.assertRaisesRegex(libgru.BadArgument, words):
                ours(x, **given)

    def rounded(self, ours: libgru.torch.GRU, rounding: str) -> torch.nn.GRU:
        """PyTorch's module, with weights that were rounded by hand."""
        by_hand = torch.nn.GRU(ours.input_size, ours.hidden_size).eval()
        by_hand.load_state_dict(ours.state_dict())
        for name, weight in by_hand.state_dict().items():
            scale = weight.abs().amax(-1, keepdim=True) / 127
            if name.startswith("weight"):
                weight.copy_({"bf16": lambda w: w.bfloat16().float(), "f16": lambda w: w.half().float(),
                              "int8": lambda w: (w / scale).round() * scale}[rounding](weight))
        return by_hand

    def test_rounded_weights(self) -> None:
        """A model whose weights are rounded by hand gives the same bits. int8 rounds x and h too, by which
        (docs/variants.md) a pre-activation errs by at most (5 * 3 + 7) * 0.4 / 65534, and an output by four times that a step."""
        for rounding in ("bf16", "f16", "int8"):
            ours = libgru.torch.GRU(5, 7, inference_weights=rounding).eval()
            x, by_hand = torch.randn(4, 3, 5).clamp(-3, 3), self.rounded(ours, rounding)
            with torch.no_grad():
                found = ours(x)[0]
                wanted = by_hand(x)[0]
                if rounding == "int8":
                    self.assertLess(float((found - wanted).abs().max()), 4 * 4 * 1.4e-4)
                    layer = libgru.Layer(*(p.detach().numpy() for p in ours.parameters()), weight_type="int8")
                    self.same(found, torch.from_numpy(layer.forward(x.numpy()).y))
                else:
                    self.same(found, libgru.torch.replace(by_hand)(x)[0], rounding)
                    self.near(found, wanted, rounding)
                plain = libgru.torch.GRU(5, 7).eval()
                plain.load_state_dict(ours.state_dict())
                self.assertGreater(float((plain(x)[0] - wanted).abs().max()), 1e-5, rounding)
                self.assertFalse(torch.equal(found, plain(x)[0]), rounding)
            ours(x)[0].sum().backward()    # training is in full precision
            self.assertIsNotNone(ours.weight_hh_l0.grad)

    def test_rounded_weights_are_packed_once_and_small(self) -> None:
        """In their own type, never in f32 first; with their share of the bytes of f32."""
        sizes = {}
        for rounding in (None, "bf16", "f16", "int8"):
            ours, x = libgru.torch.GRU(256, 256, 2, bias=False, inference_weights=rounding).eval(), torch.randn(2, 1, 256)
            with mock.patch.object(_plans, "pack", wraps=_plans.pack) as pack, torch.no_grad():
                ours(x)
                ours(x)
            self.assertEqual([call.args[0].packed for call in pack.call_args_list], [rounding or "f32"] * 2)
            sizes[rounding] = sum(entry.packed.nbytes for entry in ours._packed._entries.values())
        numbers = 2 * 2 * 768 * 256
        biases = 2 * 2 * 768 * 4
        for rounding, bytes_ in {None: 4, "bf16": 2, "f16": 2, "int8": 1}.items():
            scales = biases if rounding == "int8" else 0
            self.assertLess(sizes[rounding] - (bytes_ * numbers + biases + scales), 4096, rounding)

    def test_dropout(self) -> None:
        """PyTorch's own generator drops the same numbers."""
        stock, ours = pair(5, 7, 3, dropout=0.5)
        x = torch.randn(4, 3, 5)
        torch.manual_seed(5)
        wanted = stock(x)[0]
        torch.manual_seed(5)
        self.near(ours(x)[0], wanted)
        self.near(ours.eval()(x)[0], stock.eval()(x)[0])


class Bits(Case):
    def test_a_row_does_not_depend_on_its_batch(self) -> None:
        ours = libgru.torch.GRU(20, 33, 2, bidirectional=True)
        x, hx = torch.randn(9, 7, 20), torch.randn(4, 7, 33)
        for mode in (torch.no_grad, torch.enable_grad):
            with mode():
                y, hT = ours(x, hx)
                for n in range(7):
                    alone = ours(x[:, n:n + 1], hx[:, n:n + 1])
                    self.same(alone[0][:, 0], y[:, n])
                    self.same(alone[1][:, 0], hT[:, n])
        with torch.no_grad():
            self.same(ours(x, hx)[0], y)

    def test_strides(self) -> None:
        ours = libgru.torch.GRU(20, 33)
        x = torch.randn(9, 7, 20)
        wanted = ours(x)[0]
        wide = torch.zeros(9, 7, 40)
        wide[:, :, ::2] = x
        for given in (x.transpose(0, 1).contiguous().transpose(0, 1), wide[:, :, ::2], torch.cat([x, x], 2)[:, :, :20]):
            self.same(ours(given)[0], wanted)
        row = x[:, :1]
        self.same(ours(row.expand(9, 7, 20))[0], ours(row.repeat(1, 7, 1))[0])

    def test_threads(self) -> None:
        ours, x, threads = libgru.torch.GRU(64, 96), torch.randn(50, 8, 64), torch.get_num_threads()
        try:
            results = []
            for count in (1, 2):
                torch.set_num_threads(count)
                results.append(ours(x)[0])
            self.same(*results)
        finally:
            torch.set_num_threads(threads)


class Packed(Case):
    def sequences(self) -> list[torch.Tensor]:
        return [torch.randn(length, 5) for length in (3, 6, 1, 6, 4)]

    def test_outputs_and_gradients(self) -> None:
        for both, enforce, given in itertools.product((False, True), (False, True), (False, True)):
            what = f"bidirectional {both}, sorted {enforce}, hx {given}"
            stock, ours = pair(5, 7, 2, bidirectional=both)
            rows = sorted(self.sequences(), key=len, reverse=True) if enforce else self.sequences()
            hx = torch.randn(2 * (1 + both), 5, 7) if given else None
            results = []
            for module in (stock, ours):
                packed = pack_sequence(rows, enforce_sorted=enforce)
                y, hT = module(packed, hx)
                (y.data.cos().sum() + hT.sin().sum()).backward()
                results.append([y.data, hT, *(p.grad for p in module.parameters())])
                self.assertIsInstance(y, PackedSequence)
            for found, wanted in zip(*reversed(results), strict=True):
                self.near(found, wanted, what)
            with torch.no_grad():
                y, hT = ours(packed, hx)
                self.same(y.data, results[1][0], what)
                self.same(hT, results[1][1], what)
                self.near(ours.eval()(packed, hx)[0].data, results[0][0], what)

    def test_wrong(self) -> None:
        ours = libgru.torch.GRU(5, 7)
        packed = pack_sequence(self.sequences(), enforce_sorted=False)
        ordered = pack_sequence(sorted(self.sequences(), key=len, reverse=True))
        with self.assertRaisesRegex(RuntimeError, "Expected hidden size"):
            ours(ordered, torch.zeros(1, 3, 7))
        with self.assertRaisesRegex(RuntimeError, "out of DATA bounds|out of range"):    # PyTorch's own, as of nn.GRU
            ours(packed, torch.zeros(1, 3, 7))
        with self.assertRaisesRegex(libgru.BadArgument, "has its own"):
            ours(packed, lengths=torch.tensor([1]))


class Messages(Case):
    def both_raise(self, given: tuple[Any, ...], *options: Any, **named: Any) -> None:
        """The same type of exception; the same words, but for the types of dtypes."""
        stock, ours = pair(*options, **named)
        caught = []
        for module in (stock, ours):
            with self.assertRaises((RuntimeError, ValueError)) as error:
                module(*given)
            caught.append(error.exception)
        self.assertEqual(type(caught[0]), type(caught[1]), caught)
        self.assertEqual(str(caught[0]), str(caught[1]))

    def test_shapes(self) -> None:
        x = torch.randn(4, 3, 5)
        self.both_raise((torch.randn(4, 3, 2, 5),), 5, 7)
        self.both_raise((torch.randn(4, 3, 6),), 5, 7)
        self.both_raise((x, torch.zeros(1, 2, 7)), 5, 7)
        self.both_raise((x, torch.zeros(1, 7)), 5, 7)
        self.both_raise((x[:, 0], torch.zeros(1, 3, 7)), 5, 7)
        self.both_raise((torch.randn(0, 3, 5),), 5, 7)
        self.both_raise((torch.randn(3, 0, 5),), 5, 7, batch_first=True)

    def test_types(self) -> None:
        ours = libgru.torch.GRU(5, 7)
        for module in pair(5, 7):    # torch 2.15 names both types; earlier versions say less
            with self.assertRaisesRegex((ValueError, RuntimeError), "dtype"):
                module(torch.randn(4, 3, 5, dtype=torch.float64))
        with self.assertRaisesRegex(ValueError, "proj_size"):
            libgru.torch.GRU(5, 7, proj_size=3)
        for options in ({"reset": "befor"}, {"candidate": "silo"}, {"inference_weights": "int4"}, {"clip": -1.0}):
            with self.assertRaisesRegex(libgru.BadArgument, next(iter(options))):
                libgru.torch.GRU(5, 7, **options)

    def test_devices(self) -> None:
        ours, x, hx = libgru.torch.GRU(5, 7), torch.randn(4, 3, 5), torch.zeros(1, 3, 7)
        for given in ((x, hx.to("meta")), (x.to("meta"), hx)):
            with self.assertRaisesRegex(RuntimeError, "not at the same device"):
                ours(*given)
        with self.assertRaisesRegex(RuntimeError, "not at the same device"):
            libgru.torch.GRU(5, 7, device="meta")(x)

    def test_large_inputs_are_not_copied(self) -> None:
        """Batch first, every other step, and columns of a wider tensor: all are read where they are."""
        ours, wide = libgru.torch.GRU(5, 7, batch_first=True), torch.randn(3, 8, 11)
        for x in (wide[:, :, :5], wide[:, ::2, 6:], wide.transpose(0, 1).contiguous().transpose(0, 1)[:, :, 1:6]):
            self.assertFalse(x.is_contiguous())
            seen, forward = [], _plans.readable
            with mock.patch.object(_plans, "readable", lambda given: seen.append(forward(given)) or seen[-1]), torch.no_grad():
                ours(x)
            self.assertEqual([given.data_ptr() for given in seen], [x.data_ptr()])

    def test_empty_and_unbatched(self) -> None:
        stock, ours = pair(5, 7, 2, bidirectional=True)
        for x in (torch.randn(4, 0, 5), torch.randn(4, 5), torch.randn(1, 1, 5)):
            for found, wanted in zip(ours(x), stock(x)):
                self.near(found, wanted)
        ours(torch.randn(4, 0, 5))[0].sum().backward()
        self.assertEqual(float(ours.weight_hh_l0.grad.abs().sum()), 0)

    def test_import_orders_and_a_fork(self) -> None:
        """Each in a process of its own; the forked child runs the module that its parent ran."""
        code = ("{}\ngru, x = libgru.torch.GRU(64, 64).eval(), torch.ones(20, 8, 64)\n"
                "with torch.no_grad():\n y = gru(x)[0]\n child = os.fork()\n"
                " if child == 0: os._exit(0 if torch.equal(gru(x)[0], y) else 1)\n"
                "sys.exit(os.waitpid(child, 0)[1])")
        for order in ("import os, sys, libgru; libgru.Context(); import numpy, torch, libgru.torch",
                      "import os, sys, torch; torch.ones(3) @ torch.ones(3); import libgru.torch, numpy"):
            ran = subprocess.run([sys.executable, "-c", code.format(order)], capture_output=True, text=True, timeout=300)
            self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_a_freed_tensor(self) -> None:
        ours, x = libgru.torch.GRU(5, 7), torch.randn(4, 3, 5)
        x.untyped_storage().resize_(0)
        with self.assertRaises(Exception), torch.no_grad():
            ours(x)
        ours.weight_hh_l0.data.untyped_storage().resize_(0)
        with self.assertRaises(Exception), torch.no_grad():
            ours(torch.randn(4, 3, 5))


class States(Case):
    def test_copies(self) -> None:
        stock, ours = pair(5, 7, 2)
        ours.eval()
        x = torch.randn(4, 3, 5)
        with torch.no_grad():
            wanted = ours(x)[0]
            file = io.BytesIO()
            torch.save(ours, file)
            file.seek(0)
            for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), torch.load(file, weights_only=False)):
                self.same(twin(x)[0], wanted)
        stock.load_state_dict(ours.state_dict())
        self.assertEqual(list(stock.state_dict()), list(ours.state_dict()))
        self.near(stock(x)[0], wanted)

    def test_changed_weights_are_seen(self) -> None:
        """Under cached packing: in place, by an optimiser, by assignment, by load_state_dict, by functional_call."""
        _, ours = pair(5, 7)
        ours.eval()
        x = torch.randn(4, 3, 5)

        def check(what: str) -> None:
            stock = torch.nn.GRU(5, 7)
            stock.load_state_dict(ours.state_dict())
            with torch.no_grad():
                self.near(ours(x)[0], stock(x)[0], what)
        check("at first")
        with torch.no_grad():
            ours.weight_hh_l0.mul_(2)
        check("in place")
        optimiser = torch.optim.SGD(ours.parameters(), 1.0)
        ours(x)[0].sum().backward()
        optimiser.step()
        check("by an optimiser")
        for _ in range(20):    # a freed parameter's place in memory serves again
            ours.weight_hh_l0 = torch.nn.Parameter(torch.randn(21, 7))
            check("by assignment")
            ours.weight_hh_l0.data = torch.randn(21, 7)
            check("by .data =")
        ours.load_state_dict(torch.nn.GRU(5, 7).state_dict())
        check("by load_state_dict")
        with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(ours.weight_hh_l0):
            ours.weight_hh_l0.mul_(2)
        ours.weight_hh_l0 = ours.weight_hh_l0
        check("under an old version, then by assignment, as FSDP2 does it")
        ours.weight_hh_l0.data.mul_(2)
        ours.train().eval()
        check("through .data, then train() and eval()")
        zeros = {name: parameter * 0 for name, parameter in ours.named_parameters()}
        with torch.no_grad():
            self.assertEqual(float(torch.func.functional_call(ours, zeros, (x,))[0].abs().max()), 0)
        check("after functional_call")

    def test_inference_mode_and_meta(self) -> None:
        _, ours = pair(5, 7, 2)
        x = torch.randn(4, 3, 5)
        wanted = ours(x)[0]
        with torch.inference_mode():
            self.same(ours(x)[0], wanted)
            made = libgru.torch.GRU(5, 7).eval()
            self.same(made(x)[0], made(x)[0])
        meta = libgru.torch.GRU(5, 7, 2, bidirectional=True, device="meta")
        y, hT = meta(x.to("meta"))
        self.assertEqual((y.shape, hT.shape, y.device.type), ((4, 3, 14), (4, 3, 7), "meta"))

    def test_replace(self) -> None:
        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.one = torch.nn.GRU(5, 7)
                self.rest = torch.nn.ModuleList([torch.nn.GRU(7, 7, bidirectional=True, batch_first=True), self.one])

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.rest[0](self.one(x)[0])[0]
        torch.manual_seed(0)
        net = Net().eval()
        x, seen = torch.randn(4, 3, 5), []
        net.one.register_forward_hook(lambda *_: seen.append(1))
        wanted, parameters = net(x), list(net.parameters())
        self.assertIs(libgru.torch.replace(net), net)
        self.near(net(x), wanted)
        self.assertEqual(len(seen), 2)
        self.assertTrue(all(a is b for a, b in zip(net.parameters(), parameters, strict=True)))
        self.assertIs(net.one, net.rest[1])
        self.assertFalse(any(isinstance(module, torch.nn.GRU) for module in net.modules()))
        self.assertIsInstance(libgru.torch.replace(torch.nn.GRU(5, 7)), libgru.torch.GRU)
        normed = torch.nn.utils.parametrizations.weight_norm(torch.nn.GRU(5, 7), "weight_hh_l0")
        with self.assertWarnsRegex(UserWarning, "ParametrizedGRU"):
            libgru.torch.replace(torch.nn.Sequential(normed))

    def test_parametrizations(self) -> None:
        stock, ours = pair(5, 7)
        x = torch.randn(4, 3, 5)
        grads = []
        for module in (stock, ours):
            torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
            module(x)[0].sum().backward()
            grads.append(module.parametrizations.weight_hh_l0.original1.grad)
        self.near(*reversed(grads))


if __name__ == "__main__":
    warnings.simplefilter("error")
    unittest.main()
