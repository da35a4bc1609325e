"""ONNX graphs made node by node. Where ONNX Runtime is installed, each that converts runs there too (--verify)."""
from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import numpy as np

from tools import Case, has

I, H, T, N = 3, 4, 5, 2
RUNS = has("onnxruntime")


def draw(*shape: int) -> Any:
    return (np.random.default_rng(sum(shape)).integers(-64, 65, shape) / 64).astype("f4")


@unittest.skipUnless(has("onnx"), "onnx is missing")
class Onnx(Case):
    def setUp(self) -> None:
        super().setUp()
        import onnx
        import onnx.helper
        import onnx.numpy_helper
        self.onnx, self.helper = onnx, onnx.helper
        self.tensor = onnx.numpy_helper.from_array

    def constant(self, **arrays: Any) -> list[Any]:
        return [self.tensor(np.asarray(array), name) for name, array in arrays.items()]

    def weights(self, directions: int = 1, inputs: int = I, end: str = "") -> dict[str, Any]:
        return {f"W{end}": draw(directions, 3 * H, inputs), f"R{end}": draw(directions, 3 * H, H),
                f"B{end}": draw(directions, 6 * H)}

    def gru(self, inputs: str = "x W R B", outputs: str = "y", name: str = "gru", **attributes: Any) -> Any:
        words = ["" if word == "-" else word for word in inputs.split()]
        return self.helper.make_node("GRU", words, outputs.split(), name=name, **{"hidden_size": H, **attributes})

    def save(self, nodes: list[Any], initializers: list[Any], outputs: str = "y", **more: Any) -> Path:
        value = self.helper.make_tensor_value_info
        kind = self.onnx.TensorProto.FLOAT
        graph = self.helper.make_graph(nodes, "g", [value("x", kind, [T, N, I])],
                                       [value(name, kind, None) for name in outputs.split()], initializers, **more)
        model = self.helper.make_model(graph, opset_imports=[self.helper.make_opsetid("", 17)])
        path = self.folder / "model.onnx"
        self.onnx.save(model, path)
        return path

    def one(self, directions: int = 1, weights: dict[str, Any] | None = None, **attributes: Any) -> Path:
        return self.save([self.gru(**attributes)], self.constant(**(weights or self.weights(directions))))

    def good(self, path: Path, *options: str) -> Any:
        return self.converted(path, *options, *(["--verify"] if RUNS else []))

    # ---- one node ---------------------------------------------------------------------------------------------------------

    def test_weights(self) -> None:
        given = self.weights(2)
        source = self.good(self.one(2, direction="bidirectional", linear_before_reset=1))
        for d, end in enumerate(("", "_reverse")):
            z, r, n = np.split(given["R"][d], 3)
            np.testing.assert_array_equal(source.tensors[f"gru.weight_hh_l0{end}"].bits, np.concatenate([r, z, n]))
            z, r, n = np.split(given["B"][d][3 * H:], 3)
            np.testing.assert_array_equal(source.tensors[f"gru.bias_hh_l0{end}"].bits, np.concatenate([r, z, n]))
        self.assertEqual(source.metadata["gru.gru.reset"], "after")
        self.assertEqual(self.good(self.one()).metadata["gru.gru.reset"], "before")
        self.assertIn("gru.weight_hh_l0_reverse", self.good(self.one(direction="reverse")).tensors)

    def test_functions(self) -> None:
        for words, given in (({"gate": "sigmoid", "candidate": "tanh"}, {"activations": ["sigmoid", "TANH"]}),
                             ({"gate": "hard_sigmoid", "hard_slope": "0.25"},
                              {"activations": ["HardSigmoid", "Tanh"], "activation_alpha": [0.25]}),
                             ({"candidate": "linear"}, {"activations": ["Sigmoid", "Affine"], "activation_alpha": [1.0],
                                                       "activation_beta": [0.0]}),
                             ({"candidate": "linear"}, {"activations": ["Sigmoid", "LeakyRelu"], "activation_alpha": [1.0]}),
                             ({"candidate": "relu"}, {"activations": ["Sigmoid", "Relu"], "clip": 2.5}),
                             ({"candidate": "relu"}, {"activations": ["Sigmoid", "ThresholdedRelu"],
                                                      "activation_alpha": [0.0]}),
                             ({"gate": "hard_sigmoid", "hard_slope": "0.25", "gate_beta": "0.75"},
                              {"activations": ["HardSigmoid", "Tanh"], "activation_alpha": [0.25], "activation_beta": [0.75]}),
                             ({"gate": "relu", "candidate": "softsign"}, {"activations": ["Relu", "Softsign"]}),
                             ({"gate": "tanh", "candidate": "softplus"}, {"activations": ["Tanh", "Softplus"]}),
                             ({"gate": "affine", "gate_alpha": "0.5", "gate_beta": "0.25", "candidate": "scaled_tanh",
                               "candidate_alpha": "1.5", "candidate_beta": "-0.75"},
                              {"activations": ["Affine", "ScaledTanh"], "activation_alpha": [0.5, 1.5],
                               "activation_beta": [0.25, -0.75]}),
                             ({"gate": "softsign", "candidate": "elu", "candidate_alpha": "1.0"},
                              {"activations": ["Softsign", "Elu"]}),
                             ({"gate": "elu", "gate_alpha": "0.5", "candidate": "hard_sigmoid", "candidate_alpha": "0.2",
                               "candidate_beta": "0.5"}, {"activations": ["Elu", "HardSigmoid"], "activation_alpha": [0.5]}),
                             ({"gate": "leaky_relu", "gate_alpha": "0.25", "candidate": "thresholded_relu",
                               "candidate_alpha": "0.125", "clip": "2.0"},
                              {"activations": ["LeakyRelu", "ThresholdedRelu"], "activation_alpha": [0.25, 0.125], "clip": 2.0}),
                             ({"clip": "0.5"}, {"clip": 0.5})):
            with self.subTest(given):
                source = self.good(self.one(**given))
                for field, text in words.items():
                    self.assertEqual(source.metadata[f"gru.gru.{field}"], text)

    def test_the_beta_0_of_a_hard_sigmoid_moves_into_the_biases(self) -> None:
        source = self.good(self.one(activations=["HardSigmoid", "Tanh"], activation_alpha=[0.25], activation_beta=[0.0]))
        z, r, n = np.split(self.weights()["B"][0][:3 * H], 3)
        np.testing.assert_array_equal(source.tensors["gru.bias_ih_l0"].bits, np.concatenate([r - 2, z - 2, n]))
        without = {name: array for name, array in self.weights().items() if name != "B"}
        path = self.save([self.gru("x W R", activations=["HardSigmoid", "Tanh"], activation_beta=[0.0])],
                         self.constant(**without))
        self.assertIn("gru.bias_ih_l0", self.good(path).tensors)

    def test_directions_that_differ_are_two_grus(self) -> None:
        source = self.good(self.one(2, direction="bidirectional", activations=["Sigmoid", "Tanh", "HardSigmoid", "Relu"],
                                    activation_alpha=[0.3]))
        self.assertEqual(source.metadata["gru.forward.gru.candidate"], "tanh")
        self.assertEqual(source.metadata["gru.backward.gru.candidate"], "relu")
        self.assertIn("gru.backward.weight_ih_l0_reverse", source.tensors)

    def test_refusals(self) -> None:
        wide = {"W": draw(1, 3 * H, I), "R": draw(1, 3 * H, H), "B": draw(1, 6 * H)}
        for words, path in (
                ("Cosine", lambda: self.one(activations=["Sigmoid", "Cosine"])),
                ("alpha not given", lambda: self.one(activations=["Sigmoid", "Affine"])),
                ("alpha not given", lambda: self.one(activations=["Sigmoid", "ThresholdedRelu"])),
                ("beta not given", lambda: self.one(activations=["ScaledTanh", "Tanh"], activation_alpha=[2.0])),
                ("another number than 0 for alpha", lambda: self.one(activations=["Sigmoid", "Affine"], activation_alpha=[0.0],
                                                                     activation_beta=[1.0])),
                ("alpha above 0", lambda: self.one(activations=["Sigmoid", "LeakyRelu"], activation_alpha=[-0.5])),
                ("alpha above 0", lambda: self.one(activations=["Elu", "Tanh"], activation_alpha=[-1.0])),
                ("clip is -1", lambda: self.one(clip=-1.0)),
                ("another number than 0 for beta", lambda: self.one(clip=1.0, activations=["HardSigmoid", "Tanh"],
                                                                    activation_beta=[0.0])),
                ("another number than 0 for alpha", lambda: self.one(activations=["HardSigmoid", "Tanh"],
                                                                     activation_alpha=[0.0])),
                ("R is [1, 12, 4], expected [1][15][5]", lambda: self.one(hidden_size=5)),
                ("R is [1, 12, 4], expected [2][12][4]", lambda: self.one(direction="bidirectional")),
                ("R is [2, 12, 4], expected [1][12][4]", lambda: self.one(2)),
                ("R is [1, 12, 3]", lambda: self.one(weights={**wide, "W": wide["R"], "R": wide["W"]})),
                ("B is [1, 12]", lambda: self.one(weights={**wide, "B": draw(1, 3 * H)})),
                ("direction is sideways", lambda: self.one(direction="sideways")),
                ("has 3 functions", lambda: self.one(activations=["Sigmoid"] * 3)),
                ("its input W (x) is no constant", lambda: self.save([self.gru("x x R B")], self.constant(**wide))),
                ("it has no input R", lambda: self.save([self.gru("x W")], self.constant(**wide)))):
            with self.subTest(words):
                self.refused(path(), words)
                self.refused(path(), "node gru")
        self.refused(self.save([self.helper.make_node("Identity", ["x"], ["y"])], []), "has no GRU")

    def test_types(self) -> None:
        wide = self.weights()
        for kind, name in ((np.float16, "F16"), (np.float64, "F64")):
            path = self.save([self.gru()], self.constant(**{key: array.astype(kind) for key, array in wide.items()}))
            self.assertEqual(self.converted(path).tensors["gru.weight_ih_l0"].dtype, name)
        bits = [self.helper.make_tensor(key, self.onnx.TensorProto.BFLOAT16, array.shape, array.ravel())
                for key, array in wide.items()]
        self.assertEqual(self.converted(self.save([self.gru()], bits)).tensors["gru.weight_ih_l0"].dtype, "BF16")

    def test_tensors_beside_a_gru(self) -> None:
        proto = self.onnx.TensorProto
        others = [self.tensor(np.arange(3), "numbers"), self.helper.make_tensor("words", proto.STRING, [1], [b"a"]),
                  self.helper.make_tensor("nibbles", proto.INT4, [2], [1, -1])]
        status, _, errors = self.run_command(self.save([self.gru()], [*self.constant(**self.weights()), *others]))
        self.assertEqual(status, 1)
        self.assertIn("left out: words", errors)
        self.assertIn("left out: nibbles", errors)

    # ---- constants ----------------------------------------------------------------------------------------------------------

    def test_constants_are_folded(self) -> None:
        make, wide = self.helper.make_node, self.weights()
        R = wide["R"][0]
        shuffled = np.concatenate([R[H:2 * H], R[:H], R[2 * H:]])
        nodes = [make("Slice", ["rzn", "h", "2h"], ["z"]), make("Slice", ["rzn", "0", "h"], ["r"]),
                 make("Slice", ["rzn", "2h", "3h"], ["n"]), make("Concat", ["z", "r", "n"], ["zrn"], axis=0),
                 make("Unsqueeze", ["zrn", "0"], ["R"]), make("Transpose", ["Wt"], ["W1"], perm=[0, 2, 1]),
                 make("Identity", ["W1"], ["W"]), make("Cast", ["B64"], ["B"], to=self.onnx.TensorProto.FLOAT), self.gru()]
        numbers = {name: np.array([k]) for name, k in (("0", 0), ("h", H), ("2h", 2 * H), ("3h", 3 * H))}
        path = self.save(nodes, self.constant(rzn=shuffled, Wt=wide["W"].transpose(0, 2, 1), B64=wide["B"].astype("f8"),
                                              **numbers))
        folded = self.good(path)
        plain = self.converted(self.one())
        self.assertEqual(set(folded.tensors), set(plain.tensors))
        for name, tensor in plain.tensors.items():
            np.testing.assert_array_equal(folded.tensors[name].bits, tensor.bits)

    def test_folding_large_weights(self) -> None:
        """As PyTorch exports them: the limit is for graphs that make much of little."""
        big = 512
        slices = [self.helper.make_node("Slice", ["r", f"at{k}", f"at{k + 1}"], [f"r{k}"]) for k in range(3)]
        nodes = [*slices, self.helper.make_node("Concat", ["r1", "r0", "r2"], ["joined"], axis=0),
                 self.helper.make_node("Unsqueeze", ["joined", "at0"], ["R"]),
                 self.gru("x W R", hidden_size=big)]
        given = {"r": np.zeros((3 * big, big), "f4"), "W": np.zeros((1, 3 * big, I), "f4"),
                 **{f"at{k}": np.array([k * big]) for k in range(4)}}
        self.converted(self.save(nodes, self.constant(**given)))

    def test_quantised_constants(self) -> None:
        wide = self.weights()
        nodes = [self.helper.make_node("DequantizeLinear", ["Wq", "s"], ["W"]), self.gru()]
        path = self.save(nodes, self.constant(Wq=np.rint(wide["W"] * 64).astype("i1"), s=np.float32(1 / 64), R=wide["R"],
                                              B=wide["B"]))
        np.testing.assert_array_equal(self.good(path).tensors["gru.weight_ih_l0"].bits,
                                      self.converted(self.one()).tensors["gru.weight_ih_l0"].bits)

    def test_a_constant_that_others_read_is_kept(self) -> None:
        nodes = [self.gru(), self.helper.make_node("Add", ["R", "R"], ["z"])]
        source = self.good(self.save(nodes, self.constant(**self.weights()), "y z"))
        self.assertIn("R", source.tensors)
        self.assertNotIn("W", source.tensors)

    def test_folding_has_a_limit(self) -> None:
        make = self.helper.make_node
        for name, node in (("ConstantOfShape", make("ConstantOfShape", ["shape"], ["W"])),
                           ("Expand", make("Expand", ["one", "shape"], ["W"])),
                           ("Tile", make("Tile", ["one", "shape"], ["W"]))):
            wide = self.weights()
            path = self.save([node, self.gru()], self.constant(shape=np.array([1, 1 << 20, 1 << 20]), R=wide["R"],
                                                               one=np.ones((1, 1, 1), "f4"), B=wide["B"]))
            with self.subTest(name):
                self.refused(path, "--limit")

    def test_deep_and_circular_graphs(self) -> None:
        """Constants of constants, each read twice; and nodes that read their own results."""
        make, wide = self.helper.make_node, self.weights()
        nodes = [make("Add", [f"a{k}", f"a{k}"], [f"a{k + 1}"]) for k in range(60)]
        path = self.save([*nodes, make("Mul", ["a60", "tiny"], ["W"]), self.gru()],
                         self.constant(a0=wide["W"], tiny=np.float32(2.0 ** -60), R=wide["R"], B=wide["B"]))
        np.testing.assert_array_equal(self.converted(path).tensors["gru.weight_ih_l0"].bits,
                                      self.converted(self.one()).tensors["gru.weight_ih_l0"].bits)
        self.refused(self.save([make("Identity", ["W"], ["W"]), self.gru()], self.constant(R=wide["R"], B=wide["B"])),
                     "is no constant")
        nodes = [self.gru("b W R B", "a0", "one"), make("Squeeze", ["a0", "1"], ["a"]), self.gru("a W R B", "b0", "two"),
                 make("Squeeze", ["b0", "1"], ["b"])]
        self.refused(self.save(nodes, self.constant(**self.weights(1, H), **{"1": np.array([1])}), "z"), "in a circle")

    def test_a_constant_state_is_noted(self) -> None:
        path = self.save([self.gru("x W R B - h0")], self.constant(**self.weights(), h0=draw(1, N, H)))
        status, _, errors = self.run_command(path)
        self.assertEqual(status, 0)
        self.assertIn("it starts from h0, a constant that differs by sequence", errors)

    def test_layout_1_is_noted(self) -> None:
        weights = self.constant(**self.weights())
        for layout in (0, 1):
            status, _, errors = self.run_command(self.save([self.gru(layout=layout)], weights))
            self.assertEqual((status, "its layout is 1" in errors), (0, layout == 1))

    def test_an_initial_state_of_all_sequences(self) -> None:
        state = draw(2, 1, H)
        given = {**self.weights(2), "h0": np.repeat(state, N, 1)}
        node = self.gru("x W R B - h0", direction="bidirectional", linear_before_reset=1)
        source = self.good(self.save([node], self.constant(**given)))
        self.assertEqual(source.metadata["gru.gru.initial_state"], "learned")
        for d, end in enumerate(("", "_reverse")):
            np.testing.assert_array_equal(source.tensors[f"gru.h0_l0{end}"].bits, state[d, 0])
        self.assertNotIn("h0", source.tensors)
        x = draw(T, N, I)
        self.assertGreater(np.abs(self.numbers(source, "gru.", x)[0]).max(), 0)
        given["h0"] = given["h0"].astype("f8")
        self.refused(self.save([node], self.constant(**given)), "h0 has the type F64 and weight_ih F32")

    def test_data_in_other_files(self) -> None:
        path = self.one()
        model = self.onnx.load(path)
        self.onnx.save(model, path, save_as_external_data=True, location="data.bin", size_threshold=0)
        self.good(path)
        (self.folder / "data.bin").unlink()
        self.refused(path, "no file in the model's folder")
        for location in ("../secret", "/etc/passwd", ""):
            for tensor in model.graph.initializer:
                tensor.data_location = self.onnx.TensorProto.EXTERNAL
                del tensor.external_data[:]
                tensor.external_data.add(key="location", value=location)
            path.write_bytes(model.SerializeToString())
            self.refused(path, "no file in the model's folder")

    # ---- graphs ---------------------------------------------------------------------------------------------------------------

    def branch(self, name: str, end: str, inside: bool) -> Any:
        """A graph of one GRU, whose weights are its own or the outer graph's."""
        value = self.helper.make_tensor_value_info(f"y{end}", self.onnx.TensorProto.FLOAT, None)
        return self.helper.make_graph([self.gru(f"x W{end} R{end} B{end}", f"y{end}", name="gru")], name, [], [value],
                                      self.constant(**self.weights(end=end)) if inside else [])

    def test_grus_in_branches(self) -> None:
        node = self.helper.make_node("If", ["c"], ["y"], name="choice", then_branch=self.branch("a", "1", True),
                                     else_branch=self.branch("b", "2", False))
        path = self.save([node], self.constant(c=np.array(True), **self.weights(end="2")))
        source = self.good(path)
        self.assertIn("choice/then_branch/gru.weight_ih_l0", source.tensors)
        self.assertIn("choice/else_branch/gru.weight_ih_l0", source.tensors)
        self.assertNotIn("W2", source.tensors)

    def test_branches_of_one_name(self) -> None:
        value, kind = self.helper.make_tensor_value_info, self.onnx.TensorProto.FLOAT

        def branch(number: int) -> Any:
            extra = {"extra": np.full(2, number, "f4")}
            return self.helper.make_graph([self.gru("x W R")], "b", [], [value("y", kind, None)],
                                          self.constant(**{**self.weights(), **extra}))
        nodes = [self.helper.make_node("If", ["c"], [f"p{k}"], name="if", then_branch=branch(2 * k),
                                       else_branch=branch(2 * k + 1)) for k in range(2)]
        nodes.append(self.helper.make_node("Add", ["p0", "p1"], ["y"]))
        source = self.converted(self.save(nodes, self.constant(c=np.array(True))))
        extras = [tensor.bits[0] for name, tensor in source.tensors.items() if name.endswith("extra")]
        self.assertEqual(sorted(extras), [0, 1, 2, 3])

    def test_two_tensors_of_one_name(self) -> None:
        self.refused(self.save([self.gru()], self.constant(**self.weights()) + self.constant(B=draw(1, 6 * H))),
                     "two tensors called B")

    def test_names(self) -> None:
        """Nodes without a name go by their output; of equal names the second gets a number."""
        nodes = [self.gru(outputs="a", name=""), self.gru(outputs="b", name="n"), self.gru(outputs="c", name="n")]
        source = self.converted(self.save(nodes, self.constant(**self.weights()), "a b c"))
        for prefix in ("a.", "n.", "n_2."):
            self.assertIn(f"{prefix}weight_ih_l0", source.tensors)

    def chain(self, between: list[Any], directions: int = 1, outputs: str = "y", constants: Any = None, **second: Any) -> Path:
        direction = "bidirectional" if directions == 2 else "forward"
        nodes = [self.gru("x W1 R1 B1", "s0", "one", direction=direction), *between,
                 self.gru("s W2 R2 B2", "y", "two", direction=direction, **second)]
        wide = {**self.weights(directions, I, "1"), **self.weights(directions, directions * H, "2")}
        return self.save(nodes, self.constant(**wide, **(constants or {})), outputs)

    def test_chains_are_stacks(self) -> None:
        make = self.helper.make_node
        squeeze = [make("Squeeze", ["s0", "a"], ["s"])]
        together = [make("Transpose", ["s0"], ["t"], perm=[0, 2, 1, 3]), make("Reshape", ["t", "shape"], ["s"])]
        axis, flat = {"a": np.array([1])}, {"shape": np.array([0, 0, -1])}
        for between, directions, constants in ((squeeze, 1, axis), (together, 1, flat), (together, 2, flat)):
            source = self.good(self.chain(between, directions, constants=constants))
            self.assertIn("one.weight_hh_l1", source.tensors)
        # different functions in two layers, each with its own words
        source = self.good(self.chain(squeeze, constants=axis, linear_before_reset=1))
        self.assertEqual((source.metadata["one.gru.l0.reset"], source.metadata["one.gru.l1.reset"]), ("before", "after"))

    def test_chains_that_are_no_stacks(self) -> None:
        make = self.helper.make_node
        squeeze, axis = [make("Squeeze", ["s0", "a"], ["s"])], {"a": np.array([1])}
        cases = [self.chain(squeeze, outputs="y s", constants=axis)]                     # somebody wants what is between
        swapped = [make("Transpose", ["s0"], ["t"], perm=[0, 2, 1, 3]), make("Relu", ["t"], ["u"]),
                   make("Reshape", ["u", "shape"], ["s"])]
        for path in (*cases,):
            self.assertIn("two.weight_hh_l0", self.good(path).tensors)
        for between, constants in ((swapped, {"shape": np.array([0, 0, -1])}),           # another function between
                                   ([make("Reshape", ["s0", "shape"], ["s"])], {"shape": np.array([0, 0, -1])}),
                                   ([*squeeze, make("Neg", ["s0"], ["z"])], axis)):      # a second reader
            path = self.chain(between, outputs="y z" if len(between) == 2 else "y", constants=constants)
            self.assertIn("two.weight_hh_l0", self.good(path).tensors)


if __name__ == "__main__":
    unittest.main()
