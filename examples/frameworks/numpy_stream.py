#!/usr/bin/env python3
"""A layer over numpy arrays: trained to delay a random signal by two steps, then run one step at a time.

Needs only numpy and libgru (pip install ./python).
"""
import numpy as np

import libgru

STEPS, ROWS, INPUTS, HIDDEN, DELAY = 30, 16, 1, 16, 2
random = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return random.uniform(-0.5, 0.5, shape).astype(np.float32)


weights = [draw(3 * HIDDEN, INPUTS), draw(3 * HIDDEN, HIDDEN), draw(3 * HIDDEN), draw(3 * HIDDEN)]
readout = draw(HIDDEN)
layer = libgru.Layer(*weights)
moments = [(np.zeros_like(value), np.zeros_like(value)) for value in (*weights, readout)]


def adam(step: int, gradients: list[np.ndarray]) -> None:
    """Updates weights and readout in place."""
    for value, gradient, (mean, square) in zip((*weights, readout), gradients, moments, strict=True):
        mean += 0.1 * (gradient - mean)
        square += 0.01 * (gradient * gradient - square)
        value -= 0.01 * (mean / (1 - 0.9 ** step)) / (np.sqrt(square / (1 - 0.99 ** step)) + 1e-8)


for step in range(1, 301):
    x = draw(STEPS, ROWS, INPUTS)
    training = layer.forward_training(x)                     # y [T][N][H]
    error = training.y[DELAY:] @ readout - x[:-DELAY, :, 0]
    dy = np.zeros_like(training.y)
    dy[DELAY:] = error[:, :, None] * readout / error.size
    found = training.backward(dy)
    adam(step, [found.dW, found.dR, found.dbW, found.dbR, np.einsum("tnh,tn->h", training.y[DELAY:], error) / error.size])
    layer.update(*weights)
loss = float((error ** 2).mean())
print(f"{layer.engine(STEPS, ROWS)}: mean square error {loss:.4f}; a guess of 0 has {float((x ** 2).mean()):.4f}")

stream, whole = libgru.Stream(layer), layer.forward(x[:, :1]).y
steps = np.array([stream.step(x[t, 0]) for t in range(STEPS)])
assert np.array_equal(steps, whole[:, 0]), "one step at a time has other bits"
assert loss < 0.02, loss
print("one step at a time: the same bits")
