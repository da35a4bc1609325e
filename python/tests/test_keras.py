"""Keras files whose configuration or arrays were changed: what is refused, and with which words."""
from __future__ import annotations

import io
import json
import unittest
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from libgru.convert import rnn
from tools import SAMPLES, Case, has


def layer(config: Any, name: str) -> Any:
    """The settings of a layer anywhere in a configuration."""
    if isinstance(config, dict) and isinstance(config.get("config"), dict) and config["config"].get("name") == name:
        return config
    items = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return next((found for found in (layer(item, name) for item in items) if found), None)


@unittest.skipUnless(has("h5py"), "h5py is missing")
class Keras(Case):
    def h5(self, name: str, config: Callable[[Any], Any] | None = None, file: Callable[[Any], Any] | None = None) -> Path:
        """A sample with a changed configuration, a changed file, or both."""
        import h5py
        path = self.folder / "x.h5"
        path.write_bytes((SAMPLES / f"{name}.h5").read_bytes())
        with h5py.File(path, "a") as opened:
            if config:
                described = json.loads(opened.attrs["model_config"])
                config(described)
                opened.attrs["model_config"] = json.dumps(described)
            if file:
                file(opened)
        return path

    def keras(self, name: str, config: Callable[[Any], Any] | None = None, file: Callable[[Any], Any] | None = None) -> Path:
        import h5py
        path = self.folder / "x.keras"
        with zipfile.ZipFile(SAMPLES / f"{name}.keras") as old, zipfile.ZipFile(path, "w") as new:
            for member in old.namelist():
                content = old.read(member)
                if member == "config.json" and config:
                    described = json.loads(content)
                    config(described)
                    content = json.dumps(described).encode()
                if member.endswith(".h5") and file:
                    memory = io.BytesIO(content)
                    with h5py.File(memory, "a") as opened:
                        file(opened)
                    content = memory.getvalue()
                new.writestr(member, content)
        return path

    def both(self, words: str, name: str, layer_name: str, **settings: Any) -> None:
        """Both formats are refused with these words after a change of one layer's settings."""
        def change(config: Any) -> None:
            layer(config, layer_name)["config"].update(settings)
        for path in (self.h5(name, change), self.keras(name, change)):
            with self.subTest(path.suffix, words=words):
                self.refused(path, words)
                self.refused(path, f"layer {layer_name}")

    def names(self, sample: str, kind: str) -> list[str]:
        """Of a sample's layers of one class."""
        import h5py
        with h5py.File(SAMPLES / f"{sample}.h5") as file:
            config = json.loads(file.attrs["model_config"])
        return [member["config"]["name"] for member in config["config"]["layers"] if member["class_name"] == kind]

    def test_settings(self) -> None:
        for version in (2, 3):
            name = f"keras{version}_two_layers"
            first, second = self.names(name, "GRU")
            self.both("activation is softmax", name, first, activation="softmax")
            self.both("recurrent_activation is glu", name, first, recurrent_activation="glu")
            self.both("units is 5", name, first, units=5)
            self.both("reversed order of time", name, first, go_backwards=True)
            self.both("its bias is [2, 12], expected 3 times 4", name, first, reset_after=False)
            self.both("expected kernel, recurrent_kernel", name, second, use_bias=False)
            name = f"keras{version}_both_twice"
            self.both("merge_mode is max", name, self.names(name, "Bidirectional")[0], merge_mode="max")

    def test_merges(self) -> None:
        """The word of each merge_mode, and what the library's equations make of it."""
        merges = {"concat": "concat", "sum": "sum", "ave": "average", "mul": "multiply", None: "separate"}
        name = "keras3_both_twice"
        last = self.names(name, "Bidirectional")[-1]
        for mode, word in merges.items():
            def change(config: Any) -> None:
                layer(config, last)["config"]["merge_mode"] = mode
            for path in (self.h5(name, change), self.keras(name, change)):
                with self.subTest(path.suffix, mode=mode):
                    self.assertEqual(self.converted(path).metadata[f"{last}.gru.merge"], word)
        forward, reverse = np.array([[1.0, -4.0]]), np.array([[3.0, 0.5]])
        expected = {"concat": [1, -4, 3, 0.5], "sum": [4, -3.5], "average": [2, -1.75], "multiply": [3, -2]}
        for word, numbers in expected.items():
            np.testing.assert_array_equal(rnn.merged([forward, reverse], word), [[numbers]])
        self.assertEqual(len(rnn.merged([forward, reverse], "separate")), 2)

    def test_both_formats_agree(self) -> None:
        """Of one model: the same GRUs, and the other layers' arrays under the same layers' names."""
        numbers = {"kernel": "0", "bias": "1"}
        for version in (2, 3):
            for kind in ("two_layers", "both_twice", "own_backward_small", "cells", "nested"):
                name = f"keras{version}_{kind}"
                h5, keras = (self.converted(SAMPLES / f"{name}.{ending}") for ending in ("h5", "keras"))
                self.assertEqual(h5.metadata, keras.metadata)
                for tensor_name, tensor in h5.tensors.items():
                    layer_name, _, word = tensor_name.rpartition(".")
                    other = f"{layer_name}.{numbers.get(word, word)}"
                    with self.subTest(name, tensor=tensor_name):
                        np.testing.assert_array_equal(tensor.bits, keras.tensors[other].bits)
                self.assertEqual(len(h5.tensors), len(keras.tensors))

    def test_reversed_outputs_are_accepted_on_request(self) -> None:
        def change(config: Any) -> None:
            layer(config, "gru_1")["config"]["go_backwards"] = True
        path = self.keras("keras3_two_layers", change)
        self.assertIn("gru_1.weight_ih_l0_reverse", self.converted(path, "--reversed-outputs").tensors)

    def test_time_major_is_noted(self) -> None:
        def change(config: Any) -> None:
            layer(config, name)["config"]["time_major"] = True
        name = self.names("keras2_two_layers", "GRU")[0]
        for changed in (None, change):
            status, _, errors = self.run_command(self.h5("keras2_two_layers", changed))
            self.assertEqual((status, "time_major is True" in errors), (0, changed is not None))

    def test_a_class_of_somebody_else_called_gru_passes_through(self) -> None:
        def change(config: Any) -> None:
            layer(config, "gru_1").update(module="mine", registered_name="mine>GRU")
        source = self.converted(self.keras("keras3_two_layers", change))
        self.assertIn("gru_1.cell.0", source.tensors)
        self.assertIn("gru_2.weight_ih_l0", source.tensors)

    def test_a_group_of_another_layer_is_refused(self) -> None:
        def change(file: Any) -> None:
            file["layers/gru/vars"].attrs["name"] = "gru_2"
        self.refused(self.keras("keras3_two_layers", file=change), "is of a layer gru_2")

    def test_missing_arrays(self) -> None:
        def remove(file: Any) -> None:
            del file["layers/gru/cell/vars/1"]
        self.refused(self.keras("keras3_two_layers", file=remove), "expected bias, kernel, recurrent_kernel")

    def test_groups_of_other_versions(self) -> None:
        """Keras 2.12 and 2.13 wrote other groups."""
        def move(file: Any) -> None:
            file.move("layers", "_layer_checkpoint_dependencies")
        self.refused(self.keras("keras2_two_layers", file=move), "has no group layers/gru/cell/vars, where Keras 2.14")

    def test_files_without_a_configuration(self) -> None:
        def strip(file: Any) -> None:
            del file.attrs["model_config"]
        self.refused(self.h5("keras3_two_layers", file=strip), "without the model's configuration")

        def subclass(config: Any) -> None:
            config.update(class_name="Mine", module="mine", config={"units": 4})
        self.refused(self.keras("keras3_two_layers", subclass), "of a class of its own, Mine")
        path = self.folder / "y.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": []}}))
            archive.writestr("metadata.json", "{}")
        self.refused(path, "no model.weights.h5")

    def test_names_with_slashes(self) -> None:
        """As Keras 2 allows them; groups within groups."""
        old = self.names("keras2_two_layers", "GRU")[0]

        def texts(group: Any, attribute: str) -> list[str]:
            return [name.decode() if isinstance(name, bytes) else name for name in group.attrs[attribute]]

        def rename(file: Any) -> None:
            weights = file["model_weights"]
            weights.move(old, "enc/gru")
            weights["enc/gru"].move(old, "enc/gru")
            weights.attrs["layer_names"] = ["enc/gru" if name == old else name for name in texts(weights, "layer_names")]
            group = weights["enc/gru"]
            group.attrs["weight_names"] = ["enc/gru" + name.removeprefix(old) for name in texts(group, "weight_names")]

        def config(described: Any) -> None:
            layer(described, old)["config"]["name"] = "enc/gru"
        source = self.converted(self.h5("keras2_two_layers", config, rename))
        before = self.converted(SAMPLES / "keras2_two_layers.h5")
        np.testing.assert_array_equal(source.tensors["enc/gru.weight_ih_l0"].bits,
                                      before.tensors[f"{old}.weight_ih_l0"].bits)

    def test_keras_1_in_both_directions(self) -> None:
        """Its wrapper calls the layers' arrays forward_gru_1_W_z and so on."""
        def config(described: Any) -> None:
            inner = described["config"][0]
            described["config"] = [{"class_name": "Bidirectional", "config": {"name": "both", "merge_mode": "sum",
                                                                             "layer": inner}}]

        def double(file: Any) -> None:
            weights = file["model_weights"]
            arrays = {name: weights["gru_1"][name][()] for name in weights["gru_1"]}
            del weights["gru_1"]
            group = weights.create_group("both")
            names = [f"{side}_{name}" for side in ("forward", "backward") for name in arrays]
            weights.attrs["layer_names"], group.attrs["weight_names"] = ["both"], names
            for name in names:
                side, _, own = name.partition("_")
                group[name] = arrays[own] * (2 if side == "backward" else 1)
        before = self.converted(SAMPLES / "keras1.h5").tensors["gru_1.weight_hh_l0"].bits
        source = self.converted(self.h5("keras1", config, double))
        np.testing.assert_array_equal(source.tensors["both.weight_hh_l0"].bits, before)
        np.testing.assert_array_equal(source.tensors["both.weight_hh_l0_reverse"].bits, 2 * before)
        self.assertEqual(source.metadata["both.gru.merge"], "sum")

    def test_bfloat16(self) -> None:
        """h5py stores it as two bytes of no type."""
        def change(file: Any) -> None:
            for number in range(3):
                path = f"layers/gru/cell/vars/{number}"
                values = file[path][()]
                del file[path]
                file[path] = (values.view("u4") >> 16).astype("<u2").view("V2")
                file[path].attrs["dtype"] = "bfloat16"
        source = self.converted(self.keras("keras3_two_layers", file=change))
        self.assertEqual(source.tensors["gru_1.weight_hh_l0"].dtype, "BF16")

    def test_long_lists_of_names(self) -> None:
        """Keras cuts attributes that HDF5 has no room for."""
        def cut(file: Any) -> None:
            weights = file["model_weights"]
            names = list(weights.attrs["layer_names"])
            del weights.attrs["layer_names"]
            weights.attrs["layer_names0"], weights.attrs["layer_names1"] = names[:1], names[1:]
        source = self.converted(self.h5("keras3_two_layers", file=cut))
        self.assertIn("gru_2.weight_ih_l0", source.tensors)


if __name__ == "__main__":
    unittest.main()
