"""Cases of test_keras_layers.py, which runs them once with each backend: layers on libgru beside the same layers without it."""
from __future__ import annotations

import unittest
import warnings
from typing import Any

import keras
import numpy as np

import libgru.keras

MASK = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [1, 1, 1, 1, 1]], bool)


class OnLibgru:
    """Enables libgru, and fails if any layer stays Keras' own."""

    def __enter__(self) -> None:
        libgru.keras.enable()
        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.filterwarnings("error", message=".*Keras' own operators")
        libgru.keras._enable._told.clear()

    def __exit__(self, *_: Any) -> None:
        self.caught.__exit__(None, None, None)
        libgru.keras.disable()


class Layers(unittest.TestCase):
    def near(self, found: Any, wanted: Any, most: float) -> None:
        for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(wanted), strict=True):
            a, b = (keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in (a, b))
            np.testing.assert_allclose(a, b, rtol=0, atol=most)

    def test_options(self) -> None:
        x = np.random.default_rng(0).standard_normal((3, 5, 4)).astype("float32")
        for options in ({}, {"return_sequences": True}, {"go_backwards": True, "return_sequences": True}, {"reset_after": False},
                        {"use_bias": False}, {"recurrent_activation": "hard_sigmoid", "activation": "relu"}, {"activation": "gelu"},
                        {"return_sequences": True, "zero_output_for_mask": True}, {"unroll": True}):
            for mask in (None, MASK):
                layer = keras.layers.GRU(6, return_state=True, bias_initializer="uniform", **options)
                h0 = np.ones((3, 6), "float32") * 0.3
                with self.subTest(options=options, mask=mask is not None):
                    wanted = layer(x, mask=mask, initial_state=h0)
                    with OnLibgru():
                        self.near(layer(x, mask=mask, initial_state=h0), wanted, 1e-6)
        half = keras.layers.GRU(6, dtype="mixed_bfloat16")
        wanted = half(x)
        with OnLibgru():
            self.near(half(x), wanted, 0.02)

    def trained(self) -> list[Any]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.Bidirectional(
            keras.layers.GRU(5, return_sequences=True)), keras.layers.GRU(5), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        text = np.random.default_rng(1).integers(0, 9, (8, 6))
        for _ in range(3):
            model.train_on_batch(text, text[:, :1].astype("float32"))
        return list(model.get_weights())

    def test_training(self) -> None:
        """Weights after three steps, with masks that leave gaps."""
        wanted = self.trained()
        with OnLibgru():
            self.near(self.trained(), wanted, 2e-5)

    def test_what_stays_with_keras(self) -> None:
        x = np.ones((2, 3, 4), "float32")
        libgru.keras.enable()
        self.addCleanup(libgru.keras.disable)
        for words, options, training in (("recurrent_dropout", {"recurrent_dropout": 0.5}, True), ("dropout of inputs", {"dropout": 0.5}, True),
                                         ("use_cudnn is False", {"use_cudnn": False}, False), ("its functions", {"activation": "softmax"}, False),
                                         ("its functions", {"activation": lambda v: v}, False)):
            libgru.keras._enable._told.clear()
            with self.assertWarnsRegex(UserWarning, words):
                keras.layers.GRU(6, **options)(x, training=training)
        self.assertEqual(keras.layers.GRU(6)(keras.Input((3, 4))).shape, (None, 6))


if __name__ == "__main__":
    unittest.main()
