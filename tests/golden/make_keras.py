#!/usr/bin/env python3
"""Runs keras.layers.GRU in double precision (JAX backend), forward and backward: keras.safetensors."""
import os

os.environ.update(KERAS_BACKEND="jax", JAX_ENABLE_X64="1", JAX_PLATFORMS="cpu")

import jax
import keras
import numpy as np

import golden

# The type promotion in Keras' own tanh rounds doubles to single precision on every backend but TensorFlow.
# The layer is therefore given the backend's tanh as a callable; the other functions keep doubles.
ACTIVATIONS = {"tanh": jax.numpy.tanh, "relu": "relu", "linear": "linear"}
CANDIDATES = {"tanh": golden.TANH, "relu": golden.RELU, "linear": golden.LINEAR}

# name: reset_after, (T, N, I, H), options
LAYERS = {
    "after": (True, (5, 3, 4, 6), {}),
    "before": (False, (5, 3, 4, 6), {}),
    "after_mask": (True, (6, 4, 3, 5), {"lengths": [4, 6, 0, 1], "h0": True}),
    "before_mask": (False, (6, 4, 3, 5), {"lengths": [4, 6, 0, 1], "h0": True}),
    "after_backwards": (True, (4, 2, 7, 3), {"backwards": True, "h0": True}),
    "before_backwards": (False, (4, 2, 7, 3), {"backwards": True, "h0": True}),
    "after_backwards_mask": (True, (6, 3, 2, 7), {"backwards": True, "lengths": [2, 6, 5], "h0": True}),
    "before_backwards_mask": (False, (6, 3, 2, 7), {"backwards": True, "lengths": [2, 6, 5], "h0": True}),
    "after_hard": (True, (5, 2, 4, 5), {"gate": "hard_sigmoid", "h0": True}),
    "before_hard": (False, (5, 2, 4, 5), {"gate": "hard_sigmoid", "h0": True}),
    "after_relu": (True, (4, 2, 3, 4), {"candidate": "relu", "h0": True}),
    "before_relu": (False, (4, 2, 3, 4), {"candidate": "relu", "h0": True}),
    "after_linear": (True, (4, 2, 3, 4), {"candidate": "linear", "h0": True}),
    "before_linear": (False, (4, 2, 3, 4), {"candidate": "linear", "h0": True}),
    "after_no_bias": (True, (3, 2, 2, 9), {"bias": False}),
    "before_no_bias": (False, (3, 2, 2, 9), {"bias": False}),
    "before_hard_backwards_mask": (False, (7, 3, 3, 4), {"gate": "hard_sigmoid", "backwards": True,
                                                         "lengths": [5, 7, 3], "h0": True}),
}
RAW = ("after", "before", "before_no_bias")


def batch_major(array):
    return np.swapaxes(np.asarray(array), 0, 1)


def weights_of(arrays, H, prefix=""):
    """Canonical tensors from kernel [I][3H], recurrent_kernel [H][3H], bias [2][3H] or [3H]; or gradients."""
    kernel, recurrent, *bias = (np.asarray(array) for array in arrays)
    out = {"W": golden.rows_rzn(kernel.T), "R": golden.rows_rzn(recurrent.T)}
    if bias:
        # A single bias is the input bias. Its gradient is also the recurrent one's: with the reset before the
        # product only the sum of the two matters.
        single = bias[0].ndim == 1
        pair = [bias[0], bias[0] if prefix else np.zeros(3 * H)] if single else bias[0]
        out.update(bW=golden.rows_rzn(pair[0]), bR=golden.rows_rzn(pair[1]))
    return {prefix + key: array for key, array in out.items()}


def add_layer(file, seed, name, reset_after, shape, options):
    (T, N, I, H), draw, candidate = shape, golden.Draw(seed), options.get("candidate", "tanh")
    layer = keras.layers.GRU(H, activation=ACTIVATIONS[candidate],
                             recurrent_activation=options.get("gate", "sigmoid"), reset_after=reset_after,
                             use_bias=options.get("bias", True), go_backwards=options.get("backwards", False),
                             return_sequences=True, return_state=True, dtype="float64")
    layer.build((N, T, I))
    weights = [draw(*variable.shape) for variable in layer.trainable_variables]
    x, h0 = draw(T, N, I), draw(N, H) if "h0" in options else np.zeros((N, H))
    dy, dhT = draw(T, N, H), draw(N, H)
    lengths = np.array(options.get("lengths", [T] * N))
    valid = np.arange(T)[None, :] < lengths[:, None]         # [N][T]
    others = [variable.value for variable in layer.non_trainable_variables]

    def outputs(weights, x, h0):
        mask = valid if "lengths" in options else None
        (y, hT), _ = layer.stateless_call(weights, others, x, initial_state=h0, mask=mask)
        y = y[:, ::-1] if options.get("backwards") else y
        return y * valid[:, :, None], hT                     # Keras repeats a state where masked

    def loss(weights, x, h0):
        y, hT = outputs(weights, x, h0)
        return (y * batch_major(dy)).sum() + (hT * dhT).sum()

    y, hT = outputs(weights, batch_major(x), h0)
    dweights, dx, dh0 = jax.grad(loss, (0, 1, 2))(weights, batch_major(x), h0)
    assert y.dtype == dx.dtype == np.float64
    tensors = {"x": x, "y": batch_major(y), "hT": hT, "dy": dy, "dhT": dhT, "dx": batch_major(dx),
               **weights_of(weights, H), **weights_of(dweights, H, "d")}
    if "h0" in options:
        tensors.update(h0=h0, dh0=dh0)
    if "lengths" in options:
        tensors["lengths"] = lengths
    hard = options.get("gate") == "hard_sigmoid"
    file.case(name, {"reset": golden.AFTER if reset_after else golden.BEFORE, "update": golden.KEEP,
                     "gate": golden.HARD_SIGMOID if hard else golden.SIGMOID,
                     "candidate": CANDIDATES[candidate],
                     "direction": golden.REVERSE if options.get("backwards") else golden.FORWARD,
                     "T": T, "N": N, "I": I, "H": H, "source_bits": 64},
              hard_slope=1 / 6 if hard else 0.0, **tensors)
    if name in RAW:
        names = [variable.path.split("/")[-1] for variable in layer.trainable_variables]
        file.raw(name, **dict(zip(names, weights)))


def main():
    keras.config.set_floatx("float64")
    file = golden.File("keras")
    for seed, (name, (reset_after, shape, options)) in enumerate(LAYERS.items()):
        add_layer(file, 3000 + seed, name, reset_after, shape, options)
    file.write()
    print("keras", keras.__version__, "jax", jax.__version__, len(file.names), "cases")


if __name__ == "__main__":
    main()
