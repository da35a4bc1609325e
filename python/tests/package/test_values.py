"""Numbers of PyTorch, Keras and ONNX Runtime (tests/golden), through the package."""
from __future__ import annotations

import unittest
from typing import Any

import numpy as np

from support import GOLDEN, Draw, Golden, golden

import libgru
from libgru.convert import safetensors

KINDS = {np.float64: 1e-12, np.float32: 2e-5}    # largest error, for outputs and gradients of numbers below 10


def layer_of(case: Golden, kind: Any, suffix: str = "") -> libgru.Layer:
    arrays = [case.get(name, kind) for name in ("W", "R", "bW", "bR")]
    return libgru.Layer(*arrays, direction=case.direction, **case.variant)


class Values(unittest.TestCase):
    def near(self, found: Any, wanted: Any, most: float, what: str) -> None:
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        self.assertLessEqual(float(np.abs(found - wanted).max(initial=0)), most * scale, what)

    def check_layer(self, case: Golden, kind: Any, most: float) -> int:
        """Outputs and, where the case has them, all gradients. Returns how many arrays were compared."""
        what = f"{case.name} {np.dtype(kind)}"
        lengths = case.get("lengths", np.int32)
        run = layer_of(case, kind).forward_training(case.get("x", kind), case.get("h0", kind), lengths=lengths)
        compared = {"hT": run.hT}
        if case.config["has_y"]:
            compared["y"] = run.y
        if case.config["has_gradients"]:
            found = run.backward(case.get("dy", kind), case.get("dhT", kind))
            compared.update({name: getattr(found, name) for name in ("dx", "dh0", "dW", "dR", "dbW", "dbR")
                             if name in case.arrays})
        for name, array in compared.items():
            self.near(array, case.arrays[name], most, f"{what} {name}")
        return len(compared)

    def test_layers(self) -> None:
        compared = 0
        for file in ("pytorch", "keras", "onnxruntime"):
            for case in golden(file):
                if case.is_stack:
                    continue
                for kind, most in KINDS.items():
                    least = 2e-6 if case.config["source_bits"] == 32 else 0    # the source's own rounding
                    if float(np.float32(case.variant["hard_slope"])) != case.variant["hard_slope"]:
                        least = max(least, 1e-7)    # the library holds slopes in single precision
                    compared += self.check_layer(case, kind, max(most, least))
        self.assertGreater(compared, 150)

    def test_a_stack_from_a_file_has_pytorch_s_numbers(self) -> None:
        path = GOLDEN / "samples" / "encoder.safetensors"
        expected = {name: tensor.values() for name, tensor in safetensors.read(path).tensors.items()}
        for io, most in (("f64", 1e-12), ("f32", 2e-5)):
            stack = libgru.Stack.load(path, io_type=io)
            kind = np.float64 if io == "f64" else np.float32
            y, hT, _ = stack.forward(expected["expected.x"].astype(kind))
            self.near(y, expected["expected.y"], most, io)
            self.near(np.stack(hT), expected["expected.hT"], most, io)
        self.assertEqual((stack.inputs, stack.outputs, stack.hidden), (4, 12, [6] * 4))

    def test_gradients_of_a_stack_agree_with_differences(self) -> None:
        draw = Draw(3)
        state = {f"{name}_l{k}{end}": array.astype(np.float64) for k, width in ((0, 3), (1, 8)) for end in ("", "_reverse")
                 for name, array in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), draw.weights(width, 4))}
        stack = libgru.Stack.from_state(state)
        x, dy = draw(4, 2, 3, kind=np.float64), draw(4, 2, 8, kind=np.float64)
        dhT = [draw(2, 4, kind=np.float64) for _ in range(4)]

        def loss(model: libgru.Stack, x: Any) -> float:
            out = model.forward(x)
            return float((out.y * dy).sum() + sum((a * b).sum() for a, b in zip(out.hT, dhT)))
        found = stack.forward_training(x).backward(dy, dhT)
        for index in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[index] = 1e-6
            self.assertAlmostEqual((loss(stack, x + step) - loss(stack, x - step)) / 2e-6, found.dx[index], 6)
        names = ("weight_ih_l0", "weight_ih_l0_reverse", "weight_ih_l1", "weight_ih_l1_reverse")
        for name, gradient in zip(names, found.dW):
            moved = [{**state, name: state[name] + sign * 1e-6 * np.eye(*state[name].shape)} for sign in (1, -1)]
            ups, downs = (loss(libgru.Stack.from_state(parts), x) for parts in moved)
            self.assertAlmostEqual((ups - downs) / 2e-6, np.trace(gradient[:, :]), 5, name)

    def test_masks_and_other_activations(self) -> None:
        """A step that a mask leaves out is as if it were not there; silu against its formula."""
        draw = Draw(5)
        W, R, bW, bR = (array.astype(np.float64) for array in draw.weights(3, 4))
        layer, x = libgru.Layer(W, R, bW, bR, candidate="silu"), draw(5, 1, 3, kind=np.float64)
        mask = np.array([1, 0, 1, 1, 0], bool)[:, None]
        h, outputs = np.zeros((1, 4)), []
        for t in range(5):
            if mask[t, 0]:
                a, c = x[t] @ W.T + bW, h @ R.T + bR
                r, z = (1 / (1 + np.exp(-(a[:, k:k + 4] + c[:, k:k + 4]))) for k in (0, 4))
                v = a[:, 8:] + r * c[:, 8:]
                h = (1 - z) * v / (1 + np.exp(-v)) + z * h
            outputs.append(h)
        run = layer.forward_training(x, mask=mask, repeat_last=True)
        self.near(run.y, np.array(outputs), 1e-12, "repeated")
        self.near(layer.forward(x, mask=mask).y, np.where(mask[:, :, None], outputs, 0), 1e-12, "zeros")
        found = run.backward(np.ones_like(run.y)).dx
        self.assertFalse(found[[1, 4]].any())
        short = layer.forward_training(x[[0, 2, 3]]).backward(np.ones((3, 1, 4))).dx
        self.near(found[[0, 2, 3]], short, 1e-12, "dx")
        leaky = libgru.Layer(W, R, candidate="leaky_relu", candidate_alpha=0.5).forward(x).y
        self.assertFalse(np.array_equal(leaky, libgru.Layer(W, R, candidate="leaky_relu").forward(x).y))

    def test_ragged_batches(self) -> None:
        """Rows one after the other, or steps one after the other, have the numbers of padded rows with lengths."""
        draw, lengths = Draw(6), np.array([5, 2, 4], np.int32)
        layer = libgru.Layer(*(array.astype(np.float64) for array in draw.weights(3, 4)))
        stack = libgru.Stack.from_state({f"{name}_l0{end}": draw(*shape, kind=np.float64) for end in ("", "_reverse")
                                         for name, shape in (("weight_ih", (12, 3)), ("weight_hh", (12, 4)))})
        x, h0, order = draw(5, 3, 3, kind=np.float64), draw(3, 4, kind=np.float64), np.array([0, 2, 1])
        steps = [(t, n) for t in range(5) for n in order if t < lengths[n]]
        for index, given in (
                ([(t, n) for n in range(3) for t in range(lengths[n])], {"offsets": np.array([0, 5, 7, 11])}),
                (steps, {"batch_sizes": np.array([3, 3, 2, 2, 1]), "batch_order": order})):
            t, n = np.array(index).T
            for model, states in ((layer, h0), (stack, [h0, h0])):
                padded = model.forward_training(x, states, lengths=lengths)
                run = model.forward_training(x[t, n], states, **given)
                self.near(run.y, padded.y[t, n], 0, "y")
                self.near(np.array(run.hT), np.array(padded.hT), 0, "hT")
                self.near(model.forward(x[t, n], states, **given).y, run.y, 0, "y without training")
                self.near(run.backward(run.y).dx, padded.backward(padded.y).dx[t, n], 0, "dx")
        self.assertEqual(layer.forward(x[:0, 0], offsets=np.array([0])).y.shape, (0, 4))

    def test_attention_projected_restart_and_scale(self) -> None:
        """Each option against the equation that it stands for, in numpy."""
        draw = Draw(4)
        W, R, bW, bR = (array.astype(np.float64) for array in draw.weights(3, 4))
        layer, x = libgru.Layer(W, R, bW, bR), draw(5, 2, 3, kind=np.float64)
        weight, fresh = (draw(5, 2, kind=np.float64) + 1) / 2, draw(2, 4, kind=np.float64)
        restart = np.zeros((5, 2), bool)
        restart[2, 1] = True

        def sigmoid(v: Any) -> Any:
            return 1 / (1 + np.exp(-v))
        h, outputs = np.zeros((2, 4)), []
        for t in range(5):
            h = np.where(restart[t][:, None], fresh, h)
            a, c = x[t] @ W.T + bW, h @ R.T + bR
            r, z = (sigmoid(a[:, k:k + 4] + c[:, k:k + 4]) for k in (0, 4))
            z = (1 - weight[t][:, None]) * z
            h = (1 - z) * np.tanh(a[:, 8:] + r * c[:, 8:]) + z * h
            outputs.append(h)
        for given in ({"x": x}, {"projected": x @ W.T + bW}):
            y, hT = layer.forward(**given, restart=restart, h_restart=fresh, attention=weight)
            self.near(y, np.array(outputs), 1e-12, str(given.keys()))
        run = layer.forward_training(x, restart=restart, h_restart=fresh, attention=weight, recompute=True)
        plain = run.backward(np.ones_like(y))
        scaled = run.backward(np.full_like(y, 8), loss_scale=np.array([8], np.float32))
        self.near(scaled.dW, plain.dW, 1e-12, "dW")
        self.near(scaled.dx, 8 * plain.dx, 1e-12, "dx")
        some = libgru.Gradients(dattention=np.empty((5, 2)), dh_restart=np.empty((2, 4)), dbR=plain.dbR.copy())
        run.backward(np.ones_like(y), out=some, add=True)
        self.near(some.dbR, 2 * plain.dbR, 1e-12, "dbR")
        step = 1e-6 * np.eye(5, 2)
        moved = [layer.forward(x, restart=restart, h_restart=fresh, attention=weight + sign * step).y.sum() for sign in (1, -1)]
        self.assertAlmostEqual((moved[0] - moved[1]) / 2e-6, some.dattention.trace(), 6)


if __name__ == "__main__":
    unittest.main()
