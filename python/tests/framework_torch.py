"""PyTorch's files as PyTorch writes them, and GRUs that it exports to ONNX."""
from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from tools import Case

from libgru.convert import rnn
from libgru.convert.verify import drawn


def modules() -> dict[str, nn.Module]:
    torch.manual_seed(5)
    return {
        "plain": nn.GRU(3, 4), "stacked": nn.GRU(3, 4, 3), "both": nn.GRU(3, 4, 2, bidirectional=True),
        "no_bias": nn.GRU(3, 4, bias=False), "cell": nn.GRUCell(3, 4), "half": nn.GRU(3, 4).half(),
        "bfloat": nn.GRU(3, 4).bfloat16(), "double": nn.GRU(3, 4).double(),
        "old_norm": nn.utils.weight_norm(nn.utils.weight_norm(nn.GRU(3, 4), "weight_hh_l0"), "weight_ih_l0"),
        "new_norm": nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_ih_l0", dim=1),
        "whole_norm": nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0", dim=None),
        "pruned": prune.l1_unstructured(nn.GRU(3, 4), "weight_hh_l0", 0.5),
    }


def state(module: nn.Module) -> dict[str, Any]:
    """Beside an LSTM, a plain RNN and an embedding, under a name."""
    others = {"lstm": nn.LSTM(3, 4, proj_size=3), "rnn": nn.RNN(3, 4), "embedding": nn.Embedding(5, 3)}
    return nn.ModuleDict({"net": module, **others}).state_dict()


class Torch(Case):
    def check(self, path: Path) -> None:
        status, out, errors = self.run_command(path, "--verify")
        self.assertEqual(status, 0, f"{path.name}: {out} {errors}")
        source = self.converted(path)
        self.assertEqual(rnn.prefixes(source), ["net."])
        self.numbers(source, "net.", drawn(3))

    def test_files(self) -> None:
        for name, module in modules().items():
            tensors = state(module)
            writers = {
                ".pt": lambda path: torch.save(tensors, path),
                ".pth": lambda path: torch.save(tensors, path, _use_new_zipfile_serialization=False),
                ".tar": lambda path: torch.save({"epoch": 3, "best": tensors, "notes": ["a", {"b": 1.5}]}, path),
                ".safetensors": lambda path: save_file({key: value.contiguous() for key, value in tensors.items()}, path)}
            for ending, write in writers.items():
                path = self.folder / f"{name}{ending}"
                write(path)
                with self.subTest(path.name):
                    self.check(path)

    def test_one_more_tensor(self) -> None:
        for name, module in modules().items():
            tensors = state(module)
            for new in (True, False):
                path = self.folder / f"{name}.pt"
                torch.save(tensors, path, _use_new_zipfile_serialization=new)
                before = self.converted(path)
                torch.save({**tensors, "one.more": torch.ones(2, 3)}, path, _use_new_zipfile_serialization=new)
                after = self.converted(path)
                self.assertEqual(set(after.tensors) - set(before.tensors), {"one.more"})
                np.testing.assert_array_equal(after.tensors["one.more"].bits, np.ones((2, 3)))

    def test_checkpoint_with_an_optimiser(self) -> None:
        module = nn.Sequential(nn.GRU(3, 4))
        optimiser = torch.optim.Adam(module.parameters())
        module(torch.zeros(2, 1, 3))[0].sum().backward()
        optimiser.step()
        path = self.folder / "x.tar"
        torch.save({"model_state": module.state_dict(), "optim": optimiser.state_dict()}, path)
        source = self.converted(path)
        self.assertIn("0.weight_hh_l0", source.tensors)
        self.assertIn("optim.state.0.exp_avg", source.tensors)
        self.assertFalse([name for name in self.converted(path, "--drop", "optim.*").tensors if name.startswith("optim")])

    def test_what_is_no_plain_tensor_is_named(self) -> None:
        path = self.folder / "x.pt"
        torch.save({**state(nn.GRU(3, 4)), "sparse": torch.eye(3).to_sparse(), "complex": torch.zeros(2, dtype=torch.cdouble),
                    "array": np.zeros(2)}, path)
        status, _, errors = self.run_command(path)
        self.assertEqual(status, 1)
        for name in ("sparse", "complex", "array"):
            self.assertIn(f"left out: {name}", errors)

    def test_spectral_norm_is_refused(self) -> None:
        path = self.folder / "x.pt"
        torch.save(nn.utils.parametrizations.spectral_norm(nn.GRU(3, 4), "weight_hh_l0").state_dict(), path)
        self.refused(path, "remove the parametrization")


class Exported(Case):
    def export(self, dynamo: bool, H: int, layers: int, both: bool, batch_first: bool) -> Path:
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.gru = nn.GRU(3, H, layers, bidirectional=both, batch_first=batch_first, dropout=0.1 * (layers > 1))
                self.head = nn.Linear(H * (1 + both), 2)

            def forward(self, x: Any) -> Any:
                y, states = self.gru(x)
                return self.head(y), states
        path = self.folder / "model.onnx"
        more = {"external_data": False} if dynamo else {}
        torch.onnx.export(Model().eval(), (torch.zeros(2, 5, 3),), str(path), dynamo=dynamo, verbose=False, **more)
        return path

    def test_exports(self) -> None:
        for dynamo in (False, True):
            for H, layers, both, batch_first in ((64, 1, False, True), (4, 2, False, False), (4, 3, True, True)):
                with self.subTest(dynamo=dynamo, H=H, layers=layers, both=both):
                    path = self.export(dynamo, H, layers, both, batch_first)
                    status, out, errors = self.run_command(path, "--verify")
                    self.assertEqual(status, 0, out + errors)
                    source = self.converted(path)
                    found = rnn.prefixes(source)
                    self.assertEqual(len(found), 1)
                    self.assertEqual(len(rnn.load(source, found[0])), layers)
                    self.numbers(source, found[0], drawn(3))


if __name__ == "__main__":
    unittest.main()
