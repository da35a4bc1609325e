#!/usr/bin/env python3
"""Runs GRUs with other activations in ONNX Runtime (single precision) and Keras (double precision on JAX, with gradients):
activations.safetensors."""
import os

os.environ.update(KERAS_BACKEND="jax", JAX_ENABLE_X64="1", JAX_PLATFORMS="cpu")

import jax
import keras
import numpy as np
import onnxruntime

import golden
from make_keras import weights_of
from make_onnxruntime import run_node

WORDS = ("sigmoid hard_sigmoid tanh relu linear affine leaky_relu thresholded_relu scaled_tanh elu softsign softplus selu "
         "silu gelu gelu_tanh exponential relu6 hard_tanh hard_silu mish").split()
# ONNX's functions by the library's words, with alpha and beta where they take them.
ONNX = {"relu": ("Relu", None, None), "tanh": ("Tanh", None, None), "sigmoid": ("Sigmoid", None, None),
        "affine": ("Affine", 0.75, 0.125), "leaky_relu": ("LeakyRelu", 0.25, None),
        "thresholded_relu": ("ThresholdedRelu", 0.125, None), "scaled_tanh": ("ScaledTanh", 1.5, 0.625),
        "hard_sigmoid": ("HardSigmoid", 0.375, 0.25), "elu": ("Elu", 0.75, None),
        "softsign": ("Softsign", None, None), "softplus": ("Softplus", None, None)}
# Keras' functions; alpha where the library takes one.
KERAS = {"relu": 0, "sigmoid": 0, "elu": 1.0, "softplus": 0, "softsign": 0, "selu": 0, "silu": 0, "gelu": 0, "gelu_tanh": 0,
         "exponential": 0, "relu6": 0, "hard_tanh": 0, "hard_silu": 0, "mish": 0, "leaky_relu": 0.2, "linear": 0,
         "tanh": 0}
T, N, I, H = 3, 2, 3, 4


def value(word):
    return 16 + WORDS.index(word)


def add_onnx(file, seed, word, as_gate):
    name, alpha, beta = ONNX[word]
    after, reverse = seed % 2, seed // 2 % 2
    draw = golden.Draw(seed)
    values = {"X": draw(T, N, I), "W": draw(1, 3 * H, I) / 2, "R": draw(1, 3 * H, H) / 2, "B": draw(1, 6 * H) / 2,
              "initial_h": draw(1, N, H)}
    attributes = {"hidden_size": H, "direction": "reverse" if reverse else "forward", "linear_before_reset": after,
                  "activations": [name, "Tanh"] if as_gate else ["Sigmoid", name]}
    for key, number in (("activation_alpha", alpha), ("activation_beta", beta)):
        if number is not None:
            attributes[key] = [number]
    Y, Y_h = run_node(attributes, {key: array.astype(np.float32) for key, array in values.items()})
    numbers = [alpha or 0, beta or 0]
    B = values["B"][0]
    file.case(f"onnx_{word}_{'gate' if as_gate else 'candidate'}",
              {"reset": golden.AFTER if after else golden.BEFORE, "update": golden.KEEP,
               "gate": value(word) if as_gate else golden.SIGMOID,
               "candidate": golden.TANH if as_gate else value(word),
               "direction": golden.REVERSE if reverse else golden.FORWARD,
               "T": T, "N": N, "I": I, "H": H, "source_bits": 32},
              numbers=numbers + [0, 0] if as_gate else [0, 0] + numbers,
              x=values["X"], y=Y[:, 0], hT=Y_h[0], h0=values["initial_h"][0],
              W=golden.rows_rzn(values["W"][0]), R=golden.rows_rzn(values["R"][0]),
              bW=golden.rows_rzn(B[:3 * H]), bR=golden.rows_rzn(B[3 * H:]))


def function(word):
    """Keras' own; where its type promotion rounds doubles to single precision, jax's."""
    if word == "tanh":
        return jax.numpy.tanh
    if word == "gelu":
        return lambda v: jax.nn.gelu(v, approximate=False)
    if word == "gelu_tanh":
        return lambda v: jax.nn.gelu(v, approximate=True)
    if word == "mish":
        return jax.nn.mish
    return word


def add_keras(file, seed, word, as_gate):
    after, draw = seed % 2, golden.Draw(seed)
    layer = keras.layers.GRU(H, activation=jax.numpy.tanh if as_gate else function(word),
                             recurrent_activation=function(word) if as_gate else "sigmoid", reset_after=bool(after),
                             return_sequences=True, return_state=True, dtype="float64")
    layer.build((N, T, I))
    weights = [draw(*variable.shape) / 2 for variable in layer.trainable_variables]
    x, h0, dy, dhT = draw(T, N, I), draw(N, H), draw(T, N, H), draw(N, H)
    others = [variable.value for variable in layer.non_trainable_variables]

    def outputs(weights, x, h0):
        (y, hT), _ = layer.stateless_call(weights, others, np.swapaxes(x, 0, 1), initial_state=h0)
        return jax.numpy.swapaxes(y, 0, 1), hT

    def loss(weights, x, h0):
        y, hT = outputs(weights, x, h0)
        return (y * dy).sum() + (hT * dhT).sum()

    y, hT = outputs(weights, x, h0)
    dweights, dx, dh0 = jax.grad(loss, (0, 1, 2))(weights, jax.numpy.asarray(x), h0)
    assert y.dtype == dx.dtype == np.float64
    numbers = [KERAS[word], 0]
    file.case(f"keras_{word}_{'gate' if as_gate else 'candidate'}",
              {"reset": golden.AFTER if after else golden.BEFORE, "update": golden.KEEP,
               "gate": value(word) if as_gate else golden.SIGMOID,
               "candidate": golden.TANH if as_gate else value(word), "direction": golden.FORWARD,
               "T": T, "N": N, "I": I, "H": H, "source_bits": 64},
              numbers=numbers + [0, 0] if as_gate else [0, 0] + numbers,
              x=x, y=y, hT=hT, h0=h0, dy=dy, dhT=dhT, dx=dx, dh0=dh0,
              **weights_of(weights, H), **weights_of(dweights, H, "d"))


def main():
    keras.config.set_floatx("float64")
    file = golden.File("activations")
    seed = 4000
    for functions, add in ((ONNX, add_onnx), (KERAS, add_keras)):
        for word in functions:
            for as_gate in (1, 0):
                add(file, seed, word, as_gate)
                seed += 1
    file.write()
    print("onnxruntime", onnxruntime.__version__, "keras", keras.__version__, "jax", jax.__version__, len(file.names), "cases")


if __name__ == "__main__":
    main()
