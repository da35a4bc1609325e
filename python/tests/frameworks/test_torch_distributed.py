"""Two processes over gloo learn what one process learns of the joined batch: by DistributedDataParallel, and by FSDP2."""
from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import libgru.torch

WORLD, STEPS = 2, 5


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(6, 8, 2, bidirectional=True, dtype=torch.float64)
        self.head = torch.nn.Linear(16, 6, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.gru(x)[0])


def learn(model: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Predicts the next step of x [T, N, 6]. Returns the loss of each step."""
    optimiser, losses = torch.optim.Adam(model.parameters(), 0.01), []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = (model(x)[:-1] - x[1:]).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return losses


def model_and_data() -> tuple[Any, torch.Tensor]:
    torch.manual_seed(0)
    model = libgru.torch.replace(Net())
    assert isinstance(model.gru, libgru.torch.GRU)
    return model, torch.randn(7, 4, 6, dtype=torch.float64)


def sharded(model: Any) -> Any:
    """FSDP2, with the GRU as a group of its own: its weights are gathered for each pass and freed after it."""
    mesh = init_device_mesh("cpu", (WORLD,))
    fully_shard(model.gru, mesh=mesh)
    return fully_shard(model, mesh=mesh)


SPREAD = {"DistributedDataParallel": DistributedDataParallel, "FSDP2": sharded}


def without_weights(model: Any, x: torch.Tensor) -> torch.Tensor:
    """The output in eval mode, which keeps packed weights, after all weights of the GRU became 0."""
    model.eval()
    with torch.no_grad():
        model(x)
        for parameter in model.gru.parameters():
            parameter.zero_()
        return model(x)


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    results = {}
    for kind, spread in SPREAD.items():
        model, x = model_and_data()
        losses = torch.stack(learn(spread(model), x[:, rank::WORLD]))
        dist.all_reduce(losses)
        assert any(isinstance(value, DTensor) for value in model.gru.parameters()) == (kind == "FSDP2")
        state = {name: value.full_tensor() if isinstance(value, DTensor) else value.clone() for name, value in model.state_dict().items()}
        results[kind] = losses / WORLD, state, without_weights(model, x)
    if rank == 0:
        torch.save(results, Path(folder) / "result.pt")
    dist.barrier()    # without it the end of one process now and then aborts the other
    dist.destroy_process_group()


class Distributed(unittest.TestCase):
    def test_two_processes_learn_as_one(self) -> None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(work, (folder,), nprocs=WORLD)
            results = torch.load(Path(folder) / "result.pt")
        torch.set_num_threads(1)
        model, x = model_and_data()
        wanted = torch.stack(learn(model, x))
        for kind, (losses, state, constant) in results.items():
            torch.testing.assert_close(losses, wanted, rtol=0, atol=1e-12, msg=kind)
            for name, value in model.state_dict().items():
                torch.testing.assert_close(state[name], value, rtol=0, atol=1e-10, msg=f"{kind}: {name}")
            self.assertTrue(torch.equal(constant, state["head.bias"].expand_as(constant)), f"{kind}: old weights were used")


if __name__ == "__main__":
    unittest.main()
