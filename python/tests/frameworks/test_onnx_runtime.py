"""libgru's operator in ONNX Runtime beside ONNX Runtime's own, and the rewriter."""
from __future__ import annotations

import threading
import unittest
import unittest.mock
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import gru as own_cases

import libgru
import libgru.onnx

RANDOM = np.random.default_rng(0)
FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32


def draw(*shape: int) -> Any:
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def session(model: Any, ours: bool = True) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if ours:
        libgru.onnx.register(options)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def model_of(nodes: list[Any], inputs: dict[str, tuple[int, Any]], outputs: list[str], constants: dict[str, Any],
             functions: Any = ()) -> Any:
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
                              [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
                              [numpy_helper.from_array(array, name) for name, array in constants.items()])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("own", 1)] if functions else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def gru(direction: str = "forward", I: int = 3, H: int = 5, lengths: bool = False, h0: bool = True, bias: bool = True,
        fixed: bool = True, **attributes: Any) -> Any:
    """A model of one node. fixed: its weights are initializers, else inputs of the model."""
    D = 2 if direction == "bidirectional" else 1
    weights = {"W": draw(D, 3 * H, I), "R": draw(D, 3 * H, H), **({"B": draw(D, 6 * H)} if bias else {})}
    inputs: dict[str, Any] = {"X": (FLOAT, ["T", "N", I])}
    if lengths:
        inputs["L"] = (INT32, ["N"])
    if h0:
        inputs["h0"] = (FLOAT, [D, "N", H])
    if not fixed:
        inputs.update({name: (FLOAT, array.shape) for name, array in weights.items()})
    node = helper.make_node("GRU", ["X", "W", "R", "B" if bias else "", "L" if lengths else "", "h0" if h0 else ""], ["Y", "hT"],
                            name="gru", hidden_size=H, direction=direction, **attributes)
    return model_of([node], inputs, ["Y", "hT"], weights if fixed else {}), weights


