#!/usr/bin/env python3
"""Runs keras.layers.GRU over masks of any pattern, as make_keras.py does: keras_masks.safetensors.

y is what Keras returns: a masked step repeats the output before it, zeros before the first. In the order of x also
where the layer goes backwards. The loss leaves masked steps out. Unrolled, because the loop of the JAX backend has the
initial state in place of those zeros; the loops of the TensorFlow and PyTorch backends do not."""
import make_keras as keras_golden  # sets up the backend before Keras is imported

import jax
import keras
import numpy as np

import golden

LEFT, HOLES, NONE, ALL = [0, 0, 1, 1, 1, 1], [1, 0, 0, 1, 1, 0], [0] * 6, [1] * 6
# name: reset_after, go_backwards, (T, N, I, H), mask [N][T]
LAYERS = {
    "after_left": (True, False, (6, 3, 3, 5), [LEFT, [0, 0, 0, 0, 0, 1], ALL]),
    "before_left": (False, False, (6, 3, 3, 5), [LEFT, [0, 0, 0, 0, 0, 1], ALL]),
    "after_holes": (True, False, (6, 4, 2, 6), [HOLES, [0, 1, 0, 1, 0, 0], NONE, LEFT]),
    "before_holes": (False, False, (6, 4, 2, 6), [HOLES, [0, 1, 0, 1, 0, 0], NONE, LEFT]),
    "after_backwards": (True, True, (6, 4, 2, 6), [HOLES, [0, 1, 0, 1, 0, 0], NONE, LEFT]),
    "before_backwards": (False, True, (6, 4, 2, 6), [HOLES, [0, 1, 0, 1, 0, 0], NONE, LEFT]),
}


def add_layer(file, seed, name, reset_after, backwards, shape, mask):
    (T, N, I, H), draw = shape, golden.Draw(seed)
    layer = keras.layers.GRU(H, activation=jax.numpy.tanh, reset_after=reset_after, go_backwards=backwards,
                             unroll=True, return_sequences=True, return_state=True, dtype="float64")
    layer.build((N, T, I))
    weights = [draw(*variable.shape) for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]
    x, h0, dy, dhT = draw(T, N, I), draw(N, H), draw(T, N, H), draw(N, H)
    present = np.array(mask, bool)                           # [N][T]

    def outputs(weights, x, h0):
        (y, hT), _ = layer.stateless_call(weights, others, x, initial_state=h0, mask=present)
        return (y[:, ::-1] if backwards else y), hT

    def loss(weights, x, h0):
        y, hT = outputs(weights, x, h0)
        return (y * present[:, :, None] * keras_golden.batch_major(dy)).sum() + (hT * dhT).sum()

    y, hT = outputs(weights, keras_golden.batch_major(x), h0)
    dweights, dx, dh0 = jax.grad(loss, (0, 1, 2))(weights, keras_golden.batch_major(x), h0)
    assert y.dtype == dx.dtype == np.float64
    file.case(name, {"reset": golden.AFTER if reset_after else golden.BEFORE, "update": golden.KEEP,
                     "gate": golden.SIGMOID, "candidate": golden.TANH,
                     "direction": golden.REVERSE if backwards else golden.FORWARD,
                     "T": T, "N": N, "I": I, "H": H, "has_lengths": golden.MASK, "source_bits": 64},
              x=x, h0=h0, y=keras_golden.batch_major(y), hT=hT, dy=dy, dhT=dhT, dh0=dh0,
              dx=keras_golden.batch_major(dx), mask=present.T,
              **keras_golden.weights_of(weights, H), **keras_golden.weights_of(dweights, H, "d"))


def main():
    keras.config.set_floatx("float64")
    file = golden.File("keras_masks")
    for seed, (name, case) in enumerate(LAYERS.items()):
        add_layer(file, 5000 + seed, name, *case)
    file.write()
    print("keras", keras.__version__, "jax", jax.__version__, len(file.names), "cases")


if __name__ == "__main__":
    main()
