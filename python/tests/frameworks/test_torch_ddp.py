"""DistributedDataParallel: two processes over gloo learn what one process learns of the joined batch."""
from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
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


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    model, x = model_and_data()
    losses = torch.stack(learn(DistributedDataParallel(model), x[:, rank::WORLD]))
    dist.all_reduce(losses)
    if rank == 0:
        torch.save((losses / WORLD, model.state_dict()), Path(folder) / "result.pt")
    dist.barrier()    # without it the end of one process now and then aborts the other
    dist.destroy_process_group()


class Distributed(unittest.TestCase):
    def test_two_processes_learn_as_one(self) -> None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(work, (folder,), nprocs=WORLD)
            losses, state = torch.load(Path(folder) / "result.pt")
        torch.set_num_threads(1)
        model, x = model_and_data()
        torch.testing.assert_close(losses, torch.stack(learn(model, x)), rtol=0, atol=1e-12)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=0, atol=1e-10, msg=name)


if __name__ == "__main__":
    unittest.main()