class Values(unittest.TestCase):
    def compare(self, model: Any, feed: dict[str, Any], most: float = 2e-6) -> list[Any]:
        rewritten = libgru.onnx.rewrite(model)
        self.assertEqual((rewritten.moved, rewritten.left), (["gru"], []))
        self.assertEqual(model.graph.node[0].domain, "")    # it is not changed
        wanted, found = session(model, False).run(None, feed), session(rewritten.model).run(None, feed)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=most)
        return found

    def test_directions_resets_and_inputs(self) -> None:
        for direction in ("forward", "reverse", "bidirectional"):
            for reset in (0, 1):
                for lengths, h0, bias, fixed in ((0, 0, 0, 1), (1, 1, 1, 1), (1, 0, 1, 0), (0, 1, 0, 0)):
                    model, weights = gru(direction, lengths=bool(lengths), h0=bool(h0), bias=bool(bias), fixed=bool(fixed),
                                         linear_before_reset=reset)
                    feed = {"X": draw(6, 4, 3), **({} if fixed else weights)}
                    if lengths:
                        feed["L"] = np.array([6, 2, 4, 1], np.int32)
                    if h0:
                        feed["h0"] = draw(2 if direction == "bidirectional" else 1, 4, 5)
                    with self.subTest(direction=direction, reset=reset, lengths=lengths, h0=h0, fixed=fixed):
                        self.compare(model, feed)

    def test_functions_and_clip(self) -> None:
        for names, given in ((["HardSigmoid", "Relu"], {}), (["Sigmoid", "LeakyRelu"], {"activation_alpha": [0.25]}),
                             (["HardSigmoid", "Elu"], {"activation_alpha": [0.3, 0.5], "activation_beta": [0.4]}),
                             (["Sigmoid", "Softsign"], {}), (["Sigmoid", "Softplus"], {})):
            with self.subTest(names=names):
                self.compare(gru(activations=names, **given)[0], {"X": draw(4, 3, 3), "h0": draw(1, 3, 5)})
        self.compare(gru(clip=0.5)[0], {"X": draw(4, 3, 3), "h0": draw(1, 3, 5)})
        both = ["Sigmoid", "Tanh", "HardSigmoid", "Relu"]
        self.compare(gru("bidirectional", activations=both)[0], {"X": draw(4, 3, 3), "h0": draw(2, 3, 5)})

    def test_batch_first(self) -> None:
        """ONNX Runtime has no layout 1 on the CPU: the same with all axes turned."""
        turned, weights = gru("bidirectional", lengths=True, layout=1)
        turned.graph.input[2].type.tensor_type.shape.CopyFrom(helper.make_tensor_type_proto(FLOAT, ["N", 2, 5]).tensor_type.shape)
        node = turned.graph.node[0]
        plain = onnx.ModelProto()
        plain.CopyFrom(turned)
        plain.graph.node[0].attribute.remove(next(a for a in node.attribute if a.name == "layout"))
        plain.graph.input[2].type.tensor_type.shape.CopyFrom(helper.make_tensor_type_proto(FLOAT, [2, "N", 5]).tensor_type.shape)
        x, h0, L = draw(4, 3, 3), draw(2, 3, 5), np.array([4, 1, 3], np.int32)
        Y, hT = session(plain, False).run(None, {"X": x, "h0": h0, "L": L})
        found = session(libgru.onnx.rewrite(turned).model).run(None, {"X": x.swapaxes(0, 1), "h0": h0.swapaxes(0, 1), "L": L})
        np.testing.assert_allclose(found[0], Y.transpose(2, 0, 1, 3), rtol=0, atol=2e-6)
        np.testing.assert_allclose(found[1], hT.swapaxes(0, 1), rtol=0, atol=2e-6)

    def test_one_output_and_no_sequences(self) -> None:
        model, _ = gru()
        model.graph.node[0].output[0] = ""
        del model.graph.output[0]
        self.compare(model, {"X": draw(4, 3, 3), "h0": draw(1, 3, 5)})
        empty = session(libgru.onnx.rewrite(gru()[0]).model).run(None, {"X": draw(4, 0, 3), "h0": draw(1, 0, 5)})
        self.assertEqual([array.shape for array in empty], [(4, 1, 0, 5), (1, 0, 5)])

    def test_a_row_has_the_same_bits_in_every_batch(self) -> None:
        model = session(libgru.onnx.rewrite(gru(H=40)[0], threads=2).model)
        x, h0 = draw(7, 9, 3), draw(1, 9, 40)
        whole = model.run(None, {"X": x, "h0": h0})[0]
        alone = model.run(None, {"X": x[:, 4:5], "h0": h0[:, 4:5]})[0]
        self.assertTrue(np.array_equal(whole[:, :, 4:5], alone))

    def test_threads_share_a_session(self) -> None:
        for fixed in (True, False):
            model, weights = gru("bidirectional", fixed=fixed)
            shared, feed = session(libgru.onnx.rewrite(model).model), {"X": draw(6, 4, 3), "h0": draw(2, 4, 5)}
            feed.update({} if fixed else weights)
            found: list[Any] = []
            threads = [threading.Thread(target=lambda: found.extend(shared.run(None, feed)[0] for _ in range(50))) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(found), 200)
            self.assertTrue(all(np.array_equal(y, found[0]) for y in found))

    def test_other_weights_in_each_run(self) -> None:
        model, _ = gru(fixed=False)
        ours, theirs = session(libgru.onnx.rewrite(model).model), session(model, False)
        for _ in range(3):
            feed = {"X": draw(4, 2, 3), "h0": draw(1, 2, 5), "W": draw(1, 15, 3), "R": draw(1, 15, 5), "B": draw(1, 30)}
            np.testing.assert_allclose(ours.run(None, feed)[0], theirs.run(None, feed)[0], rtol=0, atol=2e-6)


