#!/usr/bin/env python3
"""A Keras model whose GRU layers run on libgru: trained, with masks, and compared with Keras' own loop.

Needs keras, jax or torch, and libgru (pip install './python[jax]' keras). KERAS_BACKEND=torch takes PyTorch.
"""
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

import libgru.keras

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.Embedding(12, 24, mask_zero=True),
                          keras.layers.Bidirectional(keras.layers.GRU(24, return_sequences=True)),
                          keras.layers.GRU(24), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
random = np.random.default_rng(0)
text = random.integers(1, 12, (256, 10)) * (np.arange(10) < random.integers(3, 11, (256, 1)))   # 0: padding
wanted = (text == 3).sum(1, keepdims=True).astype("float32")                                   # how often letter 3 stands there

before = model.predict(text[:32], verbose=0)
libgru.keras.enable()                                        # the one line
model.compile(keras.optimizers.Adam(0.01), "mse")            # Keras keeps compiled functions: they are made anew
print("largest difference to Keras' own loop:", float(np.abs(model.predict(text[:32], verbose=0) - before).max()))
history = model.fit(text, wanted, epochs=6, batch_size=32, verbose=0)
print(f"mean square error {history.history['loss'][0]:.3f}, after 6 epochs {history.history['loss'][-1]:.3f}")
assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
