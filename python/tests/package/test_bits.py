"""A row's bits do not depend on its batch, on how the sequence is cut, on strides, threads or training: through Python."""
from __future__ import annotations

import unittest
from typing import Any

import numpy as np

from support import Draw

import libgru

SHAPES = [(1, 1, 3, 4), (9, 7, 20, 33), (5, 13, 64, 48)]    # T, N, I, H


class Bits(unittest.TestCase):
    def same(self, a: Any, b: Any, what: str) -> None:
        self.assertEqual(np.ascontiguousarray(a).tobytes(), np.ascontiguousarray(b).tobytes(), what)

    def test_a_row_alone_or_in_a_batch(self) -> None:
        for T, N, I, H in SHAPES:
            draw = Draw(T)
            layer, x, h0 = libgru.Layer(*draw.weights(I, H)), draw(T, N, I), draw(N, H)
            whole = layer.forward(x, h0)
            for n in range(N):
                alone = layer.forward(x[:, n:n + 1], h0[n:n + 1])
                self.same(alone.y[:, 0], whole.y[:, n], f"row {n} of {N}")
                self.same(alone.hT[0], whole.hT[n], f"row {n} of {N}")

    def test_gradients_of_a_row_alone_or_in_a_batch(self) -> None:
        draw = Draw(5)
        layer, x, dy = libgru.Layer(*draw.weights(20, 33)), draw(9, 7, 20), draw(9, 7, 33)
        whole = layer.forward_training(x).backward(dy)
        for n in range(7):
            alone = layer.forward_training(x[:, n:n + 1]).backward(np.ascontiguousarray(dy[:, n:n + 1]))
            self.same(alone.dx[:, 0], whole.dx[:, n], f"row {n}")

    def test_step_by_step(self) -> None:
        for T, N, I, H in SHAPES:
            draw = Draw(T)
            layer, x = libgru.Layer(*draw.weights(I, H)), draw(T, N, I)
            stream, y = libgru.Stream(layer, N), layer.forward(x).y
            for t in range(T):
                self.same(stream.step(x[t]), y[t], f"step {t} of {T}")

    def test_a_stack_step_by_step(self) -> None:
        draw = Draw(6)
        stack = libgru.Stack([libgru.StackLayer(libgru.Weights(*draw.weights(*sizes))) for sizes in ((6, 8), (8, 5))])
        x = draw(4, 1, 6)
        y, hT, _ = stack.forward(x)
        stream = libgru.Stream(stack)
        steps = [stream.step(x[t, 0]) for t in range(4)]
        self.same(np.array(steps), y[:, 0], "y")
        for found, wanted in zip(stream.states, hT):
            self.same(found, wanted, "state")
        stream.reset()
        self.same(stream.step(x[0]), y[0], "after a reset")
        stream.states = hT
        self.same(stream.step(x[0, 0]), stack.forward(x[:1], hT).y[0, 0], "after states were set")

    def test_strides_threads_and_training(self) -> None:
        draw = Draw(7)
        T, N, I, H = 9, 7, 20, 33
        weights, x = draw.weights(I, H), draw(T, N, I)
        whole = libgru.Layer(*weights).forward(x)
        batch_first = np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)
        wide, out = draw(T, N, I + 5), np.zeros((N, T, H), np.float32)
        wide[:, :, :I] = x
        for threads in (1, 2):
            layer = libgru.Layer(*weights, context=libgru.Context(threads=threads))
            for what, given in (("batch first", batch_first), ("a part of each row", wide[:, :, :I])):
                self.same(layer.forward(given).y, whole.y, what)
            layer.forward(x, y=out.transpose(1, 0, 2))
            self.same(out.transpose(1, 0, 2), whole.y, "written batch first")
            self.same(layer.forward_training(x).y, whole.y, "training")
            self.same(layer.forward_training(x, recompute=True).y, whole.y, "training, recomputed")


if __name__ == "__main__":
    unittest.main()