class Refusals(unittest.TestCase):
    def reasons(self, model: Any) -> list[str]:
        rewritten = libgru.onnx.rewrite(model)
        self.assertEqual(rewritten.moved, [])
        return [left.reason for left in rewritten.left]

    def test_what_stays(self) -> None:
        wide, _ = gru()
        for initializer in wide.graph.initializer:
            initializer.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(initializer).astype(np.float64), initializer.name))
        self.assertIn("W is double, and the operator computes in float", self.reasons(wide)[0])
        self.assertIn("Softmax", self.reasons(gru(activations=["Sigmoid", "Softmax"])[0])[0])
        self.assertIn("the number that is not given", self.reasons(gru(activations=["Sigmoid", "ThresholdedRelu"])[0])[0])
        self.assertIn("activations has 1 functions, expected 2", self.reasons(gru(activations=["Sigmoid"])[0])[0])
        self.assertIn("direction is up", self.reasons(gru("up")[0])[0])
        self.assertIn("clip is -1", self.reasons(gru(clip=-1.0)[0])[0])
        self.assertIn("colour", self.reasons(gru(colour=1)[0])[0])
        missing, _ = gru()
        missing.graph.node[0].input[2] = ""
        self.assertEqual(self.reasons(missing), ["it has no input X, W or R"])
        self.assertEqual(libgru.onnx.rewrite(model_of([], {"X": (FLOAT, [1])}, [], {})).left, [])

    def test_functions_of_the_model_stay_and_say_so(self) -> None:
        inner = helper.make_node("GRU", ["x", "w", "r"], ["y"], hidden_size=5)
        function = helper.make_function("own", "layer", ["x", "w", "r"], ["y"], [inner], [helper.make_opsetid("", 17)])
        outer = helper.make_node("layer", ["X", "W", "R"], ["Y"], domain="own")
        model = model_of([outer], {"X": (FLOAT, ["T", "N", 3])}, ["Y"], {"W": draw(1, 15, 3), "R": draw(1, 15, 5)}, [function])
        self.assertEqual([left.name for left in libgru.onnx.rewrite(model).left], ["layer/GRU"])
        inlined = onnx.inliner.inline_local_functions(model)
        self.assertEqual(len(libgru.onnx.rewrite(inlined).moved), 1)

    def test_nodes_in_branches_move(self) -> None:
        branches = {}
        for name in ("then_branch", "else_branch"):
            node = helper.make_node("GRU", ["X", "W", "R"], [f"y_{name}"], name=name, hidden_size=5)
            branches[name] = helper.make_graph([node], name, [], [helper.make_tensor_value_info(f"y_{name}", FLOAT, None)])
        choose = helper.make_node("If", ["c"], ["Y"], name="choose", **branches)
        model = model_of([choose], {"X": (FLOAT, ["T", "N", 3]), "c": (TensorProto.BOOL, [])}, ["Y"],
                         {"W": draw(1, 15, 3), "R": draw(1, 15, 5)})
        rewritten = libgru.onnx.rewrite(model)
        self.assertEqual(sorted(rewritten.moved), ["choose/else_branch/else_branch", "choose/then_branch/then_branch"])
        feed = {"X": draw(4, 2, 3), "c": np.array(True)}
        np.testing.assert_allclose(session(rewritten.model).run(None, feed)[0], session(model, False).run(None, feed)[0], rtol=0,
                                   atol=2e-6)

    def test_wrong_arguments(self) -> None:
        for given, words in ((3, "model is a int"), (gru()[0], "threads is -1")):
            with self.assertRaisesRegex(libgru.BadArgument, words):
                libgru.onnx.rewrite(given, threads=-1)
        with self.assertRaisesRegex(FileNotFoundError, "nowhere"):
            libgru.onnx.rewrite("/nowhere.onnx")

    def test_wrong_inputs_of_a_session(self) -> None:
        """A sentence, and the session goes on."""
        model, weights = gru(fixed=False, lengths=True)
        for value in (*model.graph.input[3:], *model.graph.input[:3]):
            value.type.tensor_type.ClearField("shape")
        shared = session(libgru.onnx.rewrite(model).model)
        feed = {"X": draw(4, 2, 3), "h0": draw(1, 2, 5), "L": np.array([4, 2], np.int32), **weights}
        wanted = shared.run(None, feed)[0]
        for name, array, words in (("X", draw(4, 2), "X, with 3 dimensions"), ("X", draw(4, 2, 4), "W has 3 dimensions .1..15..3., exp"),
                                   ("R", draw(1, 15, 4), "R has 3 dimensions"), ("B", draw(1, 29), "B has 2"),
                                   ("h0", draw(1, 3, 5), "initial_h has"), ("L", np.array([4], np.int32), "sequence_lens has"),
                                   ("L", np.array([4, 5], np.int32), "lengths"), ("L", np.array([4, -1], np.int32), "lengths")):
            with self.assertRaisesRegex(Exception, words):
                shared.run(None, {**feed, name: array})
        with self.assertRaisesRegex(Exception, "counts.0. is 60, expected 45"):
            shared.run(None, {**feed, "X": draw(4, 2, 4), "W": draw(1, 15, 4)})
        self.assertTrue(np.array_equal(shared.run(None, feed)[0], wanted))

    def test_a_node_written_by_hand_needs_all_attributes(self) -> None:
        made = libgru.onnx.rewrite(gru()[0]).model
        attributes = made.graph.node[0].attribute
        attributes.remove(next(a for a in attributes if a.name == "gate_0"))
        with self.assertRaisesRegex(Exception, "gate_0"):
            session(made)


class NodeCases(unittest.TestCase):
    def check(self, node: Any, inputs: list[Any], outputs: list[Any], name: str) -> None:
        given = dict(zip(filter(None, node.input), inputs, strict=True))
        names = [output for output in node.output if output]
        model = model_of([node], {key: (FLOAT, array.shape) for key, array in given.items()}, names, {})
        rewritten = libgru.onnx.rewrite(model)
        self.assertEqual(len(rewritten.moved), 1, name)
        for found, wanted in zip(session(rewritten.model).run(None, given), outputs, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6, err_msg=name)
        self.count += 1

    def test_onnx_s_own_cases(self) -> None:
        """Those of the package onnx, with the numbers that they expect."""
        self.count = 0
        with unittest.mock.patch.object(own_cases, "expect", lambda node, inputs, outputs, name: self.check(node, inputs, outputs, name)):
            for name in dir(own_cases.GRU):
                if name.startswith("export"):
                    getattr(own_cases.GRU, name)()
        self.assertGreaterEqual(self.count, 6)


if __name__ == "__main__":
    unittest.main()
