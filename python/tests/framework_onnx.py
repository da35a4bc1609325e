"""Every combination of a GRU node's settings against ONNX Runtime, and the node cases of the onnx package."""
from __future__ import annotations

import itertools
import unittest
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

import extra
import test_onnx
from tools import Case

from libgru.convert import rnn


class Settings(test_onnx.Onnx):
    """The tests of test_onnx.py run here too, each with --verify."""

    def test_every_combination(self) -> None:
        functions = ({}, {"activations": ["HardSigmoid", "Relu"], "activation_alpha": [0.3], "activation_beta": [0.5]},
                     {"activations": ["Sigmoid", "Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]})
        for direction, after, clip, function, bias in itertools.product(
                ("forward", "reverse", "bidirectional"), (0, 1), (0.0, 0.7), functions, (True, False)):
            D = 2 if direction == "bidirectional" else 1
            settings: dict[str, Any] = {"direction": direction, "linear_before_reset": after}
            for key, value in function.items():
                settings[key] = value * D
            if clip:
                settings["clip"] = clip
            weights = {name: array for name, array in self.weights(D).items() if bias or name != "B"}
            path = self.save([self.gru("x W R B" if bias else "x W R", **settings)], self.constant(**weights))
            with self.subTest(**settings, bias=bias):
                source = self.good(path)
                self.numbers(source, "gru.", test_onnx.draw(5, 2, test_onnx.I))

    def test_one_more_tensor(self) -> None:
        path = self.one(2, direction="bidirectional")
        target = self.folder / "more.onnx"
        extra.add(path, target)
        before, after = self.converted(path), self.converted(target)
        self.assertEqual(set(after.tensors) - set(before.tensors), {extra.NAME})


class NodeCases(Case):
    """Their weights are inputs of the model: they are made constants here."""

    def test_the_package_s_own_cases(self) -> None:
        cases = [case for case in collect_testcases("GRU") if case.model is not None]
        self.assertGreaterEqual(len(cases), 4)
        for case in cases:
            with self.subTest(case.name):
                self.check(case)

    def check(self, case: Any) -> None:
        model, (inputs, outputs) = case.model, case.data_sets[0]
        names = [value.name for value in model.graph.input]
        for name, array in list(zip(names, inputs))[1:]:
            if name in ("W", "R", "B"):
                model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        node = model.graph.node[0]
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        path = self.folder / "case.onnx"
        onnx.save(model, path)
        source = self.converted(path)
        prefix = rnn.prefixes(source)[0]
        x = np.asarray(inputs[0])
        x = x.swapaxes(0, 1) if settings.get("layout") else x
        numbers = self.numbers(source, prefix, x)
        by_name = dict(zip([output for output in node.output if output], outputs))
        if "Y_h" in by_name:
            states = np.asarray(by_name["Y_h"])
            states = states.swapaxes(0, 1) if settings.get("layout") else states
            np.testing.assert_allclose(numbers[-states.size:], states.ravel(), atol=1e-5)


if __name__ == "__main__":
    unittest.main()
