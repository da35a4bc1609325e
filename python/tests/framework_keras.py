"""Keras models of all kinds, of Keras 3 and of Keras 2 (tf_keras), in both formats."""
from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import numpy as np

import extra
import keras_kinds
from tools import Case

from libgru.convert import rnn
from libgru.convert.verify import drawn


def randomised(model: Any) -> Any:
    random = np.random.default_rng(11)
    model.set_weights([random.uniform(-0.7, 0.7, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


class Kinds(Case):
    """For each kind and format: converted, equal to the framework's numbers, and to the library's; one tensor more is one
    tensor more in the result."""
    package = "keras"
    unloadable: set[str] = set()    # files that the package writes and cannot load itself

    def setUp(self) -> None:
        super().setUp()
        self.keras = __import__(self.package)
        # The names of the first layers of the process are taken: those of the models and their groups then differ.
        self.keras.Sequential([self.keras.Input((5, 3)), self.keras.layers.GRU(4), self.keras.layers.Dense(2)])

    def saved(self, name: str, make: keras_kinds.Kind) -> list[Path]:
        model = randomised(make(self.keras))
        paths = [self.folder / f"{name}.{ending}" for ending in ("h5", "keras")]
        for path in paths:
            model.save(path)
        return paths

    def check_against_twin(self, path: Path) -> None:
        """The same model in the other format has the same numbers."""
        ours, twin = self.converted(path), self.converted(path.with_suffix(".keras"))
        grus = [name for name in twin.tensors if "weight_" in name or "bias_" in name]
        for name in grus:
            np.testing.assert_array_equal(ours.tensors[name].bits, twin.tensors[name].bits)
        self.assertEqual(ours.metadata, twin.metadata)

    def check(self, path: Path) -> None:
        if path.name in self.unloadable:
            self.check_against_twin(path)
            return
        status, out, errors = self.run_command(path, "--verify")
        self.assertEqual(status, 0, f"{path.name}: {out} {errors}")
        before = self.converted(path)
        for prefix in rnn.prefixes(before):
            cells = rnn.load(before, prefix)[0][0]
            self.numbers(before, prefix, drawn(cells[0].W.shape[1]))
        more = path.with_name(f"more_{path.name}")
        extra.add(path, more)
        after = self.converted(more)
        added = set(after.tensors) - set(before.tensors)
        self.assertEqual(len(added), 1)
        np.testing.assert_array_equal(after.tensors[added.pop()].bits, extra.ONES)

    def test_kinds(self) -> None:
        self.assertGreaterEqual(len(keras_kinds.KINDS), 25)
        for name, make in keras_kinds.KINDS.items():
            for path in self.saved(name, make):
                with self.subTest(path.name):
                    self.check(path)

    def test_refused(self) -> None:
        for name, (make, words) in keras_kinds.REFUSED.items():
            for path in self.saved(name, make):
                with self.subTest(path.name):
                    self.refused(path, words)

    def test_trained(self) -> None:
        """The state of the optimiser is written too, and can be dropped."""
        model = keras_kinds.KINDS["plain"](self.keras)
        model.compile("adam", "mse")
        model.fit(np.zeros((4, 5, 3), "f4"), np.zeros((4, 2), "f4"), verbose=0)
        for ending in ("h5", "keras"):
            path = self.folder / f"trained.{ending}"
            model.save(path)
            whole = self.converted(path)
            self.assertTrue(any("optimizer" in name for name in whole.tensors), list(whole.tensors))
            less = self.converted(path, "--drop", "optimizer*")
            self.assertFalse(any("optimizer" in name for name in less.tensors))


class OldKinds(Kinds):
    package = "tf_keras"
    unloadable = {"own_backward_before.h5"}    # its loader takes the two directions for equal: "Invalid bias shape"

    def test_cudnn(self) -> None:
        """The class of GPUs alone; run.py has its numbers."""
        from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
        model = randomised(self.keras.Sequential([self.keras.Input((5, 3)), CuDNNGRU(4)]))
        for ending in ("h5", "keras"):
            path = self.folder / f"cudnn.{ending}"
            model.save(path)
            self.converted(path)


class Keras3Only(Case):
    def test_subclassed(self) -> None:
        import keras

        class Model(keras.Model):    # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.encoder = keras.layers.GRU(4)

            def call(self, x: Any) -> Any:
                return self.encoder(x)
        model = Model()
        model(np.zeros((2, 5, 3), "f4"))
        model.save(self.folder / "own.keras")
        self.refused(self.folder / "own.keras", "of a class of its own, Model")

    def test_weights_alone(self) -> None:
        import keras
        model = keras_kinds.KINDS["plain"](keras)
        model.save_weights(self.folder / "x.weights.h5")
        self.refused(self.folder / "x.weights.h5", "without the model's configuration")

    def test_bfloat16(self) -> None:
        import keras
        settings = {"dtype": "bfloat16", "recurrent_initializer": "glorot_uniform"}    # there is no orthogonal one
        model = keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(4, **settings)])
        for ending in ("h5", "keras"):
            path = self.folder / f"b.{ending}"
            model.save(path)
            source = self.converted(path)
            self.assertEqual({tensor.dtype for tensor in source.tensors.values()}, {"BF16"})


if __name__ == "__main__":
    unittest.main()
