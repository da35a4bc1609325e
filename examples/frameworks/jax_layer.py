#!/usr/bin/env python3
"""A layer in JAX: trained under jit to delay a random signal by two steps, then run one step at a time with packed weights.

Needs jax and libgru (pip install './python[jax]').
"""
import jax
import jax.numpy as jnp
import numpy as np

import libgru.jax

STEPS, ROWS, INPUTS, HIDDEN, DELAY = 30, 16, 1, 16, 2
keys = jax.random.split(jax.random.key(0), 6)
shapes = [(3 * HIDDEN, INPUTS), (3 * HIDDEN, HIDDEN), (3 * HIDDEN,), (3 * HIDDEN,), (HIDDEN,)]
parameters = [jax.random.uniform(key, shape, minval=-0.5, maxval=0.5) for key, shape in zip(keys, shapes)]


def loss(parameters: list[jax.Array], x: jax.Array) -> jax.Array:
    *weights, readout = parameters
    y, _ = libgru.jax.gru(x, None, *weights)                 # y [T, N, H]
    return jnp.mean((y[DELAY:] @ readout - x[:-DELAY, :, 0]) ** 2)


@jax.jit
def adam(step: int, parameters: list[jax.Array], moments: list, x: jax.Array) -> tuple:
    value, gradients = jax.value_and_grad(loss)(parameters, x)
    moments = [(m + 0.1 * (g - m), v + 0.01 * (g * g - v)) for g, (m, v) in zip(gradients, moments)]
    parameters = [p - 0.01 * (m / (1 - 0.9 ** step)) / (jnp.sqrt(v / (1 - 0.99 ** step)) + 1e-8)
                  for p, (m, v) in zip(parameters, moments)]
    return parameters, moments, value


moments = [(jnp.zeros_like(p), jnp.zeros_like(p)) for p in parameters]
for step in range(1, 301):
    x = jax.random.uniform(jax.random.fold_in(keys[5], step), (STEPS, ROWS, INPUTS), minval=-0.5, maxval=0.5)
    parameters, moments, value = adam(step, parameters, moments, x)
print(f"mean square error {value:.4f}; a guess of 0 has {(x ** 2).mean():.4f}")
assert value < 0.02, value

*weights, _ = parameters
packed = libgru.jax.pack(*weights)                           # once, for many steps
step_of_one_row = jax.jit(libgru.jax.gru_packed)
whole = libgru.jax.gru(x, None, *weights)[0]
h, outputs = jnp.zeros((1, HIDDEN)), []
for t in range(STEPS):
    y, h = step_of_one_row(x[t:t + 1, :1], h, packed)
    outputs.append(y[0])
assert np.array_equal(np.array(outputs), whole[:, :1]), "one step at a time has other bits"
print("one row, one step at a time: the same bits")
