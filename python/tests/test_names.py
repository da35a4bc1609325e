"""PyTorch's names in npz, safetensors and .pt files: which tensors make a GRU, and what is refused."""
from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import numpy as np

from extra import Fake, Unknown, write_pt
from tools import Case

from libgru.convert import safetensors
from libgru.convert.tensor import Tensor

I, H = 2, 3


def draw(*shape: int, dtype: str = "f4") -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def gru(prefix: str = "", layer: int = 0, end: str = "", inputs: int = I) -> dict[str, Any]:
    return {f"{prefix}weight_ih_l{layer}{end}": draw(3 * H, inputs), f"{prefix}weight_hh_l{layer}{end}": draw(3 * H, H),
            f"{prefix}bias_ih_l{layer}{end}": draw(3 * H), f"{prefix}bias_hh_l{layer}{end}": draw(3 * H)}


class Names(Case):
    def npz(self, arrays: dict[str, Any]) -> Path:
        path = self.folder / "model.npz"
        np.savez(path, **arrays)
        return path

    def pt(self, value: Any) -> Path:
        path = self.folder / "model.pt"
        write_pt(path, value)
        return path

    def same(self, source: Any, name: str, array: Any) -> None:
        np.testing.assert_array_equal(source.tensors[name].bits, array)

    def test_single_cells(self) -> None:
        for prefix, names in (("enc.", "enc_w_ih enc_w_hh enc_b_ih enc_b_hh"), ("cell.", "cell.weight_ih cell.weight_hh "
                              "cell.bias_ih cell.bias_hh"), ("", "weight_ih weight_hh bias_ih bias_hh")):
            arrays = dict(zip(names.split(), gru().values()))
            source = self.converted(self.npz(arrays))
            for part, array in gru().items():
                self.same(source, prefix + part, array)

    def test_lstm_and_rnn_pass_through(self) -> None:
        others = {"lstm.weight_hh_l0": draw(4 * H, H), "rnn.weight_hh_l0": draw(H, H), "lstm_w_ih": draw(4 * H, I),
                  # an LSTM of 3 units, projected to 4: its shape alone is a GRU's
                  "p.weight_hh_l0": draw(12, 4), "p.weight_ih_l0": draw(12, 4), "p.weight_hr_l0": draw(4, 3)}
        source = self.converted(self.npz({**gru("g."), **others}))
        for name, array in others.items():
            self.same(source, name, array)
        self.assertIn("g.gru.reset", source.metadata)
        self.assertNotIn("p.gru.reset", source.metadata)

    def test_one_bias_gets_zeros_on_the_other_side(self) -> None:
        arrays = gru()
        del arrays["bias_hh_l0"]
        self.same(self.converted(self.npz(arrays)), "bias_hh_l0", np.zeros(3 * H))

    def test_map_and_set(self) -> None:
        source = self.converted(self.npz({**gru("a."), "table": draw(5, 4)}), "--map", "table=embedding", "--set",
                                "a.gru.reset=before")
        self.same(source, "embedding", draw(5, 4))
        self.assertEqual(source.metadata["a.gru.reset"], "before")

    def test_metadata_follows_a_renamed_gru(self) -> None:
        self.converted(self.npz(gru("a.")), "--set", "a.gru.reset=before", "--set", "a.gru.clip=2")
        path = self.output.rename(self.folder / "input.safetensors")
        maps = [word for name in gru("a.") for word in ("--map", f"{name}=b{name[1:]}")]
        metadata = self.converted(path, *maps).metadata
        self.assertEqual((metadata["b.gru.reset"], metadata["b.gru.clip"]), ("before", "2"))
        self.assertFalse([key for key in metadata if key.startswith("a.")])
        self.refused(path, "rename all of it", *maps[:2])
        self.refused(path, "only its prefix can change", "--map", "a.weight_ih_l0=a.weight_ih_l1")

    def test_names_of_two_lines(self) -> None:
        self.assertIn("a\nb.gru.reset", self.converted(self.npz(gru("a\nb."))).metadata)

    def test_metadata_is_checked(self) -> None:
        path = self.npz({**gru("a."), **gru("b.c.")})
        for words, given in (("names no option", "a.gru.rezet=after"), ("not there", "a.gru.l7.reset=after"),
                             ("expected after", "a.gru.reset=later"), ("single precision", "a.gru.clip=1e-50"),
                             ("single precision", "a.gru.clip=much"),
                             ("single precision", "a.gru.clip=.5"), ("above 0", "a.gru.hard_slope=0"),
                             ("expected zeros, learned", "a.gru.initial_state=one"),
                             ("names no option", "a.gru.l0.initial_state=zeros"),
                             ("there is no tensor a.h0_l0", "a.gru.initial_state=learned"), ("below 1", "a.gru.dropout=1"),
                             ("no GRU with the prefix", "d.gru.reset=before")):
            with self.subTest(given):
                self.refused(path, words, "--set", given)
        source = self.converted(path, "--set", "a.gru.l0.gate=hard_sigmoid", "--set", "b.c.gru.clip=0.5", "--set", "x=y")
        self.assertEqual((source.metadata["b.c.gru.clip"], source.metadata["x"]), ("0.5", "y"))

    def test_metadata_of_nobody(self) -> None:
        path = self.folder / "model.safetensors"
        for key, words in (("b.gru.reset", "is of a GRU with the prefix 'b.'"), ("gru.l0.clip", "with the prefix ''")):
            safetensors.write(path, {name: Tensor.of(array) for name, array in gru("a.").items()}, {key: "after"})
            self.refused(path, words)
        safetensors.write(path, {name: Tensor.of(array) for name, array in gru("a.").items()}, {"a.gru.l0.reverse.reset": "all"})
        self.refused(path, "a.gru.l0.reverse.reset is of one direction alone")
        safetensors.write(path, {name: Tensor.of(array) for name, array in gru("a.").items()}, {"b.gru.note": "after"})
        self.assertEqual(self.converted(path).metadata["b.gru.note"], "after")

    def test_learned_initial_states(self) -> None:
        arrays = {**gru("a."), **gru("a.", 0, "_reverse"), **gru("a.", 1, "", 2 * H), **gru("a.", 1, "_reverse", 2 * H)}
        state = draw(4, 1, H)
        path = self.npz({**arrays, "start": state})
        self.assertNotIn("a.gru.initial_state", self.converted(path).metadata)
        source = self.converted(path, "--initial-state", "start=a.")
        self.assertEqual(source.metadata["a.gru.initial_state"], "learned")
        self.assertNotIn("start", source.tensors)
        for row, name in enumerate(("l0", "l0_reverse", "l1", "l1_reverse")):
            self.same(source, f"a.h0_{name}", state[row, 0])
        first = self.numbers(source, "a.", draw(5, 2, I))    # numpy's and, where it is built, the library's
        again = self.converted(self.output.rename(self.folder / "again.safetensors"))
        self.assertEqual(sorted(again.tensors), sorted(source.tensors))
        np.testing.assert_array_equal(self.numbers(again, "a.", draw(5, 2, I)), first)
        self.refused(path, "there is no tensor begin", "--initial-state", "begin=a.")
        self.refused(path, "there is no GRU with the prefix 'b.'", "--initial-state", "start=b.")
        self.refused(self.npz({**arrays, "start": state[:3]}), "expected [4][H]", "--initial-state", "start=a.")
        self.refused(self.npz({**arrays, "start": draw(4, 5)}), "h0 is [5], expected [3]", "--initial-state", "start=a.")
        self.refused(self.npz({**arrays, "start": state.astype("f8")}), "type F64", "--initial-state", "start=a.")

    def test_refusals(self) -> None:
        def without(name: str) -> dict[str, Any]:
            return {key: array for key, array in gru().items() if key != name}
        cases = {
            "has no weight_ih": without("weight_ih_l0"),
            "has no weight_hh": {**gru(), **{k: v for k, v in gru("", 1, "", H).items() if k != "weight_hh_l1"}},
            "layer 1 is missing": {**gru(), **gru("", 2, "", H)},
            "reads 5 numbers": {**gru(), **gru("", 1, "", 5)},
            "different sizes": {**gru(), **gru("", 0, "_reverse", 5)},
            "expected [9]": {**gru(), "bias_ih_l0": draw(8)},
            "type F64 and weight_ih F32": {**gru(), "bias_ih_l0": draw(9, dtype="f8")},
            "the type I64": {name: array.astype("i8") for name, array in gru().items()},
            "has no GRU": {"a": draw(2)},
            "spectral": {},
            "second weight_ih": {**gru("x."), "x.weight_ih": draw(9, I)},
        }
        cases["spectral"] = {**without("weight_hh_l0"), "weight_hh_l0_orig": draw(9, 3), "weight_hh_l0_u": draw(9)}
        for words, arrays in cases.items():
            with self.subTest(words):
                self.refused(self.npz(arrays), "parametrized" if words == "spectral" else words)
        self.refused(self.npz(gru()), "there is no tensor x", "--map", "x=y")

    def test_weight_norm_and_pruning(self) -> None:
        v, g = draw(9, 3), draw(9, 1)
        wanted = g * v / np.sqrt((v.astype("f8") ** 2).sum(1, keepdims=True))
        arrays = {name: array for name, array in gru().items() if name != "weight_hh_l0"}
        for parts in ({"weight_hh_l0_g": g, "weight_hh_l0_v": v}, {"parametrizations.weight_hh_l0.original0": g,
                                                                   "parametrizations.weight_hh_l0.original1": v}):
            source = self.converted(self.npz({**arrays, **parts}))
            np.testing.assert_allclose(source.tensors["weight_hh_l0"].bits, wanted, rtol=2e-7)
            self.assertFalse(set(parts) & set(source.tensors))
        mask = np.eye(9, 3, dtype="f4")
        source = self.converted(self.npz({**arrays, "weight_hh_l0_orig": v, "weight_hh_l0_mask": mask}))
        self.same(source, "weight_hh_l0", v * mask)
        self.refused(self.npz({**arrays, "weight_hh_l0_g": draw(7, 1), "weight_hh_l0_v": v}), "do not fit")

    def test_a_state_dict_under_any_key(self) -> None:
        state = {name: Fake(array) for name, array in gru("net.").items()}
        source = self.converted(self.pt({"best so far": state, "steps": 7, "optimiser": [{"m": Fake(draw(2))}]}))
        self.same(source, "net.weight_ih_l0", draw(9, I))
        self.same(source, "optimiser.0.m", draw(2))
        source = self.converted(self.pt({"a": state, "b": state}))    # two models: both keep their keys
        self.assertIn("a.net.weight_ih_l0", source.tensors)
        self.assertIn("b.net.weight_hh_l0", source.tensors)

    def test_tensors_in_unknown_objects_are_named(self) -> None:
        state = {name: Fake(array) for name, array in gru().items()}
        for value in (Unknown(Fake(draw(2))), Unknown(1, (2, [Fake(draw(2))]), {"a": 3}), Unknown({"a": Unknown(Fake(draw(2)))})):
            status, _, errors = self.run_command(self.pt({**state, "strange": value}))
            self.assertEqual(status, 1)
            self.assertIn("left out: strange: it is an object of somewhere.Unknown", errors)
        self.converted(self.pt({**state, "strange": Unknown(Fake(draw(2)))}), "--gru-only")

    def test_views(self) -> None:
        whole = draw(9, 6)
        state = {**{name: Fake(array) for name, array in gru().items()},
                 "weight_ih_l0": Fake(whole, shape=(9, I), strides=(6, 3))}
        self.same(self.converted(self.pt(state)), "weight_ih_l0", whole[:, ::3])


if __name__ == "__main__":
    unittest.main()
